// What each message changes of an edge's state: the table in state.h, row by row.
#include <algorithm>
#include <utility>

#include "edge/session.h"
#include "edge/state.h"
#include "protocol/grant.h"

namespace mortar {
namespace {

std::string NameOf(const EdgeSlot& slot, NodeId node) {
  for (const Hop& hop : slot.hops) {
    if (hop.node == node) return hop.name;
  }
  return ToString(node);
}

// --- Answers ---

bool RowsFit(const FrameInFlight& frame, const Envelope& e) {
  const int n = frame.wanted == RowsWanted::kAll    ? frame.n
                : frame.wanted == RowsWanted::kLast ? 1
                                                    : 0;
  return e.n == static_cast<uint32_t>(n) && e.base == static_cast<uint32_t>(frame.end() - n);
}

void On(EdgeState& s, Time now, NodeId from, Activation& answer) {
  const Envelope& e = answer.envelope;
  EdgeSlot* slot = FindAnswered(s, from, e);
  if (slot == nullptr) return;
  FrameInFlight* frame = nullptr;
  for (size_t i = 0; i < slot->in_flight.size(); ++i) {
    if (slot->in_flight[i].step == e.step) frame = &slot->in_flight[i];
  }
  if (frame == nullptr || frame->arrived) {
    ++s.counters.old_answers;  // a duplicate
    return;
  }
  const int back = s.options.model.n_layers - s.options.back_layers;
  if (e.layer.value_or(back) != back) {
    ++s.counters.broken_answers;
    return RetryOnNewRoute(s, now, *slot, "the last hop hosts other layers by now");
  }
  if (!RowsFit(*frame, e)) {
    ++s.counters.broken_answers;
    return Retry(s, now, *slot, slot->at_hops, "an answer had other rows than were wanted");
  }
  frame->arrived = true;
  s.answer_heard = now;
  frame->rows = std::move(answer.rows);
  // Whoever answers is alive: the frames behind it get their time anew.
  for (size_t i = 0; i < slot->in_flight.size(); ++i) {
    slot->in_flight[i].deadline = now + s.options.step_deadline;
  }
  PassEmptyAnswers(s, *slot);
}

void On(EdgeState& s, Time now, NodeId from, NeedPrefix& need) {
  EdgeSlot* slot = FindNewestOfHop(s, from, need.session, need.epoch);
  if (slot == nullptr) return;
  if (slot->retries_on_route > 0) {
    // What was sent again did not arrive, or its key: the way there may be gone, and nobody knows
    // yet.
    slot->held_until = now + kNoRoomDelay * (1 << slot->retries_on_route);
  }
  slot->at_hops = std::clamp(need.have, 0, slot->at_hops);
  // Of what it has beyond that nobody knows whether those before it have it still.
  Retry(s, now, *slot, slot->at_hops,
        "worker " + NameOf(*slot, from) + " has " + std::to_string(need.have) + " positions");
}

void On(EdgeState& s, Time now, NodeId from, NeedRoute& need) {
  // From anybody: relays say it too, of a hop that they cannot reach.
  EdgeSlot* slot = FindNewest(s, need.session, need.epoch);
  if (slot == nullptr) return;
  // It is there itself. It may be the one behind it that it cannot reach.
  const auto hop = std::ranges::find(slot->hops, from, &Hop::node);
  std::vector<NodeId> missed;
  if (hop != slot->hops.end() && hop + 1 != slot->hops.end()) missed.push_back((hop + 1)->node);
  RetryOnNewRoute(s, now, *slot, "worker " + NameOf(*slot, from) + " left the route",
                  std::move(missed));
}

void On(EdgeState& s, Time now, NodeId from, Rejected& rejected) {
  EdgeSlot* slot = FindNewestOfHop(s, from, rejected.session, rejected.epoch);
  if (slot == nullptr) return;
  absl::Status why = WithContext(rejected.status, "worker " + NameOf(*slot, from));
  if (!slot->in_flight.empty() && slot->in_flight.back().guesses.n > 0) {
    // It may be for their sake: the page that they begin is not free, or a token that would never
    // have been drawn gives rows that are no numbers.
    slot->draft_length.Refused();
    return Retry(s, now, *slot, slot->at_hops, Message(why));
  }
  if (!absl::IsResourceExhausted(why)) return Fail(s, now, *slot, std::move(why));
  if (slot->retries_on_route >= kRetriesMax) return GiveUpRoutes(s, now, *slot, std::move(why));
  slot->held_until = now + kNoRoomDelay * (1 << slot->retries_on_route);
  Retry(s, now, *slot, slot->at_hops, Message(why));
}

void On(EdgeState& s, Time, NodeId from, Ended& ended) {
  for (size_t i = 0; i < s.ended.size(); ++i) {
    if (s.ended[i].session != ended.session) continue;
    if (std::ranges::find(s.ended[i].hops, from) == s.ended[i].hops.end()) break;
    s.outputs.push_back({.request = s.ended[i].request, .what = HopTotals{from, ended}});
    return;
  }
  ++s.counters.unexpected;  // of a route that was left, or of nobody's
}

// --- Routes ---

absl::Status CheckGrant(const EdgeState& s, const EdgeSlot& slot, const RouteGrant& grant) {
  if (grant.contract != kNumericContract || !(grant.model == s.options.model)) {
    return FailedPrecondition("the route is of contract " + grant.contract + " and model " +
                              grant.model.name + ", this edge has " + kNumericContract + " and " +
                              s.options.model.name);
  }
  int next = s.options.front_layers;
  for (const Hop& hop : grant.hops) {
    if (hop.layers.begin != next || hop.layers.empty()) {
      return FailedPrecondition("the route has a gap at layer " + std::to_string(next));
    }
    next = hop.layers.end;
  }
  if (next != s.options.model.n_layers - s.options.back_layers ||
      grant.hops.size() > static_cast<size_t>(kHopsMax)) {
    return FailedPrecondition("the route ends at layer " + std::to_string(next) + " after " +
                              std::to_string(grant.hops.size()) + " hops");
  }
  if (grant.positions_max < slot.positions_max) {
    return ResourceExhausted("the route's quota is " + std::to_string(grant.positions_max) +
                             " positions, " + std::to_string(slot.positions_max) +
                             " were asked for");
  }
  // Frames that never fit would wait for ever.
  const size_t row_bytes = static_cast<size_t>(s.options.model.n_embd) * sizeof(float);
  if (grant.frames_in_flight_max < 1 || grant.row_bytes_in_flight_max < row_bytes) {
    return ResourceExhausted("the route allows " + std::to_string(grant.frames_in_flight_max) +
                             " frames and " + std::to_string(grant.row_bytes_in_flight_max) +
                             " bytes of rows in flight, a row has " + std::to_string(row_bytes));
  }
  return absl::OkStatus();
}

// What the route allows in flight, within this edge's own bounds. When it expires its hops say so:
// they end the session and ask for another route.
void TakeQuota(const EdgeState& s, EdgeSlot& slot, const RouteGrant& grant) {
  const size_t row_bytes = static_cast<size_t>(s.options.model.n_embd) * sizeof(float);
  slot.frames_granted = std::min(kFramesInFlightMax, grant.frames_in_flight_max);
  slot.frames_max = std::min(slot.frames_max, slot.frames_granted);
  slot.bytes_granted = std::min<size_t>(kRowBytesInFlightMax, grant.row_bytes_in_flight_max);
  slot.chunk_rows = std::min(slot.chunk_rows, static_cast<int>(slot.bytes_granted / row_bytes));
}

// The first grant counts. So a refusal ends the session once no other coordinator is left that may
// give one.
void FailIfRefused(EdgeState& s, Time now, EdgeSlot& slot) {
  const absl::Status* refusal = nullptr;
  for (size_t i = 0; i < s.coordinators.size(); ++i) {
    if (!slot.refusals[i].ok()) {
      if (refusal == nullptr) refusal = &slot.refusals[i];
    } else if (s.coordinators[i].phase == Membership::kJoined) {
      return;
    }
  }
  if (refusal == nullptr) return;
  absl::Status why = *refusal;
  // What a cluster that never served it lacks is a person's to hear; amid an answer, the answer's
  // end comes first.
  const bool began = slot.epoch > 0;
  if (began || absl::IsUnavailable(why)) return GiveUpRoutes(s, now, slot, std::move(why));
  Fail(s, now, slot, std::move(why));
}

void NoteRefusal(EdgeState& s, Time now, EdgeSlot& slot, int coordinator, absl::Status why) {
  slot.refusals[static_cast<size_t>(coordinator)] = std::move(why);
  slot.route_asked.reset();
  FailIfRefused(s, now, slot);
}

void On(EdgeState& s, Time now, NodeId from, Route& route, std::optional<RouteKeys> keys) {
  const EdgeSlot* found = FindRouting(s, from, route.request);
  if (found == nullptr) {
    ++s.counters.old_answers;  // asked twice, answered twice
    return;
  }
  EdgeSlot& slot = s.slots[static_cast<size_t>(found - s.slots.data())];
  if (absl::IsResourceExhausted(route.status)) {
    // Too many of us wait already: it asks again until it gives up.
    slot.route_refusal = std::move(route.status);
    slot.route_asked.reset();
    slot.held_until = now + kRouteRefusedDelay;
    return;
  }
  absl::Status fits = route.status.ok() ? CheckGrant(s, slot, route.grant) : route.status;
  if (!fits.ok()) return NoteRefusal(s, now, slot, CoordinatorIndex(from), std::move(fits));
  slot.phase = SlotPhase::kRunning;
  slot.session = route.grant.session;
  TakeQuota(s, slot, route.grant);
  slot.hops = std::move(route.grant.hops);
  for (const Hop& hop : slot.hops) {
    if (hop.endpoint.empty()) continue;
    s.introduce.push_back({.node = hop.node, .endpoint = hop.endpoint, .key = hop.key});
  }
  ++slot.epoch;
  slot.sent = 0;
  slot.at_hops = 0;
  slot.held_until = {};
  CHECK(keys.has_value() == s.options.sealed);
  slot.keys = std::move(keys);
  slot.keys_again = 0;
  if (slot.keys) slot.rows_key = RowsKeyOf(slot.keys->session, s.self);
  OweKeys(s, slot);
  if (slot.timings.output_tokens == 0) slot.started = now;
  s.outputs.push_back({.request = slot.request, .what = Routed{slot.hops}});
}

// --- Membership ---

// Whether what had no direct link went through this one: through the first that is there
// (protocol/zmq_transport.h). With one coordinator it may be its link that came and went unseen.
bool Relayed(const EdgeState& s, const KnownCoordinator& coordinator) {
  if (s.coordinators.size() == 1) return true;
  const auto first =
      std::ranges::find(s.coordinators, Membership::kJoined, &KnownCoordinator::phase);
  return first != s.coordinators.end() && &*first == &coordinator;
}

// What was on its way between other nodes through the coordinator is lost with it, and maybe what
// the last hop answered before it had a link of its own to this edge: nobody else would say so.
void LeaveRelayedRoutes(EdgeState& s, Time now, const absl::Status& why) {
  if (s.options.has_relay) return;
  for (EdgeSlot& slot : s.slots) {
    if (slot.phase != SlotPhase::kRunning) continue;
    const bool relayed =
        std::ranges::any_of(slot.hops, [](const Hop& hop) { return hop.endpoint.empty(); });
    if (relayed) RetryOnNewRoute(s, now, slot, "the coordinator is gone: " + Message(why));
  }
}
void SendInFlightAgain(EdgeState& s) {
  if (s.options.has_relay) return;
  for (EdgeSlot& slot : s.slots) {
    if (slot.phase != SlotPhase::kRunning || slot.hops.empty() || slot.in_flight.empty()) continue;
    SendAgain(s, slot, slot.at_hops);
  }
}

void On(EdgeState& s, Time now, NodeId from, Welcome& welcome) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr || coordinator->phase != Membership::kJoining) {
    ++s.counters.unexpected;
    return;
  }
  NoteWelcome(*coordinator, now, welcome.status_interval);
  coordinator->status_sent.reset();
  if (!welcome.signer.empty()) Trust(coordinator->signers, welcome.signer);
  // It may know nothing of what was asked before it went, and what it refused then is no answer
  // now.
  for (EdgeSlot& slot : s.slots) {
    slot.route_asked.reset();
    if (slot.phase != SlotPhase::kRouting) continue;
    slot.refusals[static_cast<size_t>(CoordinatorIndex(from))] = absl::OkStatus();
  }
  // Until now it knew nobody of this name, and what came for it was lost.
  if (Relayed(s, *coordinator)) SendInFlightAgain(s);
}

// A hop of the route that it has left already: the coordinator is told at once, or might grant it
// again.
void NoteMissed(EdgeSlot& slot, NodeId node) {
  if (slot.missed.size() >= static_cast<size_t>(kHopsMax)) return;
  if (std::ranges::find(slot.missed, node) != slot.missed.end()) return;
  slot.missed.push_back(node);
  slot.route_asked.reset();
}

// It is away, or refused this node for good.
void LeaveCoordinator(EdgeState& s, Time now, KnownCoordinator& coordinator, absl::Status why) {
  const absl::Status said = why;
  const bool relayed = Relayed(s, coordinator);
  const bool was_there = coordinator.phase == Membership::kJoined;
  NoteGoodbye(coordinator, std::move(why));
  if (PhaseOf(s.coordinators) != Membership::kRefused) {
    if (relayed) LeaveRelayedRoutes(s, now, said);
    if (relayed && was_there) SendInFlightAgain(s);
    for (EdgeSlot& slot : s.slots) {
      if (slot.phase != SlotPhase::kRouting) continue;
      if (PhaseOf(s.coordinators) == Membership::kJoined)
        slot.route_asked.reset();  // the other one
      FailIfRefused(s, now, slot);
    }
    return;
  }
  for (EdgeSlot& slot : s.slots) {
    const bool live = slot.phase == SlotPhase::kRouting || slot.phase == SlotPhase::kRunning;
    if (!live || slot.alone) continue;
    if (slot.epoch > 0) {  // amid an answer, as in FailIfRefused
      GiveUpRoutes(s, now, slot, said);
    } else {
      Fail(s, now, slot, said);
    }
  }
  while (!s.waiting.empty()) {
    EndUnadmitted(s, s.waiting.pop_front().request, FinishReason::kError, said);
  }
}

void On(EdgeState& s, Time now, NodeId from, Goodbye& goodbye) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr) {
    for (EdgeSlot& slot : s.slots) {
      if (slot.phase == SlotPhase::kRouting) NoteMissed(slot, from);
      const auto is_from = [&](const Hop& hop) { return hop.node == from; };
      if (slot.phase != SlotPhase::kRunning || std::ranges::none_of(slot.hops, is_from)) continue;
      RetryOnNewRoute(s, now, slot,
                      "worker " + NameOf(slot, from) + " is gone: " + Message(goodbye.status),
                      {from});
    }
  } else {
    LeaveCoordinator(s, now, *coordinator, std::move(goodbye.status));
  }
}

void On(EdgeState& s, Time now, NodeId from, Echo& echo) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator != nullptr) coordinator->round_trip.Take(now, echo.stamp);
}

// From a coordinator whose key is about to change: routes of both are good meanwhile.
void On(EdgeState& s, Time, NodeId from, Doors& doors) {
  KnownCoordinator* coordinator = FindCoordinator(s.coordinators, from);
  if (coordinator == nullptr) {
    ++s.counters.unexpected;
    return;
  }
  TrustAll(coordinator->signers, doors);
}

template <typename Other>
void On(EdgeState& s, Time, NodeId, Other&) {
  ++s.counters.unexpected;
}

}  // namespace

void Receive(EdgeState& s, Time now, EdgeReceived& received) {
  if (auto* from = FindCoordinator(s.coordinators, received.from)) NoteHeard(*from, now);
  if (auto* route = std::get_if<Route>(&received.message)) {
    return On(s, now, received.from, *route, std::move(received.keys));
  }
  std::visit([&](auto& m) { On(s, now, received.from, m); }, received.message);
}

}  // namespace mortar
