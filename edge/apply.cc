// How each event changes an edge's state: the table in state.h, row by row.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "edge/session.h"
#include "edge/state.h"

namespace mortar {
namespace {

EdgeSlot& SlotAt(EdgeState& s, int slot) { return s.slots[static_cast<size_t>(slot)]; }

// The running session of that id, or null.
EdgeSlot* FindRunning(EdgeState& s, const SessionId& id) {
  for (EdgeSlot& slot : s.slots) {
    if (slot.phase == SlotPhase::kRunning && slot.session == id) return &slot;
  }
  return nullptr;
}

// The running session that an answer speaks of, if it speaks of its newest epoch.
template <typename Answer>
EdgeSlot* FindNewest(EdgeState& s, const Answer& answer) {
  EdgeSlot* slot = FindRunning(s, answer.session);
  if (slot == nullptr || answer.epoch != slot->epoch) {
    ++s.counters.old_answers;
    return nullptr;
  }
  return slot;
}

std::string NameOf(const EdgeSlot& slot, NodeId node) {
  for (const Hop& hop : slot.hops) {
    if (hop.node == node) return hop.name;
  }
  return ToString(node);
}

// The end of a request that never had a place.
void EndUnadmitted(EdgeState& s, RequestId request, FinishReason reason, absl::Status status) {
  Finished finished{.reason = reason, .status = std::move(status), .text = {}, .timings = {}};
  s.outputs.push_back({.request = request, .what = std::move(finished)});
}

// --- Answers ---

bool RowsFit(const FrameInFlight& frame, const Envelope& e) {
  const int n = frame.wanted == RowsWanted::kAll    ? frame.n
                : frame.wanted == RowsWanted::kLast ? 1
                                                    : 0;
  return e.n == static_cast<uint32_t>(n) && e.base == static_cast<uint32_t>(frame.end() - n);
}

void On(EdgeState& s, Time now, NodeId, Activation& answer) {
  const Envelope& e = answer.envelope;
  EdgeSlot* slot = FindNewest(s, e);
  if (slot == nullptr) return;
  FrameInFlight* frame = nullptr;
  for (size_t i = 0; i < slot->in_flight.size(); ++i) {
    if (slot->in_flight[i].step == e.step) frame = &slot->in_flight[i];
  }
  if (frame == nullptr || frame->arrived) {
    ++s.counters.old_answers;  // a duplicate
    return;
  }
  if (!RowsFit(*frame, e)) {
    ++s.counters.broken_answers;
    return Retry(s, now, *slot, slot->answered, "an answer had other rows than were wanted");
  }
  frame->arrived = true;
  frame->rows = std::move(answer.rows);
  // Whoever answers is alive: the frames behind it get their time anew.
  for (size_t i = 0; i < slot->in_flight.size(); ++i) {
    slot->in_flight[i].deadline = now + s.options.step_deadline;
  }
  PassEmptyAnswers(s, *slot);
}

void On(EdgeState& s, Time now, AnswerBroken& e) {
  ++s.counters.broken_answers;
  EdgeSlot* slot = FindNewest(s, e.envelope);
  if (slot != nullptr) Retry(s, now, *slot, slot->answered, "an answer was broken");
}

void On(EdgeState& s, Time now, NodeId from, NeedPrefix& need) {
  EdgeSlot* slot = FindNewest(s, need);
  if (slot == nullptr) return;
  Retry(s, now, *slot, std::max(0, need.have),
        "worker " + NameOf(*slot, from) + " has " + std::to_string(need.have) + " positions");
}

void On(EdgeState& s, Time now, NodeId from, NeedRoute& need) {
  EdgeSlot* slot = FindNewest(s, need);
  if (slot == nullptr) return;
  RetryOnNewRoute(s, now, *slot, "worker " + NameOf(*slot, from) + " left the route");
}

void On(EdgeState& s, Time now, NodeId from, Rejected& rejected) {
  EdgeSlot* slot = FindNewest(s, rejected);
  if (slot == nullptr) return;
  Fail(s, now, *slot, WithContext(rejected.status, "worker " + NameOf(*slot, from)));
}

void On(EdgeState& s, Time now, DeadlinePassed& e) {
  EdgeSlot& slot = SlotAt(s, e.slot);
  const std::string why =
      "no answer within " + std::to_string(Seconds(s.options.step_deadline)) + " s";
  if ((slot.retries_in_a_row + 1) % kRetriesPerRoute == 0) {
    RetryOnNewRoute(s, now, slot, why);
  } else {
    Retry(s, now, slot, slot.answered, why);
  }
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
  if (grant.positions_max < slot.n_prompt) {
    return ResourceExhausted("the route's quota is " + std::to_string(grant.positions_max) +
                             " positions, the prompt has " + std::to_string(slot.n_prompt));
  }
  return absl::OkStatus();
}

void On(EdgeState& s, Time now, NodeId from, Route& route) {
  EdgeSlot* found = nullptr;
  for (EdgeSlot& slot : s.slots) {
    const bool asked = slot.phase == SlotPhase::kRouting && slot.route_request == route.request;
    if (asked && from == kCoordinatorNode) found = &slot;
  }
  if (found == nullptr) {
    ++s.counters.old_answers;  // asked twice, answered twice
    return;
  }
  EdgeSlot& slot = *found;
  absl::Status fits = route.status.ok() ? CheckGrant(s, slot, route.grant) : route.status;
  if (!fits.ok()) return Fail(s, now, slot, std::move(fits));
  slot.phase = SlotPhase::kRunning;
  slot.session = route.grant.session;
  slot.hops = std::move(route.grant.hops);
  ++slot.epoch;
  slot.sent = 0;
  if (slot.timings.output_tokens == 0) slot.started = now;
  s.outputs.push_back({.request = slot.request, .what = Routed{slot.hops}});
}

void On(EdgeState& s, Time now, RouteAsked& e) { SlotAt(s, e.slot).route_asked = now; }

void On(EdgeState& s, Time now, RouteTimedOut& e) {
  Fail(s, now, SlotAt(s, e.slot),
       Unavailable("the coordinator gave no route within " +
                   std::to_string(static_cast<int>(Seconds(kRouteGiveUp))) + " s"));
}

// --- Membership ---

void On(EdgeState& s, Time, NodeId from, Welcome& welcome) {
  if (from != kCoordinatorNode || s.phase != EdgePhase::kJoining) {
    ++s.counters.unexpected;
    return;
  }
  s.phase = EdgePhase::kJoined;
  s.status_interval = welcome.status_interval;
  s.status_sent.reset();
}

void On(EdgeState& s, Time now, NodeId from, Goodbye& goodbye) {
  if (from != kCoordinatorNode) {
    ++s.counters.unexpected;
  } else if (absl::IsUnavailable(goodbye.status)) {
    s.phase = EdgePhase::kJoining;
    s.hello_sent.reset();
  } else {
    s.phase = EdgePhase::kRefused;
    s.refusal = std::move(goodbye.status);
    for (EdgeSlot& slot : s.slots) {
      if (slot.phase == SlotPhase::kRouting) Fail(s, now, slot, s.refusal);
    }
    while (!s.waiting.empty()) {
      EndUnadmitted(s, s.waiting.pop_front().request, FinishReason::kError, s.refusal);
    }
  }
}

template <typename Other>
void On(EdgeState& s, Time, NodeId, Other&) {
  ++s.counters.unexpected;
}

void On(EdgeState& s, Time now, EdgeReceived& e) {
  std::visit([&](auto& message) { On(s, now, e.from, message); }, e.message);
}

void On(EdgeState& s, Time now, EdgeHelloSent&) { s.hello_sent = now; }
void On(EdgeState& s, Time now, EdgeStatusSent&) { s.status_sent = now; }

void On(EdgeState& s, Time now, EdgeTicked&) {
  const Duration stood_still = now - s.last_tick;
  s.last_tick = now;
  if (stood_still <= kStallMax) return;
  // Answers may lie in the inbox: what was not looked for is not late.
  for (EdgeSlot& slot : s.slots) {
    slot.routing_since += stood_still;
    for (size_t i = 0; i < slot.in_flight.size(); ++i) slot.in_flight[i].deadline += stood_still;
  }
}

// --- Requests ---

void On(EdgeState& s, Time now, Submitted& e) {
  const RequestId request = s.next_request++;
  absl::Status refused;
  if (s.phase == EdgePhase::kRefused) {
    refused = s.refusal;
  } else if (s.waiting.size() >= kRequestsWaitingMax) {
    refused = ResourceExhausted(std::to_string(s.waiting.size()) + " requests wait already");
  }
  if (!refused.ok()) {
    return EndUnadmitted(s, request, FinishReason::kError, std::move(refused));
  }
  s.waiting.push_back({.request = request, .what = std::move(e.request), .submitted = now});
}

void On(EdgeState& s, Time now, CancelRequested& e) {
  for (EdgeSlot& slot : s.slots) {
    const bool live = slot.phase == SlotPhase::kRouting || slot.phase == SlotPhase::kRunning;
    if (live && slot.request == e.request) {
      return Finish(s, now, slot, FinishReason::kCancelled, absl::OkStatus());
    }
  }
  for (size_t n = s.waiting.size(); n > 0; --n) {  // once around the ring
    WaitingGeneration waiting = s.waiting.pop_front();
    if (waiting.request != e.request) {
      s.waiting.push_back(std::move(waiting));
      continue;
    }
    EndUnadmitted(s, e.request, FinishReason::kCancelled, absl::OkStatus());
  }
}

void On(EdgeState& s, Time now, Admitted& e) {
  EdgeSlot& slot = SlotAt(s, e.slot);
  CHECK(slot.phase == SlotPhase::kFree);
  WaitingGeneration waiting = s.waiting.pop_front();
  GenerateRequest& what = waiting.what;
  slot.request = waiting.request;
  slot.n_prompt = static_cast<int>(what.prompt.size());
  slot.n_predict = what.n_predict;
  slot.pages = EdgePagesFor(s.options, slot.n_prompt, slot.n_predict);
  s.pages_free -= slot.pages;
  slot.tokens = std::move(what.prompt);
  slot.tokens.reserve(static_cast<size_t>(
      slot.n_prompt + std::min(slot.n_predict, s.options.context_max - slot.n_prompt)));
  const int frame_rows = FrameRowsMax(s.options.model.n_embd);
  const int chunk = what.chunk_rows > 0 ? what.chunk_rows : frame_rows;
  slot.chunk_rows = std::min({chunk, frame_rows, s.options.rows_max});
  slot.ignore_end = what.ignore_end;
  slot.sampler = Sampler(what.sampler);
  slot.text = std::make_unique<TextStream>(*s.tokenizer, std::move(what.stops));
  slot.submitted = waiting.submitted;
  slot.timings.prompt_tokens = slot.n_prompt;
  slot.timings.queued = now - waiting.submitted;
  BeginRouting(s, now, slot);
}

// --- Jobs ---

void On(EdgeState& s, Time, FrontStarted& e) {
  CHECK(!s.busy && s.running.empty());
  s.busy = true;
  std::swap(s.running, *e.items);
  for (const EdgeItem& item : s.running) {
    EdgeSlot& slot = SlotAt(s, item.slot);
    slot.sent = item.base + item.n;
    slot.front_running = true;
    s.next_slot = (item.slot + 1) % static_cast<int>(s.slots.size());
  }
}

void SendFrame(EdgeState& s, Time now, EdgeSlot& slot, EdgeItem& item) {
  FrameInFlight frame{.step = ++slot.step,
                      .base = item.base,
                      .n = item.n,
                      .wanted = item.wanted,
                      .deadline = now + s.options.step_deadline};
  slot.bytes_in_flight += frame.bytes(s.options.model.n_embd);
  ++s.counters.frames;
  if (slot.hops.empty()) {  // all layers are here: the rows are their own answer
    frame.arrived = true;
    if (item.wanted == RowsWanted::kAll) frame.rows = std::move(item.rows_out);
    slot.in_flight.push_back(std::move(frame));
    return PassEmptyAnswers(s, slot);
  }
  Envelope e{.session = slot.session,
             .edge = s.self,
             .step = frame.step,
             .epoch = slot.epoch,
             .base = static_cast<uint32_t>(item.base),
             .n = static_cast<uint32_t>(item.n),
             .rows_wanted = item.wanted};
  e.n_hops = static_cast<uint8_t>(slot.hops.size() - 1);
  for (size_t i = 1; i < slot.hops.size(); ++i) e.hops[i - 1] = slot.hops[i].node;
  slot.in_flight.push_back(std::move(frame));
  Owe(s, slot.hops[0].node, Activation{.envelope = e, .rows = std::move(item.rows_out)});
}

void On(EdgeState& s, Time now, FrontDone&) {
  s.busy = false;
  for (EdgeItem& item : s.running) {
    EdgeSlot& slot = SlotAt(s, item.slot);
    slot.front_running = false;
    // After a retry in between, these positions are computed again under the new epoch.
    if (slot.phase == SlotPhase::kRunning && slot.epoch == item.epoch) {
      SendFrame(s, now, slot, item);
    }
  }
  s.running.clear();
}

void On(EdgeState& s, Time, BackStarted& e) {
  CHECK(!s.busy && s.running.empty());
  s.busy = true;
  for (const int index : *e.slots) {
    EdgeSlot& slot = SlotAt(s, index);
    FrameInFlight frame = slot.in_flight.pop_front();
    slot.bytes_in_flight -= frame.bytes(s.options.model.n_embd);
    slot.back_running = true;
    EdgeItem item{.slot = index, .request = slot.request, .epoch = slot.epoch};
    item.n = frame.rows.n();
    item.base = frame.end() - item.n;
    item.sample = frame.end() == static_cast<int>(slot.tokens.size());
    item.rows_in = std::move(frame.rows);
    s.running.push_back(std::move(item));
  }
}

void On(EdgeState& s, Time now, BackDone&) {
  s.busy = false;
  for (EdgeItem& item : s.running) {
    EdgeSlot& slot = SlotAt(s, item.slot);
    slot.back_running = false;
    if (slot.phase != SlotPhase::kRunning && slot.phase != SlotPhase::kRouting) continue;
    // True under any epoch: the log has not changed, so neither has what follows from it.
    slot.answered = std::max(slot.answered, item.base + item.n);
    slot.retries_in_a_row = 0;
    if (item.sample) AcceptToken(s, now, slot, item.token);
    PassEmptyAnswers(s, slot);
  }
  s.running.clear();
}

void On(EdgeState& s, Time, EdgeReleaseStarted&) { s.busy = true; }

void On(EdgeState& s, Time, EdgePagesReleased& e) {
  s.busy = false;
  for (const int index : *e.slots) {
    EdgeSlot& slot = SlotAt(s, index);
    CHECK(slot.phase == SlotPhase::kDone && !slot.front_running && !slot.back_running);
    s.pages_free += slot.pages;
    slot = EdgeSlot{};
  }
}

}  // namespace

EdgeState NewEdgeState(EdgeOptions options, NodeId self, const Tokenizer& tokenizer) {
  CHECK(CheckEdgeOptions(options).ok());
  EdgeState state;
  state.options = std::move(options);
  state.tokenizer = &tokenizer;
  state.self = self;
  state.pages_free = state.options.kv_pages;
  state.slots.resize(static_cast<size_t>(state.options.n_parallel));
  return state;
}

void Apply(EdgeState& state, Time now, EdgeEvent event) {
  std::visit([&](auto& e) { On(state, now, e); }, event);
}

}  // namespace mortar
