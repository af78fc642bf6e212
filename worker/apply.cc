// How each event changes a worker's state: the tables in state.h, row by row.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "engine/batch/kv_pages.h"
#include "worker/state.h"

namespace mortar {
namespace {

int PagesFor(int positions) { return (positions + kKvPagePositions - 1) / kKvPagePositions; }

void Owe(WorkerState& s, NodeId to, AnyMessage message) {
  s.outbox.push_back({.to = to, .message = std::move(message)});
}

void Reject(WorkerState& s, const Envelope& e, absl::Status why) {
  ++s.counters.rejected;
  Owe(s, e.edge,
      Rejected{.session = e.session, .epoch = e.epoch, .step = e.step, .status = std::move(why)});
}

// --- Ends of sessions ---

void Remember(WorkerState& s, const SessionId& id) {
  if (!s.ended_set.emplace(id, true).second) return;
  s.ended.push_back(id);
  if (s.ended.size() > kEndedSessionsRemembered) s.ended_set.erase(s.ended.pop_front());
}

void DropQueue(WorkerState& s, WorkerSession& session) {
  s.frames_queued -= static_cast<int>(session.frames.size());
  session.frames.clear();
  session.queued_bytes = 0;
}

void EndSession(WorkerState& s, int place) {
  WorkerSession& session = s.places[static_cast<size_t>(place)];
  if (!session.used || session.ending) return;
  session.ending = true;
  ++s.places_ending;
  DropQueue(s, session);
  s.place_of.erase(session.id);
}

void EndById(WorkerState& s, NodeId from, const SessionId& id) {
  const auto found = s.place_of.find(id);
  if (found == s.place_of.end()) return Remember(s, id);
  const WorkerSession& session = s.places[static_cast<size_t>(found->second)];
  if (session.edge != from) {
    ++s.counters.foreign_edge;
    return;
  }
  Remember(s, id);
  Ended ended = session.sent;
  ended.session = id;
  Owe(s, session.edge, ended);
  EndSession(s, found->second);
}

// --- Frames ---

// Rules of epoch and step for a session that is known. False: the frame was dropped.
bool AdmitStep(WorkerState& s, WorkerSession& session, const Envelope& e) {
  if (e.edge != session.edge) {
    ++s.counters.foreign_edge;
    return false;
  }
  if (e.epoch < session.epoch) {
    ++s.counters.old_epoch;
    return false;
  }
  if (e.epoch > session.epoch) {
    session.epoch = e.epoch;
    DropQueue(s, session);
    session.have = session.applied_have;
    session.accepted_step = session.applied_step;
  }
  if (e.step <= session.accepted_step) {
    ++s.counters.old_step;
    return false;
  }
  return true;
}

// The bounds of one session's queue and of the pool of pages.
absl::Status CheckRoom(const WorkerState& s, const WorkerSession* session, const Envelope& e,
                       size_t row_bytes) {
  const size_t queued = session == nullptr ? 0 : session->frames.size();
  const size_t queued_bytes = session == nullptr ? 0 : session->queued_bytes;
  if (queued >= static_cast<size_t>(kFramesInFlightMax) ||
      queued_bytes + row_bytes > kRowBytesInFlightMax) {
    return ResourceExhausted("the session has " + std::to_string(queued) + " frames and " +
                             std::to_string(queued_bytes) + " bytes queued already");
  }
  if (e.n > static_cast<uint32_t>(s.options.rows_max)) {
    return ResourceExhausted("frame of " + std::to_string(e.n) + " rows, this worker runs " +
                             std::to_string(s.options.rows_max));
  }
  if (e.base + e.n > static_cast<uint32_t>(s.positions_max)) {
    return OutOfRange("position " + std::to_string(e.base + e.n) + " is beyond this worker's " +
                      std::to_string(s.positions_max));
  }
  const int pages_more =
      PagesFor(static_cast<int>(e.base + e.n)) - (session == nullptr ? 0 : session->pages);
  if (pages_more > s.pages_free) {
    return ResourceExhausted("KV is full: " + std::to_string(pages_more * kKvPagePositions) +
                             " positions wanted, " +
                             std::to_string(s.pages_free * kKvPagePositions) + " free");
  }
  return absl::OkStatus();
}

// A place for a new session, or -1.
int FreePlace(const WorkerState& s) {
  for (size_t i = 0; i < s.places.size(); ++i) {
    if (!s.places[i].used) return static_cast<int>(i);
  }
  return -1;
}

int OpenSession(WorkerState& s, const Envelope& e) {
  const int place = FreePlace(s);
  if (place < 0) return -1;
  WorkerSession& session = s.places[static_cast<size_t>(place)];
  session.used = true;
  session.id = e.session;
  session.edge = e.edge;
  session.epoch = e.epoch;
  s.place_of.emplace(e.session, place);
  return place;
}

void Accept(WorkerState& s, WorkerSession& session, Activation&& frame) {
  const int end = static_cast<int>(frame.envelope.base + frame.envelope.n);
  const int pages_more = std::max(0, PagesFor(end) - session.pages);
  s.pages_free -= pages_more;
  session.pages += pages_more;
  session.have = end;
  session.accepted_step = frame.envelope.step;
  session.queued_bytes += frame.rows.bytes();
  session.frames.push_back({.envelope = frame.envelope, .rows = std::move(frame.rows)});
  ++s.frames_queued;
  ++s.counters.frames;
}

void On(WorkerState& s, Time now, NodeId, Activation& frame) {
  const Envelope& e = frame.envelope;
  if (s.load != LoadPhase::kReady) {
    ++s.counters.need_route;
    return Owe(s, e.edge, NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step});
  }
  if (s.ended_set.contains(e.session)) {
    ++s.counters.ended_session;
    return;
  }
  const auto found = s.place_of.find(e.session);
  WorkerSession* session =
      found == s.place_of.end() ? nullptr : &s.places[static_cast<size_t>(found->second)];
  if (session != nullptr) {
    session->heard = now;
    if (!AdmitStep(s, *session, e)) return;
  }
  const int have = session == nullptr ? 0 : session->have;
  if (static_cast<int>(e.base) > have) {
    ++s.counters.need_prefix;
    return Owe(s, e.edge,
               NeedPrefix{.session = e.session, .epoch = e.epoch, .step = e.step, .have = have});
  }
  absl::Status room = CheckRoom(s, session, e, frame.rows.bytes());
  if (!room.ok()) return Reject(s, e, std::move(room));
  if (session == nullptr) {
    const int place = OpenSession(s, e);
    if (place < 0) {
      return Reject(s, e,
                    ResourceExhausted("this worker serves " + std::to_string(s.places.size()) +
                                      " sessions already"));
    }
    session = &s.places[static_cast<size_t>(place)];
    session->heard = now;
  }
  Accept(s, *session, std::move(frame));
}

void On(WorkerState& s, Time, NodeId from, End& end) { EndById(s, from, end.session); }
void On(WorkerState& s, Time, NodeId from, Cancel& cancel) { EndById(s, from, cancel.session); }

// --- Membership and placement ---

void On(WorkerState& s, Time, NodeId from, Welcome& welcome) {
  if (from != kCoordinatorNode || s.phase != WorkerPhase::kJoining) {
    ++s.counters.unexpected;
    return;
  }
  s.phase = WorkerPhase::kJoined;
  s.status_interval = welcome.status_interval;
  s.status_owed = true;
}

void On(WorkerState& s, Time, NodeId from, Goodbye& goodbye) {
  if (from != kCoordinatorNode) {
    // Not remembered as ended: an edge that lost its link alone comes back and fills them again.
    for (size_t i = 0; i < s.places.size(); ++i) {
      if (s.places[i].edge == from) EndSession(s, static_cast<int>(i));
    }
  } else if (absl::IsUnavailable(goodbye.status)) {
    // Its placements begin anew: an id of the past says nothing any more.
    s.phase = WorkerPhase::kJoining;
    s.placement = 0;
    s.hello_sent.reset();
  } else {
    s.phase = WorkerPhase::kRefused;
    s.refusal = std::move(goodbye.status);
  }
}

absl::Status CheckPlacement(const WorkerState& s, const Placement& p) {
  if (!(p.model == s.options.model)) {
    return FailedPrecondition("the placement is of model " + p.model.name + ", this worker has " +
                              s.options.model.name);
  }
  if (p.layers.begin < 0 || p.layers.end > s.options.model.n_layers || p.layers.size() < 0 ||
      p.bricks.size() > kBricksMax) {
    return InvalidArgument("placement of layers " + ToString(p.layers) + " of " +
                           std::to_string(s.options.model.n_layers));
  }
  for (const LayerBrick& brick : p.bricks) {
    if (brick.sensitivity != Sensitivity::kPublic) {
      return FailedPrecondition("layers " + ToString(brick.layers) +
                                " are private: a worker hosts public bricks alone");
    }
    const auto& mine = s.options.bricks;
    if (std::find(mine.begin(), mine.end(), brick) == mine.end()) {
      return FailedPrecondition("this worker has no brick of layers " + ToString(brick.layers) +
                                " with digest " + ToHex(brick.digest).substr(0, 16) + "…");
    }
  }
  return absl::OkStatus();
}

void On(WorkerState& s, Time, NodeId from, Placement& placement) {
  if (from != kCoordinatorNode || s.phase != WorkerPhase::kJoined) {
    ++s.counters.unexpected;
    return;
  }
  s.status_owed = true;
  if (placement.id <= s.placement) return;  // told again: the status says where we are
  s.placement = placement.id;
  if (!placement.next_endpoint.empty()) {
    s.introduce.push_back({.node = placement.next, .endpoint = placement.next_endpoint});
  }
  absl::Status fits = CheckPlacement(s, placement);
  if (!fits.ok()) {
    s.wanted.reset();
    s.load = LoadPhase::kFailed;
    s.load_status = std::move(fits);
  } else if (placement.layers == s.layers && s.load == LoadPhase::kReady) {
    return;  // hosted already, under an older id
  } else {
    s.load = LoadPhase::kLoading;
    s.load_status = absl::OkStatus();
    s.wanted = std::move(placement);
  }
  for (size_t i = 0; i < s.places.size(); ++i) EndSession(s, static_cast<int>(i));
}

template <typename Other>
void On(WorkerState& s, Time, NodeId, Other&) {
  ++s.counters.unexpected;
}

void On(WorkerState& s, Time now, WorkerReceived& e) {
  std::visit([&](auto& message) { On(s, now, e.from, message); }, e.message);
}

void On(WorkerState& s, Time, FrameBroken& e) { Reject(s, e.envelope, std::move(e.status)); }

void On(WorkerState& s, Time, FrameSent& e) {
  const auto found = s.place_of.find(e.session);
  if (found == s.place_of.end()) return;
  Ended& sent = s.places[static_cast<size_t>(found->second)].sent;
  ++sent.frames;
  sent.bytes += e.bytes;
  sent.rows += e.rows;
}

void On(WorkerState& s, Time now, HelloSent&) { s.hello_sent = now; }

void On(WorkerState& s, Time now, StatusSent&) {
  s.status_sent = now;
  s.status_owed = false;
}

// --- Jobs ---

void On(WorkerState& s, Time, LoadStarted&) {
  s.busy = true;
  s.wanted.reset();
  s.layers = {};
  s.pages_free = 0;
}

void On(WorkerState& s, Time, LoadDone& e) {
  s.busy = false;
  s.status_owed = true;
  const bool superseded = s.wanted.has_value() || s.load != LoadPhase::kLoading;
  if (e.status.ok()) {
    s.layers = e.layers;
    s.pages_free = e.pages;
    s.positions_max = e.positions_max;
  }
  if (superseded) return;
  s.load = !e.status.ok()     ? LoadPhase::kFailed
           : e.layers.empty() ? LoadPhase::kNone
                              : LoadPhase::kReady;
  s.load_status = std::move(e.status);
}

// Whether a frame of prefill could have been in the batch.
bool PrefillWaits(const WorkerState& s) {
  return std::any_of(s.places.begin(), s.places.end(), [](const WorkerSession& session) {
    return !session.frames.empty() && session.frames.front().envelope.n > kDecodeRowsMax;
  });
}

void On(WorkerState& s, Time, BatchStarted& e) {
  CHECK(!s.busy && s.running.empty());
  s.busy = true;
  bool prefill = false;
  for (const int place : *e.places) {
    WorkerSession& session = s.places[static_cast<size_t>(place)];
    QueuedFrame frame = session.frames.pop_front();
    --s.frames_queued;
    session.queued_bytes -= frame.rows.bytes();
    session.running = true;
    session.applied_step = frame.envelope.step;
    session.applied_have = static_cast<int>(frame.envelope.base + frame.envelope.n);
    prefill |= frame.envelope.n > kDecodeRowsMax;
    s.counters.rows += frame.envelope.n;
    s.running.push_back({.place = place,
                         .envelope = frame.envelope,
                         .rows_in = std::move(frame.rows),
                         .rows_out = {}});
    s.next_place = (place + 1) % static_cast<int>(s.places.size());
  }
  const bool starved = !prefill && PrefillWaits(s);
  s.decode_streak = starved ? std::min(s.decode_streak + 1, kDecodeStreakMax) : 0;
  ++s.counters.batches;
}

// The frame's rows go on: to the next hop all of them, back to the edge those it wants.
void Deliver(WorkerState& s, RunningFrame& frame) {
  Envelope e = frame.envelope;
  NodeId to = e.edge;
  if (e.n_hops > 0) {
    to = e.hops[0];
    --e.n_hops;
    std::move(e.hops.begin() + 1, e.hops.end(), e.hops.begin());
    e.hops.back() = kNoNode;
  } else {
    e.flags |= kFlagAnswer;
    const uint32_t n_out = static_cast<uint32_t>(frame.rows_out.n());
    e.base += e.n - n_out;  // the last rows, or all
    e.n = n_out;
  }
  Owe(s, to, Activation{.envelope = e, .rows = std::move(frame.rows_out)});
}

void On(WorkerState& s, Time, BatchDone&) {
  s.busy = false;
  for (RunningFrame& frame : s.running) {
    WorkerSession& session = s.places[static_cast<size_t>(frame.place)];
    session.running = false;
    // An ended session's rows interest nobody.
    if (!session.ending) Deliver(s, frame);
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

void On(WorkerState& s, Time, Expired& e) {
  ++s.counters.expired;
  EndSession(s, e.place);
}

}  // namespace

WorkerState NewWorkerState(WorkerOptions options) {
  CHECK(options.sessions_max >= 1 && options.sessions_max <= kWorkerSessionsMax);
  WorkerState state;
  state.options = std::move(options);
  state.places.resize(static_cast<size_t>(state.options.sessions_max));
  return state;
}

void Apply(WorkerState& state, Time now, WorkerEvent event) {
  std::visit([&](auto& e) { On(state, now, e); }, event);
}

}  // namespace mortar
