// What a worker should do now.
//
//   state                                        | plan
//   ---------------------------------------------+--------------------------------------------
//   joining, and kHelloInterval since the last   | Hello
//   joined, and a change or the interval is over | NodeStatus; both to each of its coordinators
//   another coordinator should be obeyed         | obey it
//   engine idle, sessions have ended             | release their pages
//   engine idle, else a placement is wanted      | load; before it fetch, where this node has no
//                                                | file, and run what is hosted meanwhile
//   engine idle, else frames are queued          | a batch: frames of decode first, one frame a
//                                                | session, round robin, rows_max; prefill when
//                                                | no decode waits, and one prefill frame after
//                                                | kDecodeStreakMax decode batches
//   the same, and other sessions are back soon   | nothing, until they are here or late; decode of
//                                                | at most as many as should go together: half of
//                                                | those whose turn is long (gather.cc)
//   the same, while a session decodes            | prefill in slices of kSliceTime, one in every
//                                                | second batch while decode waits
//   a session was silent for kSessionIdleMax,    | it expires (looked for with each status, and
//   or its grant is over                         | with each Hello)
#include <algorithm>

#include "engine/batch/kv_pages.h"
#include "worker/state.h"

namespace mortar {
namespace {

// Adds the next rows of a session's oldest frame, at most `rows_max` of them. Returns how many.
int AddFrame(const WorkerState& s, int place, int rows_max, WorkerPlan& plan) {
  const QueuedFrame& frame = s.places[static_cast<size_t>(place)].frames.front();
  const int n = std::min(static_cast<int>(frame.envelope.n) - frame.done, rows_max);
  plan.batch.push_back(place);
  plan.rows.push_back(n);
  return n;
}

// Adds sessions whose oldest frame is of decode until the batch is full, at most `frames_max`.
// Returns the rows.
int AddDecode(const WorkerState& s, int frames_max, int rows, WorkerPlan& plan) {
  const int n_places = static_cast<int>(s.places.size());
  for (int i = 0; i < n_places && frames_max > 0; ++i) {
    const int place = (s.next_place + i) % n_places;
    const WorkerSession& session = s.places[static_cast<size_t>(place)];
    if (session.frames.empty() || !session.frames.front().decode) continue;
    const int n = static_cast<int>(session.frames.front().envelope.n);
    if (rows + n > s.options.rows_max) continue;
    rows += AddFrame(s, place, n, plan);
    --frames_max;
  }
  return rows;
}

// The same of prefill, at most `frames_max` frames. They run whole, as long as they fit, or in
// slices while a session decodes.
int AddPrefill(const WorkerState& s, Time now, int frames_max, WorkerPlan& plan) {
  const int n_places = static_cast<int>(s.places.size());
  const int rows_max = PrefillRowsMax(s, now);
  int rows = 0;
  for (int i = 0; i < n_places && frames_max > 0 && rows < rows_max; ++i) {
    const int place = (s.next_place + i) % n_places;
    const WorkerSession& session = s.places[static_cast<size_t>(place)];
    if (session.frames.empty() || session.frames.front().decode) continue;
    const int left =
        static_cast<int>(session.frames.front().envelope.n) - session.frames.front().done;
    if (rows_max == s.options.rows_max && rows + left > rows_max) continue;
    rows += AddFrame(s, place, rows_max - rows, plan);
    --frames_max;
  }
  return rows;
}

void PlanBatch(const WorkerState& s, Time now, int decode_max, WorkerPlan& plan) {
  const int n_places = static_cast<int>(s.places.size());
  const bool slices = PrefillRowsMax(s, now) < s.options.rows_max;
  if (s.decode_streak >= (slices ? 1 : kDecodeStreakMax)) {
    // Prefill has waited long enough, if any waits: it goes first this once.
    AddDecode(s, decode_max, AddPrefill(s, now, 1, plan), plan);
    return;
  }
  AddDecode(s, decode_max, 0, plan);
  if (plan.batch.empty()) AddPrefill(s, now, n_places, plan);
}

void PlanEngine(const WorkerState& s, Time now, WorkerPlan& plan) {
  if (s.busy) return;
  if (s.places_ending > 0) {
    for (size_t i = 0; i < s.places.size(); ++i) {
      if (s.places[i].ending) plan.release.push_back(static_cast<int>(i));
    }
  } else if (s.wanted && !NeedsFetch(s)) {
    plan.load = true;
  } else {
    plan.fetch = s.wanted && !s.fetching;
    if (s.frames_queued == 0) return;
    const Gathering gathering = GatheringOf(s, now);
    // Prefill that waits has the engine meanwhile, or goes with the decode that is here.
    if (!PrefillWaits(s)) plan.gathers_until = gathering.until;
    if (!plan.gathers_until) PlanBatch(s, now, gathering.frames_max, plan);
  }
}

void PlanExpired(const WorkerState& s, Time now, WorkerPlan& plan) {
  for (const auto& [id, place] : s.place_of) {
    const WorkerSession& session = s.places[static_cast<size_t>(place)];
    const bool idle = session.frames.empty() && !session.running;
    const bool silent = idle && now - session.heard > kSessionIdleMax;
    if (silent || now > session.quota.until) plan.expired.push_back(place);
  }
}

}  // namespace

bool PrefillWaits(const WorkerState& s) {
  return std::any_of(s.places.begin(), s.places.end(), [](const WorkerSession& session) {
    return !session.frames.empty() && !session.frames.front().decode;
  });
}

bool NeedsFetch(const WorkerState& s) {
  return s.options.fetches && !s.fetched && s.wanted && !s.wanted->layers.empty();
}

bool Serves(const WorkerState& s) {
  if (s.layers.empty()) return false;
  return s.load == LoadPhase::kReady || (s.load == LoadPhase::kLoading && NeedsFetch(s));
}

int PrefillRowsMax(const WorkerState& s, Time now) {
  const bool decodes = s.decode_heard && now - *s.decode_heard < kDecodeRecent;
  if (!decodes || s.row_time <= Duration{}) return s.options.rows_max;
  return static_cast<int>(std::clamp<int64_t>(
      kSliceTime / s.row_time, std::min(kSliceRowsMin, s.options.rows_max), s.options.rows_max));
}

void Plan(const WorkerState& s, Time now, WorkerPlan& plan) {
  plan.send_hello.clear();
  plan.send_status.clear();
  for (size_t i = 0; i < s.coordinators.size(); ++i) {
    if (HelloDue(s.coordinators[i], now)) plan.send_hello.push_back(static_cast<int>(i));
    if (StatusDue(s.coordinators[i], now)) plan.send_status.push_back(static_cast<int>(i));
  }
  const int obey = ToObey(s, now);
  plan.obey = obey == s.obeys ? std::nullopt : std::optional<int>(obey);
  plan.fetch = plan.load = false;
  plan.release.clear();
  plan.batch.clear();
  plan.gathers_until.reset();
  plan.rows.clear();
  plan.expired.clear();
  // Often enough to look for the silent: one of the two is sent each second, whether a coordinator
  // is there or not. Memory must not wait for one that does not come back.
  if (!plan.send_status.empty() || !plan.send_hello.empty()) PlanExpired(s, now, plan);
  // What has expired is gone before anything runs: it may have frames in the queue.
  if (plan.expired.empty()) PlanEngine(s, now, plan);
}

int ToObey(const WorkerState& s, Time now) {
  const bool hosts = !s.layers.empty() || s.wanted || s.loading;
  if (hosts && s.kept_since && now - *s.kept_since < kObeyedMin) return s.obeys;
  for (size_t i = 0; i < s.coordinators.size(); ++i) {
    const int index = static_cast<int>(i);
    if (index == s.obeys && IsHere(s.coordinators[i], now)) return index;
    if (IsSettled(s.coordinators[i], now)) return index;
  }
  return s.obeys;  // nobody is there: it waits for the one that it had
}

NodeStatus StatusOf(const WorkerState& s, int coordinator) {
  return NodeStatus{
      .role = Role::kWorker,
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
      .back_layers = 0,
      .ns_per_byte = std::min(s.speed.ns_per_byte(), kNsPerByteMax),
      .round_trip_ns = s.coordinators[static_cast<size_t>(coordinator)].round_trip.ns(),
      .memory_bytes = s.options.memory_bytes,
      .kv_bytes_per_layer = s.options.kv_bytes_per_layer,
      .fetches = s.options.fetches,
      .obeys = CoordinatorNode(s.obeys),
      .hosted = s.load == LoadPhase::kReady ? s.layers : LayerRange{}};
}

Counts RefusalsOf(const WorkerCounters& n) {
  return {{"old_epochs", n.old_epoch},
          {"replays", n.old_step},
          {"ended_sessions", n.ended_session},
          {"foreign_edges", n.foreign_edge},
          {"broken_seals", n.broken_seals},
          {"unopened", n.unopened},
          {"bad_grants", n.bad_grants},
          {"broken_frames", n.broken_frames},
          {"no_room", n.rejected - n.broken_frames},
          {"unexpected", n.unexpected}};
}

}  // namespace mortar
