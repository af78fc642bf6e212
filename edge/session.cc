#include "edge/session.h"

#include <algorithm>

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
    const bool found = slot.phase == SlotPhase::kRunning && slot.session == session;
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

void EndUnadmitted(EdgeState& s, RequestId request, FinishReason reason, absl::Status status) {
  Finished finished{.reason = reason, .status = std::move(status), .text = {}, .timings = {}};
  s.outputs.push_back({.request = request, .what = std::move(finished)});
}

void Finish(EdgeState& s, Time now, EdgeSlot& slot, FinishReason reason, absl::Status status) {
  const bool whole = reason == FinishReason::kStop || reason == FinishReason::kLength;
  for (const Hop& hop : slot.hops) {
    if (whole) {
      Owe(s, hop.node, End{slot.session});
    } else {
      Owe(s, hop.node, Cancel{slot.session});
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
    for (const Hop& hop : slot.hops) ended.hops.push_back(hop.node);
    s.ended.push_back(std::move(ended));
  }
  slot.phase = SlotPhase::kDone;
  slot.in_flight.clear();
  slot.bytes_in_flight = 0;
}

void BeginRouting(EdgeState& s, Time from, EdgeSlot& slot) {
  slot.phase = SlotPhase::kRouting;
  slot.route_request = s.next_route_request++;
  slot.routing_since = from;
  slot.route_asked.reset();
  slot.route_refusal = absl::OkStatus();
  slot.hops.clear();
}

namespace {

// What all retries share. False: there were too many, and the session has failed.
bool NextEpoch(EdgeState& s, Time now, EdgeSlot& slot, const std::string& why) {
  ++s.counters.retries;
  ++slot.timings.retries;
  if (++slot.retries_in_a_row > kRetriesMax) {
    Fail(s, now, slot,
         Unavailable("gave up after " + std::to_string(kRetriesMax) + " retries: " + why));
    return false;
  }
  ++slot.epoch;
  slot.frames_max = 1;
  slot.in_flight.clear();
  slot.bytes_in_flight = 0;
  return true;
}

}  // namespace

void Retry(EdgeState& s, Time now, EdgeSlot& slot, int from, const std::string& why) {
  if (NextEpoch(s, now, slot, why)) slot.sent = std::min(from, slot.answered);
}

void RetryOnNewRoute(EdgeState& s, Time now, EdgeSlot& slot, const std::string& why) {
  if (!NextEpoch(s, now, slot, why)) return;
  for (const Hop& hop : slot.hops) Owe(s, hop.node, Cancel{slot.session});
  slot.sent = 0;
  slot.held_until = now + kNewRouteDelay * (1 << slot.retries_in_a_row);
  BeginRouting(s, slot.held_until, slot);
}

void Progress(EdgeSlot& slot) {
  slot.retries_in_a_row = 0;
  slot.frames_max = std::min(slot.frames_max + 1, slot.frames_granted);
}

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
  s.outputs.push_back(
      {.request = slot.request, .what = TokenOut{.token = token, .text = slot.text->Push(token)}});
  if (slot.text->stopped()) {
    Finish(s, now, slot, FinishReason::kStop, absl::OkStatus());
  } else if (n_output >= slot.n_predict ||
             static_cast<int>(slot.tokens.size()) >= s.options.context_max) {
    Finish(s, now, slot, FinishReason::kLength, absl::OkStatus());
  }
}

void PassEmptyAnswers(const EdgeState& s, EdgeSlot& slot) {
  while (!slot.in_flight.empty() && slot.in_flight.front().arrived &&
         slot.in_flight.front().wanted == RowsWanted::kNone) {
    const FrameInFlight frame = slot.in_flight.pop_front();
    slot.bytes_in_flight -= frame.bytes(s.options.model.n_embd);
    slot.answered = std::max(slot.answered, frame.end());
    Progress(slot);
  }
}

}  // namespace mortar
