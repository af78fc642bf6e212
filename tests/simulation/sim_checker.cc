#include "tests/simulation/sim_checker.h"

#include <cstring>
#include <string_view>

#include "tests/simulation/undisturbed.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

// A loop takes at most so many messages a round; then it plans, before it asks for the next one.
constexpr int kMessagesPerStep = 256;
// A round of a coordinator's loop, and what it had not looked at.
constexpr Duration kRoundMax = std::chrono::milliseconds(500);
// A worker is looked at when it looks for messages: each 50 ms, when nothing else happens.
constexpr Duration kLookMax = std::chrono::milliseconds(100);

size_t Arrived(const EdgeSlot& slot) {
  size_t n = 0;
  for (size_t i = 0; i < slot.in_flight.size(); ++i) n += slot.in_flight[i].arrived ? 1 : 0;
  return n;
}

struct Answered {
  SessionId session;
  uint32_t epoch = 0;
};

// Of what session and epoch an answer to an edge speaks; absent: it is none.
std::optional<Answered> AnsweredBy(const AnyMessage& message) {
  if (const auto* m = std::get_if<Activation>(&message)) {
    return Answered{m->envelope.session, m->envelope.epoch};
  }
  if (const auto* m = std::get_if<NeedPrefix>(&message)) return Answered{m->session, m->epoch};
  if (const auto* m = std::get_if<NeedRoute>(&message)) return Answered{m->session, m->epoch};
  if (const auto* m = std::get_if<Rejected>(&message)) return Answered{m->session, m->epoch};
  return std::nullopt;
}

}  // namespace

void SimChecker::Broken(const std::string& what) {
  if (broken_.empty())
    broken_ = "at " + std::to_string(Seconds(clock_.Now() - Time{})) + " s: " + what;
}

void SimChecker::Forget(NodeId node) {
  seen_.erase(node);
  stale_.erase(node);
  polled_in_a_row_.erase(node);
  at_hops_.erase(node);
  sealed_.erase(node);  // a process that begins has another id, but here
  obeying_.erase(node);
  // It stood still for as long as it was dead, and that is no stall.
  if (!IsCoordinator(node)) return;
  AtCoordinator begins;
  begins.turned = at_coordinator_[node].turned;
  at_coordinator_[node] = std::move(begins);
}

// --- What is sent ---

void SimChecker::Sent(NodeId from, const AnyMessage& message) {
  if (!view_.Has(from)) return;
  CheckPrivate(from, message);
  if (const auto* frame = std::get_if<Activation>(&message)) Ran(from, frame->envelope);
  if (const auto worker = view_.workers.find(from); worker != view_.workers.end()) {
    CheckLimits(*worker->second);
  } else if (const auto edge = view_.edges.find(from); edge != view_.edges.end()) {
    CheckLimits(*edge->second);
    if (const auto* frame = std::get_if<Activation>(&message)) Began(from, frame->envelope);
  } else {
    CheckLimits(*view_.coordinators.at(from));
    const auto* route = std::get_if<Route>(&message);
    if (route == nullptr || !route->status.ok()) return;
    CheckGrant(from, *route);
    granted_[route->grant.session] = route->grant;
  }
}

void SimChecker::Ran(NodeId node, const Envelope& e) {
  CheckNumber(node, e);
  Seen& seen = seen_[node][e.session];
  if (seen.step && e.step <= *seen.step) Broken("node " + ToString(node) + " ran an old step");
  if (e.epoch < seen.epoch && e.step > seen.step_started) {
    Broken("node " + ToString(node) + " ran a frame of a lower epoch");
  }
  seen.step = std::max(seen.step.value_or(0), e.step);
  const auto worker = view_.workers.find(node);
  if (worker == view_.workers.end()) return;
  const auto place = worker->second->place_of.find(e.session);
  if (place == worker->second->place_of.end()) return;
  const WorkerSession& session = worker->second->places[static_cast<size_t>(place->second)];
  if (session.applied_step == e.step && session.applied_have != static_cast<int>(e.base + e.n)) {
    Broken("node " + ToString(node) + " has " + std::to_string(session.applied_have) +
           " positions behind a frame that ends at " + std::to_string(e.base + e.n));
  }
}

// The same frame again has the same tag.
void SimChecker::CheckNumber(NodeId node, const Envelope& e) {
  if (!e.is_sealed()) return;
  const auto [known, fresh] = sealed_[node].try_emplace({e.session, e.step}, e.seal);
  if (!fresh && known->second != e.seal) {
    Broken("node " + ToString(node) + " sealed two frames under number " + std::to_string(e.step));
  }
}

void SimChecker::Began(NodeId edge, const Envelope& e) {
  AtHops& at = at_hops_[edge][e.session];
  if (e.epoch > at.epoch && static_cast<int>(e.base) > at.have) {
    Broken("edge " + ToString(edge) + " begins again at position " + std::to_string(e.base) +
           ", where its hops are known to have " + std::to_string(at.have));
  }
  at.epoch = std::max(at.epoch, e.epoch);
}

void SimChecker::CheckGrant(NodeId coordinator, const Route& route) {
  const RouteGrant& grant = route.grant;
  AtCoordinator& at = at_coordinator_[coordinator];
  for (const Hop& hop : grant.hops) {
    if (clock_.Now() - at.heard[hop.node] > kStatusAgeMax + kRoundMax) {
      Broken("a route leads over " + hop.name + ", of which the coordinator heard nothing for " +
             std::to_string(Seconds(clock_.Now() - at.heard[hop.node])) + " s");
    }
    at.granted_over[grant.edge].insert(hop.node);
    const auto missed = at.missed.find(hop.node);
    if (missed == at.missed.end()) continue;
    if (missed->second.by.contains({grant.edge, route.request})) {
      Broken("a route leads over " + hop.name + ", which was missed and not heard of since");
    }
    if (clock_.Now() - missed->second.since > kWatchedSilenceMax + kRoundMax) {
      Broken("a route leads over " + hop.name + ", which was missed for " +
             std::to_string(Seconds(clock_.Now() - missed->second.since)) + " s");
    }
  }
}

namespace {

// The canary as somebody might write it: its text, and its tokens in every width.
std::vector<std::string> CanaryBytes() {
  const std::string text = kCanary;
  std::vector<std::string> all = {text};
  const auto as = [&]<typename T>(T) {
    std::string bytes;
    for (const char c : text) {
      const T token = static_cast<T>(kTinySpecialTokens + static_cast<uint8_t>(c));
      bytes.append(reinterpret_cast<const char*>(&token), sizeof token);
    }
    all.push_back(bytes);
  };
  as(uint16_t{});
  as(int32_t{});
  as(int64_t{});
  as(float{});
  return all;
}

bool HoldsCanary(std::string_view bytes) {
  if (bytes.empty()) return false;  // memmem wants a place even then
  static const std::vector<std::string> kBytes = CanaryBytes();
  for (const std::string& canary : kBytes) {
    if (memmem(bytes.data(), bytes.size(), canary.data(), canary.size()) != nullptr) return true;
  }
  return false;
}

}  // namespace

void SimChecker::CheckPrivate(NodeId from, const AnyMessage& message) {
  const auto words = writer_.Write(from, kNoNode, message);
  bool holds = HoldsCanary({reinterpret_cast<const char*>(words.data()), words.size_bytes()});
  if (const auto* frame = std::get_if<Activation>(&message)) {
    holds |= HoldsCanary({reinterpret_cast<const char*>(frame->rows.data()), frame->rows.bytes()});
  }
  if (holds) Broken("node " + ToString(from) + " sent text or tokens of the owner");
}

// --- What was taken ---

void SimChecker::Polled(NodeId node, const Incoming* next) {
  int& in_a_row = polled_in_a_row_[node];
  in_a_row = next == nullptr ? 0 : in_a_row + 1;
  if (const auto worker = view_.workers.find(node); worker != view_.workers.end()) {
    CheckHave(node, *worker->second);
    CheckObeys(node, *worker->second);
  } else if (const auto edge = view_.edges.find(node); edge != view_.edges.end()) {
    CheckStale(node, *edge->second);
    if (next != nullptr) NoteAtHops(node, next->message);
    if (next != nullptr && in_a_row % kMessagesPerStep != 0) {
      NoteStale(node, *edge->second, next->message);
    }
  } else if (view_.coordinators.contains(node)) {
    TurnCoordinator(node, next);
  }
}

void SimChecker::TurnCoordinator(NodeId node, const Incoming* next) {
  AtCoordinator& at = at_coordinator_[node];
  const Time now = clock_.Now();
  const Duration stood_still = now - at.turned;
  at.turned = now;
  for (auto& [of, heard] : at.heard) {
    if (stood_still > kStallMax) heard += stood_still;
  }
  for (auto& [of, missed] : at.missed) {
    if (stood_still > kStallMax) missed.since += stood_still;
  }
  for (auto& [of, asked] : at.asked) {
    if (stood_still > kStallMax) asked += stood_still;
  }
  if (next == nullptr) return;
  at.heard[next->from] = now;
  NoteMissed(node, *next);
}

// One at a time, and with layers not another within a minute.
void SimChecker::CheckObeys(NodeId node, const WorkerState& s) {
  Obeying& known = obeying_[node];
  const bool hosts = !s.layers.empty() || s.wanted || s.loading;
  if (s.obeys != known.coordinator) {
    if (hosts && known.since && clock_.Now() - *known.since < kObeyedMin - kLookMax) {
      Broken("node " + ToString(node) + " obeys another coordinator after " +
             std::to_string(Seconds(clock_.Now() - *known.since)) + " s");
    }
    ++obeyed_;
    known.coordinator = s.obeys;
    known.since = clock_.Now();
  }
  if (!s.wanted || s.wanted->id == known.wanted) return;
  known.wanted = s.wanted->id;
  known.since = clock_.Now();
  if (known.wanted >> 56 != static_cast<uint64_t>(s.obeys)) {
    Broken("node " + ToString(node) + " takes layers of a coordinator that it does not obey");
  }
}

// More than they have at most: whoever lies has said so too.
void SimChecker::NoteAtHops(NodeId edge, const AnyMessage& answer) {
  if (const auto* rows = std::get_if<Activation>(&answer)) {
    AtHops& at = at_hops_[edge][rows->envelope.session];
    at.have = std::max(at.have, static_cast<int>(rows->envelope.base + rows->envelope.n));
  } else if (const auto* need = std::get_if<NeedPrefix>(&answer)) {
    AtHops& at = at_hops_[edge][need->session];
    at.have = std::max(at.have, need->have);
  }
}

// A message that the coordinator is about to take.
void SimChecker::NoteMissed(NodeId coordinator, const Incoming& next) {
  AtCoordinator& at = at_coordinator_[coordinator];
  const auto role = [&](NodeId node) -> std::optional<Role> {
    const Member* member = FindMember(*view_.coordinators.at(coordinator), node);
    return member == nullptr ? std::nullopt : std::optional(member->role);
  };
  // Who comes back as a new member has not been asked yet.
  std::erase_if(at.asked, [&](const auto& entry) { return !role(entry.first); });
  const bool greets = std::holds_alternative<Hello>(next.message);
  if (greets || std::holds_alternative<NodeStatus>(next.message)) at.missed.erase(next.from);
  // A member that says Hello again, late or twice, keeps its routes and its requests.
  if (!role(next.from) || std::holds_alternative<Goodbye>(next.message)) {
    at.granted_over.erase(next.from);
    for (auto& [hop, missed] : at.missed) {
      std::erase_if(missed.by, [&](const auto& by) { return by.first == next.from; });
    }
    std::erase_if(at.missed, [](const auto& entry) { return entry.second.by.empty(); });
  }
  const auto* request = std::get_if<RouteRequest>(&next.message);
  if (request == nullptr || role(next.from) != Role::kEdge) return;
  for (auto& [hop, missed] : at.missed) missed.by.erase({next.from, request->request});
  const Time now = clock_.Now();
  for (const NodeId hop : request->missed) {
    // Of others an edge can say nothing.
    if (role(hop) != Role::kWorker || !at.granted_over[next.from].contains(hop)) continue;
    if (!at.missed.contains(hop)) {
      // It was asked a moment ago, and has answered.
      if (at.asked.contains(hop) && now - at.asked[hop] < kWatchedSilenceMax) continue;
      at.missed[hop].since = at.asked[hop] = now;
    }
    at.missed[hop].by.insert({next.from, request->request});
  }
}

void SimChecker::CheckHave(NodeId node, const WorkerState& s) {
  auto& known = seen_[node];
  std::erase_if(known, [&](const auto& entry) { return !s.place_of.contains(entry.first); });
  for (const auto& [id, index] : s.place_of) {
    const WorkerSession& session = s.places[static_cast<size_t>(index)];
    CheckGranted(node, session);
    Seen& seen = known[id];
    if (session.epoch > seen.epoch) {
      seen.epoch = session.epoch;
      seen.step_started = session.applied_step;
    }
    int have = session.applied_have;
    for (size_t i = 0; i < session.frames.size(); ++i) {
      const Envelope& e = session.frames[i].envelope;
      have = static_cast<int>(e.base + e.n);
    }
    if (session.have != have) {
      Broken("node " + ToString(node) + " says that it has " + std::to_string(session.have) +
             " positions of a session, its newest frame ends at " + std::to_string(have));
    }
  }
}

void SimChecker::CheckGranted(NodeId node, const WorkerSession& session) {
  if (!session.seal) return;  // without keys nothing is granted that could be checked
  const auto granted = granted_.find(session.id);
  if (granted == granted_.end() || granted->second.edge != session.edge ||
      granted->second.positions_max < session.quota.positions_max) {
    Broken("node " + ToString(node) + " serves a session as no coordinator granted it");
  }
}

void SimChecker::CheckStale(NodeId node, const EdgeState& s) {
  const std::optional<Stale> stale = std::exchange(stale_[node], std::nullopt);
  if (!stale) return;
  const EdgeSlot& slot = s.slots[stale->slot];
  if (slot.phase != SlotPhase::kRunning || slot.epoch != stale->epoch ||
      Arrived(slot) != stale->arrived) {
    Broken("edge " + ToString(node) + " heeded an answer of another epoch than its newest");
  }
}

void SimChecker::NoteStale(NodeId node, const EdgeState& s, const AnyMessage& answer) {
  const std::optional<Answered> answered = AnsweredBy(answer);
  for (size_t i = 0; answered && i < s.slots.size(); ++i) {
    const EdgeSlot& slot = s.slots[i];
    const bool found = slot.phase == SlotPhase::kRunning && slot.session == answered->session;
    if (!found || slot.epoch == answered->epoch) continue;
    stale_[node] = Stale{.slot = i, .epoch = slot.epoch, .arrived = Arrived(slot)};
  }
}

// --- Limits ---

void SimChecker::CheckLimits(const WorkerState& s) {
  int queued = 0;
  for (const WorkerSession& session : s.places) {
    queued += static_cast<int>(session.frames.size());
    if (session.frames.size() > static_cast<size_t>(kFramesInFlightMax) ||
        session.queued_bytes > kRowBytesInFlightMax) {
      Broken("a worker queues " + std::to_string(session.frames.size()) + " frames of a session");
    }
  }
  if (queued != s.frames_queued) Broken("a worker's count of queued frames is wrong");
  if (s.pages_free < 0) Broken("a worker promised more pages than it has");
  if (s.place_of.size() > s.places.size() || s.opened.size() > kOpenedMax ||
      s.spent.size() > kSpentStepsMax || s.ended.ids.size() > kEndedSessionsRemembered ||
      s.ended_unknown.ids.size() > kUnknownEndsRemembered ||
      s.ended_unopened.size() > kUnknownEndsRemembered) {
    Broken("a worker's tables are beyond their limits");
  }
}

void SimChecker::CheckLimits(const EdgeState& s) {
  for (const EdgeSlot& slot : s.slots) {
    size_t bytes = 0;
    for (size_t i = 0; i < slot.in_flight.size(); ++i) {
      bytes += slot.in_flight[i].bytes(s.options.model.n_embd);
    }
    if (slot.in_flight.size() > static_cast<size_t>(kFramesInFlightMax) ||
        slot.bytes_in_flight > kRowBytesInFlightMax || bytes != slot.bytes_in_flight) {
      Broken("an edge has " + std::to_string(slot.in_flight.size()) + " frames and " +
             std::to_string(bytes) + " bytes in flight, counted as " +
             std::to_string(slot.bytes_in_flight));
    }
  }
  if (s.pages_free < 0 || s.waiting.size() > kRequestsWaitingMax ||
      s.ended.size() > kEndedSessionsKept) {
    Broken("an edge's tables are beyond their limits");
  }
}

void SimChecker::CheckLimits(const CoordinatorState& s) {
  if (s.members.size() > static_cast<size_t>(kNodesMax) ||
      s.waiting.size() > kRouteRequestsWaitingMax) {
    Broken("a coordinator's tables are beyond their limits");
  }
}

void SimChecker::Over(int worker_pages) {
  for (const auto& [id, s] : view_.workers) {
    const bool loaded = s->load == LoadPhase::kReady;
    if (!s->place_of.empty() || s->places_ending != 0 || s->frames_queued != 0 ||
        !s->running.empty() || (loaded && s->pages_free != worker_pages)) {
      Broken("worker " + s->options.name + " still has " + std::to_string(s->place_of.size()) +
             " sessions, " + std::to_string(s->places_ending) + " that end, " +
             std::to_string(s->pages_free) + " of " + std::to_string(worker_pages) + " pages free");
    }
  }
  for (const auto& [id, s] : view_.edges) {
    bool free = s->waiting.empty() && s->pages_free == s->options.kv_pages;
    for (const EdgeSlot& slot : s->slots) free &= slot.phase == SlotPhase::kFree;
    if (!free) Broken("edge " + s->options.name + " still has sessions or pages");
  }
  for (const auto& [id, s] : view_.coordinators) {
    if (s->waiting.empty()) continue;
    Broken("the coordinator still has " + std::to_string(s->waiting.size()) +
           " requests for routes");
  }
}

}  // namespace mortar
