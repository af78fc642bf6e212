// What an edge should do now.
//
//   state                                        | plan
//   ---------------------------------------------+--------------------------------------------
//   joining, joined                              | Hello, NodeStatus: as a worker
//   a session is routing, and we have joined     | RouteRequest, every kRouteAskInterval, and at
//                                                | once after a Welcome, when the coordinator that
//                                                | was asked has gone or refused, and once it has
//                                                | not answered for kWatchedSilenceMax: then to
//                                                | all that are there
//   a session is routing for kRouteGiveUp        | it timed out, unless it waits for the middle
//   a session is routing for kTakeOverAfter, or  | the middle is loaded, and the session goes on
//   gave up on routes, and this edge may take    | alone when it is here
//   over                                         |
//   no session has used the middle for           | it is unloaded
//   kMiddleIdleMax                               |
//   a frame in flight is beyond its deadline     | its session's deadline passed
//   engine idle, sessions are done               | release their pages
//   engine idle, else answers of some sessions   | nothing, until no answer has come for GatherGap
//   that decode are here, others' on their way   |
//   engine idle, else first frames have answers  | a batch of the back layers
//   engine idle, else positions are to be sent   | a batch of the front layers: decode first, one
//                                                | chunk a session, round robin, rows_max, within
//                                                | its frames_max and bytes_granted, and of
//                                                | prompts while another session decodes within
//                                                | kSharedRowBytesInFlightMax together, and one
//                                                | frame of each beyond; behind the log's last
//                                                | token its guesses, as many as fit; one chunk of
//                                                | prefill before decode after kDecodeStreakMax
//                                                | batches without it
//   engine idle, a place and its pages are free  | admit the request that waits longest
#include <algorithm>

#include "edge/state.h"
#include "engine/kernels/kernels.h"

namespace mortar {
namespace {

const EdgeSlot& SlotAt(const EdgeState& s, int slot) { return s.slots[static_cast<size_t>(slot)]; }

// Whether the one that was asked alone has had its time, and another is there.
bool AsksMore(const EdgeState& s, const EdgeSlot& slot, Time now) {
  if (!slot.route_asked || !slot.route_awaited || s.coordinators.size() < 2) return false;
  const Time due = *slot.route_awaited + kWatchedSilenceMax;
  return *slot.route_asked < due && now >= due;
}

void PlanSessions(const EdgeState& s, Time now, EdgePlan& plan) {
  for (size_t i = 0; i < s.slots.size(); ++i) {
    const EdgeSlot& slot = s.slots[i];
    const int index = static_cast<int>(i);
    if (slot.phase == SlotPhase::kRouting) {
      const bool due = now >= slot.held_until && slot.given_up.ok() &&
                       (!slot.route_asked || now - *slot.route_asked >= kRouteAskInterval ||
                        AsksMore(s, slot, now));
      if (now - slot.routing_since > kRouteGiveUp && !WaitsForMiddle(s, now, slot)) {
        plan.route_timed_out.push_back(index);
      } else if (due && PhaseOf(s.coordinators) == Membership::kJoined) {
        plan.ask_route.push_back(index);
      }
    } else if (slot.phase == SlotPhase::kRunning) {
      for (size_t f = 0; f < slot.in_flight.size(); ++f) {
        const FrameInFlight& frame = slot.in_flight[f];
        if (frame.arrived || frame.deadline >= now) continue;
        plan.deadline_passed.push_back(index);
        break;
      }
    } else if (slot.phase == SlotPhase::kDone && !s.busy) {
      plan.release.push_back(index);
    }
  }
}

bool Decodes(const EdgeSlot& slot) {
  return slot.phase == SlotPhase::kRunning && slot.timings.output_tokens > 0;
}

void PlanBack(const EdgeState& s, EdgePlan& plan) {
  int rows = 0;
  for (size_t i = 0; i < s.slots.size(); ++i) {
    const EdgeSlot& slot = s.slots[i];
    if (slot.phase != SlotPhase::kRunning || slot.in_flight.empty()) continue;
    const FrameInFlight& first = slot.in_flight.front();
    if (!first.arrived || rows + first.rows.n() > s.options.rows_max) continue;
    plan.back.push_back(static_cast<int>(i));
    rows += first.rows.n();
  }
}

// Until when a token whose answer is here waits for the answers of others, which leave a worker
// together, as its frames do there (worker/gather.cc).
std::optional<Time> GatherUntil(const EdgeState& s, Time now) {
  bool here = false, awaited = false;
  for (const EdgeSlot& slot : s.slots) {
    if (!Decodes(slot) || slot.in_flight.empty()) continue;
    (slot.in_flight.front().arrived ? here : awaited) = true;
  }
  if (!here || !awaited || !s.answer_heard) return {};
  const Time until = *s.answer_heard + GatherGap(s.back_time);
  return until > now ? std::optional<Time>(until) : std::nullopt;
}

// Rows that the back layers need of a frame without guesses up to `end`.
RowsWanted Wanted(const EdgeState& s, const EdgeSlot& slot, int end) {
  if (end <= slot.answered) return RowsWanted::kNone;  // a replay: the back layers have them
  if (s.options.back_layers > 0 || slot.hops.empty()) return RowsWanted::kAll;
  return end == static_cast<int>(slot.tokens.size()) ? RowsWanted::kLast : RowsWanted::kNone;
}

// The guesses that a frame of the log's last token can carry.
StepTokens GuessesOfFrame(const EdgeState& s, const EdgeSlot& slot) {
  StepTokens guesses = slot.guesses;
  const size_t row_bytes = FrameInFlight{.n = 1}.bytes(s.options.model.n_embd);
  const int rows = static_cast<int>(std::min(slot.bytes_granted, kFrameRowBytesMax) / row_bytes);
  guesses.n = std::min(guesses.n, rows - 1);
  return guesses;
}

// A token and its guesses leave when nothing else of their session is on its way; so do short
// prompts.
bool IsDecode(const EdgeSlot& slot, int n) { return n <= kDecodeRowsMax && slot.in_flight.empty(); }

// What sessions that decode leave to prompts.
struct Share {
  bool bounded = false;  // another session decodes
  size_t row_bytes = 0;  // of prompts in flight, all sessions together
};

Share ShareOf(const EdgeState& s, int index) {
  Share share;
  for (size_t i = 0; i < s.slots.size(); ++i) {
    const EdgeSlot& slot = s.slots[i];
    if (static_cast<int>(i) != index && Decodes(slot)) share.bounded = true;
    const bool prompt = slot.in_flight.size() > 1 ||
                        (!slot.in_flight.empty() && slot.in_flight.front().n > kDecodeRowsMax);
    if (prompt) share.row_bytes += slot.bytes_in_flight;
  }
  return share;
}

// The next chunk of a session within the flow limits, where prompts of other sessions take
// `planned` bytes of rows in the same batch; n = 0 when there is none.
EdgeItem NextChunk(const EdgeState& s, Time now, int index, size_t planned = 0) {
  const EdgeSlot& slot = SlotAt(s, index);
  EdgeItem item{.slot = index, .request = slot.request, .epoch = slot.epoch};
  if (slot.phase != SlotPhase::kRunning || slot.front_running || now < slot.held_until ||
      slot.in_flight.size() >= static_cast<size_t>(slot.frames_max)) {
    return item;
  }
  const int n_tokens = static_cast<int>(slot.tokens.size());
  if (slot.sent >= n_tokens) return item;
  const size_t row_bytes = FrameInFlight{.n = 1}.bytes(s.options.model.n_embd);
  int n = std::min(slot.chunk_rows, n_tokens - slot.sent);
  if (slot.guesses.n > 0 && slot.sent == slot.answered) {
    item.guesses = GuessesOfFrame(s, slot);
    n += item.guesses.n;
  } else if (n > 1) {
    const Share share = ShareOf(s, index);
    if (share.bounded) {
      n = std::min(n, std::max(1, static_cast<int>(kSharedFrameRowBytesMax / row_bytes)));
      const size_t others = share.row_bytes + planned;
      const size_t together = others + static_cast<size_t>(n) * row_bytes;
      // Each has one frame of its own: a slow route of one must not hold up the prompts of others.
      if (slot.bytes_in_flight > 0 && together > kSharedRowBytesInFlightMax) return item;
    }
  }
  if (slot.bytes_in_flight + static_cast<size_t>(n) * row_bytes > slot.bytes_granted) return item;
  item.base = slot.sent;
  item.n = n;
  item.wanted = item.guesses.n > 0 ? RowsWanted::kAll : Wanted(s, slot, slot.sent + n);
  return item;
}

// Adds chunks of the class wanted, until rows or `items_max` run out. Returns the rows.
int AddChunks(const EdgeState& s, Time now, bool decode, int items_max, int rows, EdgePlan& plan) {
  const int n_slots = static_cast<int>(s.slots.size());
  size_t planned = 0;
  for (int i = 0; i < n_slots && items_max > 0; ++i) {
    EdgeItem item = NextChunk(s, now, (s.next_slot + i) % n_slots, planned);
    if (item.n == 0 || IsDecode(SlotAt(s, item.slot), item.n) != decode) continue;
    if (rows + item.n > s.options.rows_max) continue;
    rows += item.n;
    --items_max;
    if (!decode) planned += FrameInFlight{.n = item.n}.bytes(s.options.model.n_embd);
    plan.front.push_back(std::move(item));
  }
  return rows;
}

bool PrefillWaits(const EdgeState& s, Time now) {
  for (size_t i = 0; i < s.slots.size(); ++i) {
    const EdgeItem item = NextChunk(s, now, static_cast<int>(i));
    if (item.n > 0 && !IsDecode(s.slots[i], item.n)) return true;
  }
  return false;
}

void PlanFront(const EdgeState& s, Time now, EdgePlan& plan) {
  const int n_slots = static_cast<int>(s.slots.size());
  // Prefill has waited long enough, if any waits: it goes first this once.
  const bool prefill_first = s.decode_streak >= kDecodeStreakMax;
  const int rows = prefill_first ? AddChunks(s, now, /*decode=*/false, 1, 0, plan) : 0;
  AddChunks(s, now, /*decode=*/true, n_slots, rows, plan);
  if (plan.front.empty()) {
    AddChunks(s, now, /*decode=*/false, n_slots, 0, plan);
  } else if (!prefill_first) {
    plan.prefill_waits = PrefillWaits(s, now);
  }
}

void PlanAdmission(const EdgeState& s, EdgePlan& plan) {
  if (s.waiting.empty()) return;
  const GenerateRequest& what = s.waiting.front().what;
  const int pages = EdgePagesFor(s.options, static_cast<int>(what.prompt.size()), what.n_predict);
  if (pages > s.pages_free) return;
  for (size_t i = 0; i < s.slots.size() && plan.admit < 0; ++i) {
    if (s.slots[i].phase == SlotPhase::kFree) plan.admit = static_cast<int>(i);
  }
}

}  // namespace

void Plan(const EdgeState& s, Time now, EdgePlan& plan) {
  plan.send_hello.clear();
  plan.send_status.clear();
  for (size_t i = 0; i < s.coordinators.size(); ++i) {
    if (HelloDue(s.coordinators[i], now)) plan.send_hello.push_back(static_cast<int>(i));
    if (StatusDue(s.coordinators[i], now)) plan.send_status.push_back(static_cast<int>(i));
  }
  plan.admit = -1;
  plan.ask_route.clear();
  plan.route_timed_out.clear();
  plan.deadline_passed.clear();
  plan.release.clear();
  plan.back.clear();
  plan.front.clear();
  plan.gathers_until.reset();
  plan.prefill_waits = false;
  PlanSessions(s, now, plan);
  PlanTakeOver(s, now, plan);
  if (s.busy) return;
  PlanAdmission(s, plan);
  // What has a deadline behind it or is done changes before anything of it runs.
  if (!plan.release.empty() || !plan.deadline_passed.empty()) return;
  plan.gathers_until = GatherUntil(s, now);
  if (plan.gathers_until) return;
  PlanBack(s, plan);
  if (plan.back.empty()) PlanFront(s, now, plan);
}

std::vector<int> CoordinatorsToAsk(const EdgeState& s, const EdgeSlot& slot, Time now) {
  std::vector<int> here, silent;
  bool refused = false;
  for (size_t i = 0; i < s.coordinators.size(); ++i) {
    const KnownCoordinator& c = s.coordinators[i];
    refused = refused || !slot.refusals[i].ok();
    if (c.phase != Membership::kJoined || !slot.refusals[i].ok()) continue;
    (IsHere(c, now) ? here : silent).push_back(static_cast<int>(i));
  }
  here.insert(here.end(), silent.begin(), silent.end());
  const bool waited = slot.route_awaited && now - *slot.route_awaited >= kWatchedSilenceMax;
  if (!refused && !waited && here.size() > 1) here.resize(1);
  return here;
}

NodeStatus StatusOf(const EdgeState& s, int coordinator) {
  NodeStatus status;
  status.role = Role::kEdge;
  for (const EdgeSlot& slot : s.slots) status.sessions += slot.phase == SlotPhase::kFree ? 0 : 1;
  status.kv_positions_free = s.pages_free * kKvPagePositions;
  status.front_layers = s.options.front_layers;
  status.back_layers = s.options.back_layers;
  status.head_bytes = s.options.head_bytes;
  status.ns_per_byte = std::min(s.speed.ns_per_byte(), kNsPerByteMax);
  status.round_trip_ns = s.coordinators[static_cast<size_t>(coordinator)].round_trip.ns();
  status.outline = s.options.outline;
  return status;
}

Counts RefusalsOf(const EdgeCounters& n) {
  return {{"old_answers", n.old_answers},
          {"broken_answers", n.broken_answers},
          {"broken_seals", n.broken_seals},
          {"bad_grants", n.bad_grants},
          {"unexpected", n.unexpected}};
}

}  // namespace mortar
