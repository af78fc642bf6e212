// What a worker should do now.
//
//   state                                        | plan
//   ---------------------------------------------+--------------------------------------------
//   joining, and kHelloInterval since the last   | Hello
//   joined, and a change or the interval is over | NodeStatus
//   engine idle, sessions have ended             | release their pages
//   engine idle, else a placement is wanted      | load; before it fetch, where this node has no
//   file engine idle, else frames are queued          | a batch: frames of n <= kDecodeRowsMax
//   first,
//                                                | one frame a session, round robin, rows_max;
//                                                | prefill when no decode waits, and one prefill
//                                                | frame after kDecodeStreakMax decode batches
//   a session was silent for kSessionIdleMax     | it expires (looked for with each status)
#include "engine/batch/kv_pages.h"
#include "worker/state.h"

namespace mortar {
namespace {

bool IsDecode(const WorkerSession& session) {
  return session.frames.front().envelope.n <= static_cast<uint32_t>(kDecodeRowsMax);
}

// Adds sessions whose oldest frame is of the class wanted, until rows or `frames_max` run out.
int AddFrames(const WorkerState& s, bool decode, int frames_max, int rows, WorkerPlan& plan) {
  const int n_places = static_cast<int>(s.places.size());
  int added = 0;
  for (int i = 0; i < n_places && added < frames_max; ++i) {
    const int place = (s.next_place + i) % n_places;
    const WorkerSession& session = s.places[static_cast<size_t>(place)];
    if (session.frames.empty() || IsDecode(session) != decode) continue;
    const int n = static_cast<int>(session.frames.front().envelope.n);
    if (rows + n > s.options.rows_max) continue;
    plan.batch.push_back(place);
    rows += n;
    ++added;
  }
  return rows;
}

void PlanBatch(const WorkerState& s, WorkerPlan& plan) {
  const int n_places = static_cast<int>(s.places.size());
  if (s.decode_streak >= kDecodeStreakMax) {
    // Prefill has waited long enough, if any waits: it goes first this once.
    const int rows = AddFrames(s, /*decode=*/false, 1, 0, plan);
    AddFrames(s, /*decode=*/true, n_places, rows, plan);
    return;
  }
  AddFrames(s, /*decode=*/true, n_places, 0, plan);
  if (plan.batch.empty()) AddFrames(s, /*decode=*/false, n_places, 0, plan);
}

bool NeedsFetch(const WorkerState& s) {
  return s.options.fetches && !s.fetched && !s.wanted->layers.empty();
}

void PlanEngine(const WorkerState& s, WorkerPlan& plan) {
  if (s.busy) return;
  if (s.places_ending > 0) {
    for (size_t i = 0; i < s.places.size(); ++i) {
      if (s.places[i].ending) plan.release.push_back(static_cast<int>(i));
    }
  } else if (s.wanted && NeedsFetch(s)) {
    plan.fetch = !s.fetching;
  } else if (s.wanted) {
    plan.load = true;
  } else if (s.frames_queued > 0) {
    PlanBatch(s, plan);
  }
}

}  // namespace

void Plan(const WorkerState& s, Time now, WorkerPlan& plan) {
  plan.send_hello =
      s.phase == WorkerPhase::kJoining && (!s.hello_sent || now - *s.hello_sent >= kHelloInterval);
  plan.send_status = s.phase == WorkerPhase::kJoined &&
                     (s.status_owed || !s.status_sent || now - *s.status_sent >= s.status_interval);
  plan.fetch = plan.load = false;
  plan.release.clear();
  plan.batch.clear();
  plan.expired.clear();
  PlanEngine(s, plan);
  if (!plan.send_status) return;  // often enough to look for the silent
  for (const auto& [id, place] : s.place_of) {
    const WorkerSession& session = s.places[static_cast<size_t>(place)];
    const bool idle = session.frames.empty() && !session.running;
    if (idle && now - session.heard > kSessionIdleMax) plan.expired.push_back(place);
  }
}

NodeStatus StatusOf(const WorkerState& s) {
  return NodeStatus{.role = Role::kWorker,
                    .bricks = s.options.bricks,
                    .layers_only = s.options.layers_only,
                    .placement = s.placement,
                    .phase = s.load,
                    .load_status = s.load_status,
                    .sessions = static_cast<int>(s.place_of.size()),
                    .kv_positions_free = s.pages_free * kKvPagePositions,
                    .rows_queued = s.frames_queued,
                    .positions_max = s.positions_max,
                    .outline = s.options.outline,
                    .front_layers = 0,
                    .back_layers = 0};
}

}  // namespace mortar
