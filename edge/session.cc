#include "edge/session.h"

#include <algorithm>

#include "common/check.h"

namespace mortar {

const char* Name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "unknown";
}

EdgeSlot* FindNewest(EdgeState& s, const SessionId& session, uint32_t epoch) {
  for (EdgeSlot& slot : s.slots) {
    const bool found = slot.phase == SlotPhase::kRunning && !slot.alone && slot.session == session;
    if (found && slot.epoch == epoch) return &slot;
  }
  ++s.counters.old_answers;
  return nullptr;
}

EdgeSlot* FindNewestOfHop(EdgeState& s, NodeId from, const SessionId& session, uint32_t epoch) {
  EdgeSlot* slot = FindNewest(s, session, epoch);
  if (slot == nullptr) return nullptr;
  for (const Hop& hop : slot->hops) {
    if (hop.node == from) return slot;
  }
  ++s.counters.unexpected;
  return nullptr;
}

EdgeSlot* FindAnswered(EdgeState& s, NodeId from, const Envelope& answer) {
  EdgeSlot* slot = FindNewest(s, answer.session, answer.epoch);
  if (slot == nullptr) return nullptr;
  if (!slot->hops.empty() && slot->hops.back().node == from) return slot;
  ++s.counters.unexpected;
  return nullptr;
}

const SessionKey* FindSessionKey(const EdgeState& s, const SessionId& session) {
  for (const EdgeSlot& slot : s.slots) {
    const bool found = slot.phase == SlotPhase::kRunning && slot.session == session;
    if (found && slot.keys) return &slot.keys->session;
  }
  for (size_t i = 0; i < s.ended.size(); ++i) {
    if (s.ended[i].session == session && s.ended[i].key) return &*s.ended[i].key;
  }
  return nullptr;
}

const EdgeSlot* FindRouting(const EdgeState& s, NodeId from, uint64_t route_request) {
  if (!IsCoordinator(from) || CoordinatorIndex(from) >= s.options.coordinators) return nullptr;
  for (const EdgeSlot& slot : s.slots) {
    const bool asked = slot.phase == SlotPhase::kRouting && slot.route_request == route_request;
    if (asked) return &slot;
  }
  return nullptr;
}

bool IsHopOf(const EdgeState& s, const SessionId& session, NodeId node) {
  for (const EdgeSlot& slot : s.slots) {
    if (slot.phase != SlotPhase::kRunning || slot.session != session) continue;
    return std::ranges::find(slot.hops, node, &Hop::node) != slot.hops.end();
  }
  return false;
}

void EndUnadmitted(EdgeState& s, RequestId request, FinishReason reason, absl::Status status) {
  Finished finished{.reason = reason, .status = std::move(status), .text = {}, .timings = {}};
  s.outputs.push_back({.request = request, .what = std::move(finished)});
}

void Finish(EdgeState& s, Time now, EdgeSlot& slot, FinishReason reason, absl::Status status) {
  const bool whole = reason == FinishReason::kStop || reason == FinishReason::kLength;
  for (const Hop& hop : slot.hops) {
    if (whole) {
      OweHop(s, slot, hop, End{slot.session});
    } else {
      OweHop(s, slot, hop, Cancel{slot.session});
    }
  }
  if (slot.timings.output_tokens > 0) slot.timings.decode = now - slot.first_token;
  Finished finished{.reason = reason,
                    .status = std::move(status),
                    .text = slot.text->stopped() ? std::string() : slot.text->Finish(),
                    .timings = slot.timings};
  s.outputs.push_back({.request = slot.request, .what = std::move(finished)});
  if (!slot.hops.empty()) {
    if (s.ended.size() == kEndedSessionsKept) s.ended.pop_front();
    EndedSession ended{.session = slot.session, .request = slot.request, .hops = {}};
    if (slot.keys) ended.key = slot.keys->session;
    for (const Hop& hop : slot.hops) ended.hops.push_back(hop.node);
    s.ended.push_back(std::move(ended));
  }
  slot.phase = SlotPhase::kDone;
  slot.in_flight.clear();
  slot.bytes_in_flight = 0;
}

void BeginRouting(EdgeState& s, Time from, EdgeSlot& slot) {
  slot.phase = SlotPhase::kRouting;
  slot.retries_on_route = 0;
  slot.route_request = s.next_route_request++;
  slot.routing_since = from;
  slot.route_asked.reset();
  slot.route_awaited.reset();
  slot.refusals.assign(s.coordinators.size(), absl::OkStatus());
  slot.route_refusal = absl::OkStatus();
  slot.given_up = absl::OkStatus();
  slot.take_over_refusal = MayTakeOver(s, from) ? absl::OkStatus() : s.middle.refusal;
  slot.hops.clear();
  slot.keys.reset();
  slot.rows_key.reset();
}

namespace {

// What all retries share.
void NextEpoch(EdgeState& s, EdgeSlot& slot) {
  ++s.counters.retries;
  ++slot.timings.retries;
  ++slot.epoch;
  slot.keys_again = 0;
  slot.frames_max = 1;
  slot.in_flight.clear();
  slot.bytes_in_flight = 0;
  slot.guesses.n = 0;  // what is sent again is the log alone
}

}  // namespace

namespace {

// `step`: of the frame for want of which the hop asked, or 0.
void OweKey(EdgeState& s, const EdgeSlot& slot, size_t hop, uint64_t step) {
  CHECK(slot.keys->for_hops.size() == slot.hops.size());
  const RouteKeys::ForHop& its = slot.keys->for_hops[hop];
  Owe(s, slot.hops[hop].node,
      Open{.session = slot.session,
           .key = its.key,
           .grant = slot.keys->shown,
           .epoch = slot.epoch,
           .step = step},
      its.seal);
}

}  // namespace

void OweKeys(EdgeState& s, const EdgeSlot& slot) {
  if (!slot.keys) return;
  for (size_t i = 0; i < slot.hops.size(); ++i) OweKey(s, slot, i, 0);
}

void GiveKeyAgain(EdgeState& s, NodeId from, const NeedPrefix& need) {
  ++s.counters.keys_again;
  EdgeSlot* slot = FindNewestOfHop(s, from, need.session, need.epoch);
  if (slot == nullptr || !slot->keys || slot->keys_again >= kKeysAgainMax) return;
  ++slot->keys_again;
  const auto hop = std::ranges::find(slot->hops, from, &Hop::node);
  // Of a frame that was sent: what is echoed is this edge's own.
  const uint64_t step = std::clamp<uint64_t>(need.step, 1, std::max<uint64_t>(slot->step, 1));
  OweKey(s, *slot, static_cast<size_t>(hop - slot->hops.begin()), step);
}

void Retry(EdgeState& s, Time now, EdgeSlot& slot, int from, const std::string& why) {
  if (slot.retries_on_route >= kRetriesMax) {
    return GiveUpRoutes(
        s, now, slot,
        Unavailable("gave up after " + std::to_string(kRetriesMax) + " retries: " + why));
  }
  ++slot.retries_on_route;
  SendAgain(s, slot, from);
}

void SendAgain(EdgeState& s, EdgeSlot& slot, int from) {
  NextEpoch(s, slot);
  slot.sent = std::min(from, slot.answered);
  OweKeys(s, slot);  // what a hop lacks may be that
}

void RetryOnNewRoute(EdgeState& s, Time now, EdgeSlot& slot, const std::string& why,
                     std::vector<NodeId> missed, int weight) {
  slot.new_routes += weight;
  if (slot.new_routes > kNewRoutesMax) {
    return GiveUpRoutes(s, now, slot, Unavailable("gave up after retries on other routes: " + why));
  }
  slot.missed = std::move(missed);
  slot.held_until = now + kNewRouteDelay * (1 << slot.new_routes);
  LeaveRoute(s, slot.held_until, slot);
}

void LeaveRoute(EdgeState& s, Time routing_from, EdgeSlot& slot) {
  NextEpoch(s, slot);
  for (const Hop& hop : slot.hops) OweHop(s, slot, hop, Cancel{slot.session});
  slot.sent = 0;
  BeginRouting(s, routing_from, slot);
}

void Progress(EdgeSlot& slot) {
  slot.retries_on_route = 0;
  slot.new_routes = 0;
  slot.frames_max = std::min(slot.frames_max + 1, slot.frames_granted);
}

namespace {

// A sampled token joins the log, or ends the generation.
void AcceptToken(EdgeState& s, Time now, EdgeSlot& slot, Token token) {
  if (slot.timings.output_tokens == 0) {
    slot.first_token = now;
    slot.timings.ttft = now - slot.submitted;
    slot.timings.prefill = now - slot.started;
  }
  if (!slot.ignore_end && s.tokenizer->IsEndOfGeneration(token)) {
    return Finish(s, now, slot, FinishReason::kStop, absl::OkStatus());
  }
  slot.tokens.push_back(token);
  const int n_output = ++slot.timings.output_tokens;
  if (slot.alone) ++slot.timings.tokens_alone;
  s.outputs.push_back(
      {.request = slot.request, .what = TokenOut{.token = token, .text = slot.text->Push(token)}});
  if (slot.text->stopped()) {
    Finish(s, now, slot, FinishReason::kStop, absl::OkStatus());
  } else if (n_output >= slot.n_predict ||
             static_cast<int>(slot.tokens.size()) >= s.options.context_max) {
    Finish(s, now, slot, FinishReason::kLength, absl::OkStatus());
  }
}

}  // namespace

void AcceptDrawn(EdgeState& s, Time now, EdgeSlot& slot, const EdgeItem& item) {
  CHECK(item.drawn.n >= 1);
  const int held = item.drawn.n - 1;
  slot.timings.guesses += item.guesses.n;
  slot.draft_length.Stepped(item.guesses.n, held);
  int next = 0;
  for (const Token token : item.drawn.view()) {
    if (next++ < held) ++slot.timings.guesses_held;  // not those behind an end
    if (token == kNoToken) {
      return Fail(s, now, slot,
                  DataLoss("model " + s.options.model.name +
                           " gave logits that are not finite numbers; its file is damaged"));
    }
    AcceptToken(s, now, slot, token);
    if (slot.phase == SlotPhase::kDone) return;
  }
  // The back layers have the guesses that held, and every hop is told by the next frame's base.
  slot.answered = static_cast<int>(slot.tokens.size()) - 1;
  slot.sent = std::min(slot.sent, slot.answered);
}

void Guess(const EdgeState& s, EdgeSlot& slot) {
  slot.guesses.n = 0;
  if (slot.drafter == nullptr) return;
  const int n_tokens = static_cast<int>(slot.tokens.size());
  // Behind the guesses stands one token more, which the session must be able to hold too.
  const int room = slot.answered == n_tokens - 1 ? slot.positions_max - n_tokens - 1 : 0;
  const int n = std::clamp(room, 0, slot.draft_length.Next());
  slot.guesses.n =
      slot.drafter->Draft(slot.tokens, std::span(slot.guesses.at).first(static_cast<size_t>(n)));
  CHECK(slot.guesses.n >= 0 && slot.guesses.n <= n);
  for (const Token token : slot.guesses.view()) CHECK(token >= 0 && token < s.options.n_vocab);
}

void PassEmptyAnswers(const EdgeState& s, EdgeSlot& slot) {
  while (!slot.in_flight.empty() && slot.in_flight.front().arrived &&
         slot.in_flight.front().wanted == RowsWanted::kNone) {
    const FrameInFlight frame = slot.in_flight.pop_front();
    slot.bytes_in_flight -= frame.bytes(s.options.model.n_embd);
    slot.answered = std::max(slot.answered, frame.end());
    slot.at_hops = frame.end();
    Progress(slot);
  }
}

}  // namespace mortar
