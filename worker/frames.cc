// What a frame and the end of a session change of a worker's state: the tables in state.h, row by
// row.
#include "worker/frames.h"

#include <algorithm>

#include "engine/batch/kv_pages.h"

namespace mortar {
namespace {

int PagesFor(int positions) { return (positions + kKvPagePositions - 1) / kKvPagePositions; }

}  // namespace

void Reject(WorkerState& s, const Envelope& e, absl::Status why) {
  ++s.counters.rejected;
  OweEdge(
      s, e.edge,
      Rejected{.session = e.session, .epoch = e.epoch, .step = e.step, .status = std::move(why)});
}

// --- Ends of sessions ---

namespace {

void Remember(EndedSessions& ended, size_t ids_max, const SessionId& id) {
  if (!ended.ids.insert(id).second) return;
  ended.order.push_back(id);
  if (ended.order.size() > ids_max) ended.ids.erase(ended.order.pop_front());
}

void DropQueue(WorkerState& s, WorkerSession& session) {
  s.frames_queued -= static_cast<int>(session.frames.size());
  session.frames.clear();
  session.queued_bytes = 0;
}

}  // namespace

void EndSession(WorkerState& s, int place) {
  WorkerSession& session = s.places[static_cast<size_t>(place)];
  if (!session.used || session.ending) return;
  session.ending = true;
  ++s.places_ending;
  // Whatever it ends for: whoever kept what was said in it can say it again.
  if (session.seal) s.spent.Add(session.id, session.accepted_step, session.quota.expires);
  DropQueue(s, session);
  s.place_of.erase(session.id);
}

void EndById(WorkerState& s, NodeId from, const SessionId& id) {
  const auto found = s.place_of.find(id);
  if (found == s.place_of.end()) {
    if (const OpenedSession* opened = s.opened.Find(id);
        opened != nullptr && opened->edge == from) {
      s.opened.Remove(id);
    }
    // It may have overtaken its session's first frame. Anybody can say so of any id, so these
    // are kept apart and push out only one another.
    return Remember(s.ended_unknown, kUnknownEndsRemembered, id);
  }
  const WorkerSession& session = s.places[static_cast<size_t>(found->second)];
  if (session.edge != from) {
    ++s.counters.foreign_edge;
    return;
  }
  Remember(s.ended, kEndedSessionsRemembered, id);
  Ended ended = session.sent;
  ended.session = id;
  OweEdge(s, session.edge, ended);
  EndSession(s, found->second);
}

// --- Keys ---

const SessionSeal* FindSeal(const WorkerState& s, const SessionId& id) {
  const auto found = s.place_of.find(id);
  if (found != s.place_of.end()) {
    const WorkerSession& session = s.places[static_cast<size_t>(found->second)];
    return session.seal ? &*session.seal : nullptr;
  }
  const OpenedSession* opened = s.opened.Find(id);
  return opened == nullptr ? nullptr : &opened->seal;
}

void RememberUnopened(WorkerState& s, const EndUnopened& end) {
  RingQueue<EndUnopened>& ends = s.ended_unopened;
  for (size_t i = 0; i < ends.size(); ++i) {
    if (ends[i] == end) return;
  }
  if (ends.size() >= kUnknownEndsRemembered) ends.pop_front();
  ends.push_back(end);
}

namespace {

bool HasEnded(const WorkerState& s, const KeyOpened& e) {
  if (s.ended.ids.contains(e.session) || s.ended_unknown.ids.contains(e.session)) return true;
  const EndUnopened end{.from = e.edge, .session = e.session};
  for (size_t i = 0; i < s.ended_unopened.size(); ++i) {
    if (s.ended_unopened[i] == end) return true;
  }
  return false;
}

}  // namespace

void TakeKey(WorkerState& s, const KeyOpened& e) {
  if (HasEnded(s, e)) {
    ++s.counters.ended_session;
    return;
  }
  // One that is here has its key, which an edge keeps for as long as its route.
  if (s.place_of.contains(e.session)) return;
  const std::optional<uint64_t> spent = s.spent.Find(e.session, e.quota.expires);
  if (!spent) {
    ++s.counters.need_route;
    return Owe(s, e.edge, NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step},
               e.seal.own);
  }
  s.opened.Add(e.session, {.edge = e.edge, .seal = e.seal, .quota = e.quota, .spent = *spent});
  if (e.step == 0) return;
  // The frame was not read: now that what this node says can be believed, it asks for it again.
  ++s.counters.need_prefix;
  OweEdge(s, e.edge, NeedPrefix{.session = e.session, .epoch = e.epoch, .step = e.step});
}

// --- Frames ---

namespace {

// Within one session frames come from one node alone: relays keep the sender, and a new route is
// a new session. The edge that an envelope names is its sender's word, so that is no proof.
bool IsOwn(const WorkerSession& session, NodeId from, const Envelope& e) {
  return from == session.sender && e.edge == session.edge;
}

// Rules of epoch and step for a session that is known. False: the frame was dropped.
bool AdmitStep(WorkerState& s, WorkerSession& session, const Envelope& e) {
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

// Of a session that is here, or of one that was opened and begins.
SessionQuota QuotaOf(const WorkerState& s, const WorkerSession* session, const SessionId& id) {
  if (session != nullptr) return session->quota;
  const OpenedSession* opened = s.opened.Find(id);
  return opened == nullptr ? SessionQuota{} : opened->quota;
}

// The bounds of one session's queue and of the pool of pages.
absl::Status CheckRoom(const WorkerState& s, const WorkerSession* session, const Envelope& e,
                       size_t row_bytes) {
  const SessionQuota quota = QuotaOf(s, session, e.session);
  const size_t queued = session == nullptr ? 0 : session->frames.size();
  const size_t queued_bytes = session == nullptr ? 0 : session->queued_bytes;
  if (queued >= static_cast<size_t>(quota.frames_max) ||
      queued_bytes + row_bytes > quota.row_bytes_max) {
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
  if (e.base + e.n > static_cast<uint32_t>(quota.positions_max)) {
    return OutOfRange("position " + std::to_string(e.base + e.n) +
                      " is beyond the route's quota of " + std::to_string(quota.positions_max));
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

int OpenSession(WorkerState& s, NodeId from, const Envelope& e) {
  const int place = FreePlace(s);
  if (place < 0) return -1;
  WorkerSession& session = s.places[static_cast<size_t>(place)];
  session.used = true;
  session.id = e.session;
  session.edge = e.edge;
  session.sender = from;
  session.epoch = e.epoch;
  if (const OpenedSession* opened = s.opened.Find(e.session); opened != nullptr) {
    session.seal = opened->seal;
    session.quota = opened->quota;
    session.accepted_step = session.applied_step = opened->spent;
    s.opened.Remove(e.session);
  }
  s.place_of.emplace(e.session, place);
  return place;
}

// One token and its drafts: the next one is sent when this one is answered, chunks of a prompt
// follow each other. The first of short chunks counts as one too.
bool IsDecode(const WorkerSession& session, const Envelope& e) {
  return e.n <= static_cast<uint32_t>(kDecodeRowsMax) && session.frames.empty() && !session.running;
}

// A frame that came while a batch ran has been here since who knows when: it was not when that
// began.
void NoteTurn(const WorkerState& s, Time now, WorkerSession& session) {
  if (session.left == Time{}) return;
  const Duration turn = now - session.left;
  const bool exact = !s.busy && s.batch_ended != now;
  if (session.turn == Duration{}) {
    session.turn = turn;
  } else if (exact) {
    session.turn += (turn - session.turn) / 4;
  } else {
    session.turn = std::clamp(session.turn, std::min(turn, s.batch_began - session.left), turn);
  }
}

void Accept(WorkerState& s, Time now, WorkerSession& session, Activation&& frame) {
  const bool decode = IsDecode(session, frame.envelope);
  if (decode) {
    s.decode_heard = now;
    NoteTurn(s, now, session);
  }
  session.decodes = decode;
  const int end = static_cast<int>(frame.envelope.base + frame.envelope.n);
  const int pages_more = std::max(0, PagesFor(end) - session.pages);
  s.pages_free -= pages_more;
  session.pages += pages_more;
  session.have = end;
  session.accepted_step = frame.envelope.step;
  session.queued_bytes += frame.rows.bytes();
  session.frames.push_back(
      {.envelope = frame.envelope, .rows = std::move(frame.rows), .heard = now, .decode = decode});
  ++s.frames_queued;
  ++s.counters.frames;
}

}  // namespace

void TakeFrame(WorkerState& s, Time now, NodeId from, Activation& frame) {
  const Envelope& e = frame.envelope;
  if (!Serves(s) || e.layer.value_or(s.layers.begin) != s.layers.begin) {
    ++s.counters.need_route;
    return OweEdge(s, e.edge, NeedRoute{.session = e.session, .epoch = e.epoch, .step = e.step});
  }
  if (s.ended.ids.contains(e.session) || s.ended_unknown.ids.contains(e.session)) {
    ++s.counters.ended_session;
    return;
  }
  const auto found = s.place_of.find(e.session);
  WorkerSession* session =
      found == s.place_of.end() ? nullptr : &s.places[static_cast<size_t>(found->second)];
  if (session != nullptr) {
    if (!IsOwn(*session, from, e)) {
      ++s.counters.foreign_edge;
      return;
    }
    session->heard = now;
    if (!AdmitStep(s, *session, e)) return;
  } else if (const OpenedSession* opened = s.opened.Find(e.session); opened != nullptr) {
    if (opened->edge != e.edge) {
      ++s.counters.foreign_edge;
      return;
    }
    if (e.step <= opened->spent) {  // of before it ended here
      ++s.counters.old_step;
      return;
    }
  }
  const int have = session == nullptr ? 0 : session->have;
  if (static_cast<int>(e.base) > have) {
    ++s.counters.need_prefix;
    return OweEdge(
        s, e.edge,
        NeedPrefix{.session = e.session, .epoch = e.epoch, .step = e.step, .have = have});
  }
  absl::Status room = CheckRoom(s, session, e, frame.rows.bytes());
  if (!room.ok()) return Reject(s, e, std::move(room));
  if (session == nullptr) {
    const int place = OpenSession(s, from, e);
    if (place < 0) {
      return Reject(s, e,
                    ResourceExhausted("this worker serves " + std::to_string(s.places.size()) +
                                      " sessions already"));
    }
    session = &s.places[static_cast<size_t>(place)];
    session->heard = now;
  }
  Accept(s, now, *session, std::move(frame));
}

// The frame's rows go on: to the next hop all of them, back to the edge those it wants.
void Deliver(WorkerState& s, RunningFrame& frame) {
  Envelope e = frame.envelope;
  e.layer = static_cast<uint16_t>(s.layers.end);
  NodeId to = e.edge;
  WorkerSession& session = s.places[static_cast<size_t>(frame.place)];
  if (e.n_hops > 0) {
    to = e.hops[0];
    session.next = to;
    --e.n_hops;
    std::move(e.hops.begin() + 1, e.hops.end(), e.hops.begin());
    e.hops.back() = kNoNode;
  } else {
    e.flags |= kFlagAnswer;
    const uint32_t n_out = static_cast<uint32_t>(frame.rows_out.n());
    e.base += e.n - n_out;  // the last rows, or all
    e.n = n_out;
  }
  Owe(s, to, Activation{.envelope = e, .rows = std::move(frame.rows_out)},
      session.seal ? std::optional<SessionKey>(session.seal->own) : std::nullopt);
}

}  // namespace mortar
