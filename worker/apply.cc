// How each event but a frame changes a worker's state: the tables in state.h, row by row.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "protocol/grant.h"
#include "worker/frames.h"
#include "worker/state.h"

namespace mortar {
namespace {

// --- Sessions ---

void On(WorkerState& s, Time now, NodeId from, Activation& frame) {
  TakeFrame(s, now, from, frame);
}
void On(WorkerState& s, Time, NodeId from, End& end) { EndById(s, from, end.session); }
void On(WorkerState& s, Time, NodeId from, Cancel& cancel) { EndById(s, from, cancel.session); }

// --- Membership and placement ---

void On(WorkerState& s, Time now, NodeId from, Welcome& welcome) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr || coordinator->phase != Membership::kJoining) {
    ++s.counters.unexpected;
    return;
  }
  NoteWelcome(*coordinator, now, welcome.status_interval);
  coordinator->status_owed = true;
  if (!welcome.signer.empty()) Trust(coordinator->signers, welcome.signer);
}

void OweStatus(WorkerState& s) {
  for (KnownCoordinator& coordinator : s.coordinators) coordinator.status_owed = true;
}

bool IsObeyed(const WorkerState& s, NodeId from) { return from == CoordinatorNode(s.obeys); }

void On(WorkerState& s, Time, NodeId from, Goodbye& goodbye) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr) {
    // Not remembered as ended: an edge that lost its link alone comes back and fills them again.
    for (size_t i = 0; i < s.places.size(); ++i) {
      const WorkerSession& session = s.places[i];
      if (!session.used || session.ending) continue;
      if (session.edge != from && session.next != from) continue;
      // The edge too, if there is another way to it: an answer may have been on the one that is
      // lost.
      OweEdge(
          s, session.edge,
          NeedRoute{.session = session.id, .epoch = session.epoch, .step = session.accepted_step});
      if (session.edge == from) EndSession(s, static_cast<int>(i));
    }
    s.opened.RemoveOf(from);
  } else if (coordinator->phase != Membership::kRefused) {
    // What was on its way when it was refused is answered too: the first reason stays.
    NoteGoodbye(*coordinator, std::move(goodbye.status));
    // Its placements begin anew: an id of the past says nothing any more.
    if (coordinator->phase == Membership::kJoining && IsObeyed(s, from)) s.placement = 0;
  }
}

void On(WorkerState& s, Time now, Obeyed& e) {
  s.obeys = e.coordinator;
  s.placement = 0;  // ids are each one's own
  s.kept_since = now;
  OweStatus(s);
}

// Ended here, and its edge asked for another route.
void SendAway(WorkerState& s, int place) {
  const WorkerSession& session = s.places[static_cast<size_t>(place)];
  OweEdge(s, session.edge,
          NeedRoute{.session = session.id, .epoch = session.epoch, .step = session.accepted_step});
  EndSession(s, place);
}

absl::Status CheckPlacement(const WorkerState& s, const Placement& p) {
  if (!(p.model == s.options.model)) {
    return FailedPrecondition("the placement is of model " + p.model.name + ", this worker has " +
                              s.options.model.name);
  }
  if (p.layers.begin < 0 || p.layers.begin > p.layers.end ||
      p.layers.end > s.options.model.n_layers || p.bricks.size() > kBricksMax) {
    return InvalidArgument("placement of layers " + ToString(p.layers) + " of " +
                           std::to_string(s.options.model.n_layers));
  }
  for (const LayerBrick& brick : p.bricks) {
    if (brick.sensitivity != Sensitivity::kPublic) {
      return FailedPrecondition("layers " + ToString(brick.layers) +
                                " are private: a worker hosts public bricks alone");
    }
    // Not by its size: of several hosts the placement has that which another one said.
    const auto is_it = [&](const LayerBrick& mine) {
      return mine.layers == brick.layers && mine.digest == brick.digest;
    };
    if (std::ranges::none_of(s.options.bricks, is_it)) {
      return FailedPrecondition("this worker has no brick of layers " + ToString(brick.layers) +
                                " with digest " + ToHex(brick.digest).substr(0, 16) + "…");
    }
  }
  return absl::OkStatus();
}

void SendAllAway(WorkerState& s) {
  for (size_t i = 0; i < s.places.size(); ++i) {
    const WorkerSession& session = s.places[i];
    if (!session.used || session.ending) continue;
    // Its edge need not find out by a deadline.
    SendAway(s, static_cast<int>(i));
  }
}

void ForgetWanted(WorkerState& s) {
  s.wanted.reset();
  s.fetching = s.fetched = false;  // what still comes is of no use
}

// Whether a placement changes nothing of what this worker hosts, loads or fetches: it goes on with
// that, since whoever is told often would else begin anew each time.
bool GoesOn(WorkerState& s, const Placement& placement) {
  const auto same = [&](const std::optional<Placement>& other) {
    return other && other->layers == placement.layers && other->bricks == placement.bricks;
  };
  if (s.wanted && same(s.wanted)) return true;  // being fetched, or waits for the engine
  if (same(s.loading)) {
    ForgetWanted(s);
    s.load = LoadPhase::kLoading;
    s.load_status = absl::OkStatus();
    return true;
  }
  if (s.layers.empty() || placement.layers != s.layers) return false;
  ForgetWanted(s);
  s.load = LoadPhase::kReady;  // hosted already, under an older id
  s.load_status = absl::OkStatus();
  return true;
}

void On(WorkerState& s, Time now, NodeId from, Placement& placement) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr || coordinator->phase != Membership::kJoined || !IsObeyed(s, from)) {
    ++s.counters.unexpected;
    return;
  }
  OweStatus(s);
  if (placement.id <= s.placement) return;  // told again: the status says where we are
  s.placement = placement.id;
  if (!placement.next_endpoint.empty()) {
    s.introduce.push_back(
        {.node = placement.next, .endpoint = placement.next_endpoint, .key = placement.next_key});
  }
  for (const Introduction& other : placement.next_others) {
    if (!other.endpoint.empty()) s.introduce.push_back(other);
  }
  absl::Status fits = CheckPlacement(s, placement);
  if (!fits.ok()) {
    ForgetWanted(s);
    s.load = LoadPhase::kFailed;
    s.load_status = std::move(fits);
    return SendAllAway(s);
  }
  if (GoesOn(s, placement)) return;
  s.kept_since = now;
  ForgetWanted(s);
  s.load = LoadPhase::kLoading;
  s.load_status = absl::OkStatus();
  s.wanted = std::move(placement);
  // While its bricks come, those of the one before serve on.
  if (!NeedsFetch(s)) SendAllAway(s);
}

void On(WorkerState& s, Time now, NodeId from, Echo& echo) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr) return;
  // The first one is said at once: the first placement waits for it.
  RoundTripMeter& round_trip = coordinator->round_trip;
  const bool first = round_trip.ns() == 0;
  round_trip.Take(now, echo.stamp);
  coordinator->status_owed = coordinator->status_owed || (first && round_trip.ns() != 0);
}

// From a coordinator whose key is about to change: routes of both are good meanwhile.
void On(WorkerState& s, Time, NodeId from, Doors& doors) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr) {
    ++s.counters.unexpected;
    return;
  }
  TrustAll(coordinator->signers, doors);
}

template <typename Other>
void On(WorkerState& s, Time, NodeId, Other&) {
  ++s.counters.unexpected;
}

void On(WorkerState& s, Time now, WorkerReceived& e) {
  if (auto* from = FindCoordinator(s.coordinators, e.from)) NoteHeard(*from, now);
  std::visit([&](auto& message) { On(s, now, e.from, message); }, e.message);
}

void On(WorkerState& s, Time, FrameBroken& e) {
  ++s.counters.broken_frames;
  Reject(s, e.envelope, std::move(e.status));
}

// A key that was lost on its way comes again with the edge's next epoch.
void On(WorkerState& s, Time, FrameUnopened& e) {
  ++s.counters.need_prefix;
  const Envelope& frame = e.envelope;
  Owe(s, frame.edge,
      NeedPrefix{.session = frame.session, .epoch = frame.epoch, .step = frame.step});
}

void On(WorkerState& s, Time, WorkerSealBroken&) { ++s.counters.broken_seals; }

void On(WorkerState& s, Time, EndUnopened& e) {
  ++s.counters.unopened;
  RememberUnopened(s, e);
}

void On(WorkerState& s, Time, KeyOpened& e) { TakeKey(s, e); }

void On(WorkerState& s, Time, GrantRefused& e) {
  ++s.counters.bad_grants;
  Owe(s, e.edge, NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step}, e.own);
}

void On(WorkerState& s, Time, ForeignGrant&) { ++s.counters.bad_grants; }

void On(WorkerState& s, Time, FrameSent& e) {
  const auto found = s.place_of.find(e.session);
  if (found == s.place_of.end()) return;
  Ended& sent = s.places[static_cast<size_t>(found->second)].sent;
  ++sent.frames;
  sent.bytes += e.bytes;
  sent.rows += e.rows;
}

void On(WorkerState& s, Time now, HelloSent& e) {
  s.coordinators[static_cast<size_t>(e.coordinator)].hello_sent = now;
}

void On(WorkerState& s, Time now, StatusSent& e) {
  KnownCoordinator& coordinator = s.coordinators[static_cast<size_t>(e.coordinator)];
  coordinator.status_sent = now;
  coordinator.status_owed = false;
}

// --- Jobs ---

void On(WorkerState& s, Time, FetchStarted&) { s.fetching = true; }

void On(WorkerState& s, Time, FetchDone& e) {
  s.fetching = false;
  s.fetched = e.status.ok();
  SendAllAway(s);
  if (e.status.ok()) return;
  s.wanted.reset();
  s.load = LoadPhase::kFailed;
  s.load_status = std::move(e.status);
  OweStatus(s);
}

void On(WorkerState& s, Time, LoadStarted&) {
  s.busy = true;
  s.loading = std::exchange(s.wanted, std::nullopt);
  s.layers = {};
  s.pages_free = 0;
}

void On(WorkerState& s, Time, LoadDone& e) {
  s.busy = false;
  s.loading.reset();
  OweStatus(s);
  const bool superseded = s.wanted.has_value() || s.load != LoadPhase::kLoading;
  if (e.status.ok()) {
    s.layers = e.layers;
    s.pages_free = e.pages;
    s.positions_max = e.positions_max;
    s.weight_bytes = e.weight_bytes;
    s.decode_time = {};  // of other layers
  }
  if (superseded) return;
  s.load = !e.status.ok()     ? LoadPhase::kFailed
           : e.layers.empty() ? LoadPhase::kNone
                              : LoadPhase::kReady;
  s.load_status = std::move(e.status);
}

// The next `rows` rows of a session's oldest frame, which leaves the queue with its last ones.
RunningFrame TakeSlice(WorkerState& s, int place, int rows) {
  WorkerSession& session = s.places[static_cast<size_t>(place)];
  QueuedFrame& frame = session.frames.front();
  RunningFrame slice{.place = place,
                     .envelope = frame.envelope,
                     .first = frame.done,
                     .n = rows,
                     .rows_in = frame.rows,
                     .rows_out = std::move(frame.rows_out)};
  frame.done += rows;
  CHECK(rows > 0 && frame.done <= static_cast<int>(frame.envelope.n));
  session.running = true;
  session.applied_step = frame.envelope.step;
  session.applied_have = static_cast<int>(frame.envelope.base) + frame.done;
  if (slice.ends_frame()) {
    --s.frames_queued;
    session.queued_bytes -= frame.rows.bytes();
    session.frames.pop_front();
  }
  return slice;
}

void On(WorkerState& s, Time now, BatchStarted& e) {
  CHECK(!s.busy && s.running.empty());
  s.busy = true;
  bool prefill = false;
  for (size_t i = 0; i < e.places->size(); ++i) {
    const int place = (*e.places)[i];
    const QueuedFrame& frame = s.places[static_cast<size_t>(place)].frames.front();
    prefill |= !frame.decode;
    const int left = static_cast<int>(frame.envelope.n) - frame.done;
    s.running.push_back(TakeSlice(s, place, e.rows == nullptr ? left : (*e.rows)[i]));
    s.counters.rows += static_cast<uint64_t>(s.running.back().n);
    s.next_place = (place + 1) % static_cast<int>(s.places.size());
  }
  s.batch_began = now;
  s.prefill_runs = prefill;
  const bool starved = !prefill && PrefillWaits(s);
  s.decode_streak = starved ? std::min(s.decode_streak + 1, kDecodeStreakMax) : 0;
  ++s.counters.batches;
}

// How long a row takes, from the batch that ran: with prefill the newest counts for a quarter. Of
// decode alone, whose rows take longer, it is a first guess.
void NoteRowTime(WorkerState& s, Duration time) {
  int rows = 0;
  for (const RunningFrame& frame : s.running) rows += frame.n;
  if (rows == 0) return;
  if (!s.prefill_runs) s.decode_time.Add(rows, time);
  const Duration row = time / rows;
  if (s.row_time <= Duration{}) {
    s.row_time = row;
  } else if (s.prefill_runs) {
    s.row_time += (row - s.row_time) / 4;
  }
}

// The rest of a frame runs later; what there is of its rows waits with it. A frame of an older
// epoch has left the queue meanwhile.
void KeepSlice(WorkerSession& session, RunningFrame& slice) {
  if (session.frames.empty()) return;
  QueuedFrame& frame = session.frames.front();
  const Envelope& e = frame.envelope;
  if (e.epoch != slice.envelope.epoch || e.step != slice.envelope.step) return;
  frame.rows_out = std::move(slice.rows_out);
}

void On(WorkerState& s, Time now, BatchDone& e) {
  s.busy = false;
  NoteRowTime(s, e.time);
  s.batch_ended = now;
  // One token alone: it is the reading of weights that takes its time.
  if (s.running.size() == 1 && s.running[0].envelope.n == 1 &&
      s.running[0].envelope.base < kSpeedPositionsMax) {
    s.speed.Add(now, e.time, s.weight_bytes);
  }
  for (RunningFrame& frame : s.running) {
    WorkerSession& session = s.places[static_cast<size_t>(frame.place)];
    session.running = false;
    session.sent.compute_ns += static_cast<uint64_t>(e.time.count());
    // An ended session's rows interest nobody.
    if (session.ending) continue;
    if (frame.ends_frame()) {
      session.left = now;
      Deliver(s, frame);
    } else {
      KeepSlice(session, frame);
    }
  }
  s.running.clear();
}

void On(WorkerState& s, Time, ReleaseStarted&) { s.busy = true; }

void On(WorkerState& s, Time, PagesReleased& e) {
  s.busy = false;
  for (const int place : *e.places) {
    WorkerSession& session = s.places[static_cast<size_t>(place)];
    CHECK(session.ending && !session.running);
    s.pages_free += session.pages;
    --s.places_ending;
    session = WorkerSession{};
  }
}

void On(WorkerState& s, Time now, Expired& e) {
  ++s.counters.expired;
  if (now > s.places[static_cast<size_t>(e.place)].quota.until) return SendAway(s, e.place);
  EndSession(s, e.place);
}

}  // namespace

WorkerState NewWorkerState(WorkerOptions options) {
  CHECK(options.sessions_max >= 1 && options.sessions_max <= kWorkerSessionsMax);
  WorkerState state;
  CHECK(options.coordinators >= 1 && options.coordinators <= kCoordinatorsMax);
  state.options = std::move(options);
  state.coordinators.resize(static_cast<size_t>(state.options.coordinators));
  state.speed = SpeedMeter(state.options.ns_per_byte);
  state.places.resize(static_cast<size_t>(state.options.sessions_max));
  return state;
}

void Apply(WorkerState& state, Time now, WorkerEvent event) {
  std::visit([&](auto& e) { On(state, now, e); }, event);
}

}  // namespace mortar
