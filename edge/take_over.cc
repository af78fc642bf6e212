#include "edge/take_over.h"

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "edge/session.h"
#include "edge/state.h"

namespace mortar {
namespace {

bool IsRouting(const EdgeSlot& slot) { return slot.phase == SlotPhase::kRouting; }

Duration PatienceOf(const EdgeState& s, const EdgeSlot& slot) {
  if (!slot.given_up.ok()) return {};
  return s.middle.phase == MiddlePhase::kLoaded ? kTakeOverLoadedAfter : kTakeOverAfter;
}

bool WantsMiddle(const EdgeState& s, Time now, const EdgeSlot& slot) {
  return IsRouting(slot) && s.options.takes_over && slot.take_over_refusal.ok() &&
         now - slot.routing_since >= PatienceOf(s, slot);
}

bool AnyIsAlone(const EdgeState& s) {
  return std::ranges::any_of(
      s.slots, [](const EdgeSlot& slot) { return slot.phase != SlotPhase::kFree && slot.alone; });
}

}  // namespace

bool MayTakeOver(const EdgeState& s, Time now) {
  const Middle& middle = s.middle;
  return s.options.takes_over && (middle.refusal.ok() || now - middle.refused >= kMiddleRetryAfter);
}

bool WaitsForMiddle(const EdgeState& s, Time now, const EdgeSlot& slot) {
  const bool hangs =
      s.middle.phase == MiddlePhase::kLoading && now - s.middle.loading_since > kMiddleLoadMax;
  return WantsMiddle(s, now, slot) && !hangs;
}

void PlanTakeOver(const EdgeState& s, Time now, EdgePlan& plan) {
  plan.load_middle = plan.unload_middle = false;
  plan.go_alone.clear();
  for (size_t i = 0; i < s.slots.size(); ++i) {
    if (!WantsMiddle(s, now, s.slots[i])) continue;
    if (s.middle.phase == MiddlePhase::kAbsent) plan.load_middle = true;
    // Its pages are the engine's, which a job may have now.
    if (s.middle.phase == MiddlePhase::kLoaded && !s.busy) {
      plan.go_alone.push_back(static_cast<int>(i));
    }
  }
  plan.unload_middle = s.middle.phase == MiddlePhase::kLoaded && !s.busy && plan.go_alone.empty() &&
                       !AnyIsAlone(s) && now - s.middle.used >= kMiddleIdleMax;
}

void TakeLoaded(EdgeState& s, Time now, MiddleLoaded& loaded) {
  CHECK(s.middle.phase == MiddlePhase::kLoading);
  s.middle.refusal = loaded.status;
  if (loaded.status.ok()) {
    s.middle.phase = MiddlePhase::kLoaded;
    s.middle.used = now;
    return;
  }
  s.middle.phase = MiddlePhase::kAbsent;
  s.middle.refused = now;
  for (EdgeSlot& slot : s.slots) {
    if (!IsRouting(slot)) continue;
    slot.take_over_refusal = loaded.status;
    if (!slot.given_up.ok()) Fail(s, now, slot, WithTakeOverRefusal(slot, slot.given_up));
  }
}

void GiveUpRoutes(EdgeState& s, Time now, EdgeSlot& slot, absl::Status why) {
  const bool waits = IsRouting(slot);
  const bool may =
      waits ? s.options.takes_over && slot.take_over_refusal.ok() : MayTakeOver(s, now);
  if (!may) {
    if (!waits) slot.take_over_refusal = s.middle.refusal;
    return Fail(s, now, slot, WithTakeOverRefusal(slot, std::move(why)));
  }
  if (!waits) LeaveRoute(s, now, slot);
  if (slot.given_up.ok()) slot.given_up = std::move(why);  // the first is what it began with
}

void GoAlone(EdgeState& s, Time now, EdgeSlot& slot) {
  CHECK(IsRouting(slot) && s.middle.phase == MiddlePhase::kLoaded);
  CHECK(slot.hops.empty() && slot.in_flight.empty());
  ++s.counters.taken_over;
  slot.phase = SlotPhase::kRunning;
  slot.alone = true;
  slot.session = SessionId{};  // nobody else's word counts for it
  slot.frames_granted = slot.frames_max = kFramesInFlightMax;
  slot.bytes_granted = kRowBytesInFlightMax;
  ++slot.epoch;
  slot.sent = 0;
  slot.at_hops = 0;
  slot.held_until = {};
  slot.retries_on_route = slot.new_routes = 0;
  if (slot.timings.output_tokens == 0) slot.started = now;
  const LayerRange middle = {s.options.front_layers,
                             s.options.model.n_layers - s.options.back_layers};
  s.outputs.push_back({.request = slot.request, .what = Routed{.hops = {}, .here = middle}});
}

absl::Status WithTakeOverRefusal(const EdgeSlot& slot, absl::Status why) {
  const absl::Status& refusal = slot.take_over_refusal;
  if (refusal.ok()) return why;
  return absl::Status(why.code(),
                      Message(why) + "; this edge did not take over: " + Message(refusal));
}

}  // namespace mortar
