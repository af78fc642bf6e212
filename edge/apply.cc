// How each event but a message changes an edge's state: the table in state.h, row by row.
#include <algorithm>
#include <utility>

#include "common/check.h"
#include "edge/session.h"
#include "edge/state.h"

namespace mortar {
namespace {

EdgeSlot& SlotAt(EdgeState& s, int slot) { return s.slots[static_cast<size_t>(slot)]; }

// --- Messages, time ---

void On(EdgeState& s, Time now, EdgeReceived& e) { Receive(s, now, e); }

void On(EdgeState& s, Time, SealBroken&) { ++s.counters.broken_seals; }

void On(EdgeState& s, Time, RouteForged&) { ++s.counters.bad_grants; }

void On(EdgeState& s, Time, KeyWanted& e) { GiveKeyAgain(s, e.from, e.need); }

void On(EdgeState& s, Time now, AnswerBroken& e) {
  ++s.counters.broken_answers;
  EdgeSlot* slot = FindAnswered(s, e.from, e.envelope);
  if (slot == nullptr) return;
  Retry(s, now, *slot, slot->at_hops, "an answer was broken: " + Message(e.status));
}

void On(EdgeState& s, Time now, DeadlinePassed& e) {
  EdgeSlot& slot = SlotAt(s, e.slot);
  const std::string why = "no answer within " + InSeconds(s.options.step_deadline);
  if ((slot.retries_on_route + 1) % kRetriesPerRoute == 0) {
    std::vector<NodeId> hops;  // any of them
    for (const Hop& hop : slot.hops) hops.push_back(hop.node);
    RetryOnNewRoute(s, now, slot, why, std::move(hops), kRetriesPerRoute);
  } else {
    Retry(s, now, slot, slot.at_hops, why);
  }
}

void On(EdgeState& s, Time now, RouteAsked& e) {
  EdgeSlot& slot = SlotAt(s, e.slot);
  slot.route_asked = now;
  if (!slot.route_awaited) slot.route_awaited = now;
}

// Why no route came, as far as anybody said: of several reasons the first that is one.
absl::Status NoRouteOf(const EdgeState& s, const EdgeSlot& slot) {
  if (!slot.given_up.ok()) return slot.given_up;
  if (!slot.route_refusal.ok()) return slot.route_refusal;
  for (const absl::Status& refusal : slot.refusals) {
    if (!refusal.ok()) return refusal;
  }
  const std::string why = "the coordinator gave no route within " + InSeconds(kRouteGiveUp);
  if (PhaseOf(s.coordinators) != Membership::kJoining) return Unavailable(why);
  for (const KnownCoordinator& away : s.coordinators) {
    if (!away.why.ok()) return Unavailable(why + "; it is gone: " + Message(away.why));
  }
  return Unavailable(why + "; it is gone: it answers no Hello");
}

void On(EdgeState& s, Time now, RouteTimedOut& e) {
  EdgeSlot& slot = SlotAt(s, e.slot);
  if (slot.take_over_refusal.ok() && s.middle.phase == MiddlePhase::kLoading) {
    slot.take_over_refusal =
        Unavailable("its layers were not read within " + InSeconds(kMiddleLoadMax));
  }
  Fail(s, now, slot, WithTakeOverRefusal(slot, NoRouteOf(s, slot)));
}

void On(EdgeState& s, Time now, EdgeHelloSent& e) {
  s.coordinators[static_cast<size_t>(e.coordinator)].hello_sent = now;
}
void On(EdgeState& s, Time now, EdgeStatusSent& e) {
  s.coordinators[static_cast<size_t>(e.coordinator)].status_sent = now;
}

void On(EdgeState& s, Time now, EdgeTicked&) {
  const Duration stood_still = now - s.last_tick;
  s.last_tick = now;
  if (stood_still <= kStallMax) return;
  s.middle.loading_since += stood_still;
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
  if (PhaseOf(s.coordinators) == Membership::kRefused) {
    refused = RefusalOf(s.coordinators);
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
  slot.positions_max = EdgePositionsFor(s.options, slot.n_prompt, slot.n_predict);
  slot.pages = EdgePagesFor(s.options, slot.n_prompt, slot.n_predict);
  s.pages_free -= slot.pages;
  slot.tokens = std::move(what.prompt);
  slot.tokens.reserve(static_cast<size_t>(slot.positions_max));
  const int frame_rows = FrameRowsMax(s.options.model.n_embd);
  const int chunk = what.chunk_rows > 0 ? what.chunk_rows : frame_rows;
  slot.chunk_rows = std::min({chunk, frame_rows, s.options.rows_max});
  slot.ignore_end = what.ignore_end;
  slot.sampler = Sampler(what.sampler);
  slot.text = std::make_unique<TextStream>(*s.tokenizer, std::move(what.stops));
  if (s.options.drafting.make) slot.drafter = s.options.drafting.make(slot.positions_max);
  slot.draft_length = DraftLength(s.options.drafting.max);
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
  s.decode_streak = e.prefill_waits ? std::min(s.decode_streak + 1, kDecodeStreakMax) : 0;
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
                      .guesses = item.guesses,
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
             .rows_wanted = item.wanted,
             .layer = static_cast<uint16_t>(s.options.front_layers)};
  e.n_hops = static_cast<uint8_t>(slot.hops.size() - 1);
  for (size_t i = 1; i < slot.hops.size(); ++i) e.hops[i - 1] = slot.hops[i].node;
  slot.in_flight.push_back(std::move(frame));
  Owe(s, slot.hops[0].node, Activation{.envelope = e, .rows = std::move(item.rows_out)},
      slot.rows_key);
}

void On(EdgeState& s, Time now, FrontDone& e) {
  s.busy = false;
  for (EdgeItem& item : s.running) {
    EdgeSlot& slot = SlotAt(s, item.slot);
    slot.front_running = false;
    slot.timings.compute += e.time;
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
    item.guesses = frame.guesses;
    item.sample = frame.end() - frame.guesses.n == static_cast<int>(slot.tokens.size());
    item.rows_in = std::move(frame.rows);
    s.running.push_back(std::move(item));
  }
}

void On(EdgeState& s, Time now, BackDone& e) {
  s.busy = false;
  s.back_time = e.time;
  if (s.running.size() == 1 && s.running[0].n == 1 && s.running[0].sample &&
      s.running[0].base < kEdgeSpeedPositionsMax) {
    s.speed.Add(now, e.time, s.options.back_bytes + s.options.head_bytes);
  }
  for (EdgeItem& item : s.running) {
    EdgeSlot& slot = SlotAt(s, item.slot);
    slot.back_running = false;
    slot.timings.compute += e.time;
    if (slot.phase != SlotPhase::kRunning && slot.phase != SlotPhase::kRouting) continue;
    // True under any epoch: the log has not changed, so neither has what follows from it.
    slot.answered = std::max(slot.answered, item.base + item.n - item.guesses.n);
    if (slot.epoch == item.epoch) slot.at_hops = item.base + item.n - item.guesses.n;
    Progress(slot);
    if (item.sample) AcceptDrawn(s, now, slot, item);
    if (slot.phase == SlotPhase::kDone) continue;
    Guess(s, slot);
    PassEmptyAnswers(s, slot);
  }
  s.running.clear();
}

// --- The middle ---

void On(EdgeState& s, Time now, MiddleLoadStarted&) {
  CHECK(s.middle.phase == MiddlePhase::kAbsent);
  s.middle.phase = MiddlePhase::kLoading;
  s.middle.loading_since = now;
}

void On(EdgeState& s, Time now, MiddleLoaded& e) { TakeLoaded(s, now, e); }

void On(EdgeState& s, Time, MiddleUnloadStarted&) {
  CHECK(s.middle.phase == MiddlePhase::kLoaded);
  s.middle.phase = MiddlePhase::kUnloading;
}

void On(EdgeState& s, Time, MiddleUnloaded&) { s.middle.phase = MiddlePhase::kAbsent; }

void On(EdgeState& s, Time now, WentAlone& e) { GoAlone(s, now, SlotAt(s, e.slot)); }

void On(EdgeState& s, Time, EdgeReleaseStarted&) { s.busy = true; }

void On(EdgeState& s, Time now, EdgePagesReleased& e) {
  s.busy = false;
  for (const int index : *e.slots) {
    EdgeSlot& slot = SlotAt(s, index);
    if (slot.alone) s.middle.used = now;
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
  CHECK(state.options.coordinators >= 1 && state.options.coordinators <= kCoordinatorsMax);
  state.coordinators.resize(static_cast<size_t>(state.options.coordinators));
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
