#include "coordinator/loop.h"

#include <utility>

namespace mortar {
namespace {

// One round takes at most so many messages, so that it plans even under a flood.
constexpr int kMessagesPerStep = 256;

void LogPlaced(const Logger& log, const LayerPlan& plan) {
  log.Info("placement", {{"measured", plan.measured}, {"why", plan.why}});
  for (const PlacedHop& hop : plan.hops) {
    std::string replicas;
    for (const PlacedHost& host : hop.replicas) {
      replicas += (replicas.empty() ? "" : ", ") + host.name;
    }
    log.Info("placed", {{"worker", hop.name},
                        {"layers", ToString(hop.layers)},
                        {"weight_bytes", hop.weight_bytes},
                        {"why", hop.why},
                        {"replicas", replicas}});
  }
  for (const std::string& note : plan.notes) log.Info("not_placed", {{"why", note}});
}

void LogEvent(const Logger& log, const CoordinatorState& state, Time now,
              const CoordinatorEvent& event) {
  if (const auto* lost = std::get_if<MemberLost>(&event)) {
    const Member* member = FindMember(state, lost->node);
    if (member == nullptr) return;
    log.Warning("node_lost", {{"node", ToString(lost->node)},
                              {"name", member->name},
                              {"silent_s", Seconds(now - member->heard)},
                              {"missed_by_an_edge", member->doubted}});
  } else if (const auto* placed = std::get_if<Placed>(&event)) {
    LogPlaced(log, placed->plan);
  } else if (const auto* looked = std::get_if<Looked>(&event)) {
    if (looked->better) log.Info("better_placement", {{"why", looked->better->why}});
  } else if (const auto* answered = std::get_if<RouteAnswered>(&event)) {
    log.Debug("route_answered",
              {{"edge", ToString(answered->edge)}, {"request", answered->request}});
  } else if (const auto* impossible = std::get_if<PlacementImpossible>(&event)) {
    // Another worker may come; and to whoever started this node the edge reports it.
    const bool waits = absl::IsUnavailable(impossible->status);
    const auto level = state.options.starter_reports ? &Logger::Debug
                       : waits                       ? &Logger::Info
                                                     : &Logger::Warning;
    (log.*level)(waits ? "placement_waits" : "placement_impossible",
                 {{"why", Message(impossible->status)}});
  }
}

// A worker that says so, or whose connection went. One without a model asked who has it, and comes
// again when it has that: nothing is lost with it.
void LogGoodbye(const Logger& log, const CoordinatorState& state, const Incoming& incoming) {
  const auto* goodbye = std::get_if<Goodbye>(&incoming.message);
  const Member* member = FindMember(state, incoming.from);
  if (goodbye == nullptr || member == nullptr || member->role != Role::kWorker) return;
  const auto level = member->has_model ? &Logger::Warning : &Logger::Info;
  (log.*level)("worker_left", {{"node", ToString(member->node)},
                               {"name", member->name},
                               {"why", Message(goodbye->status)}});
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, Parts parts) : parts_(parts) {
  state_.options = std::move(options);
  state_.options.self = parts_.transport.self();
  state_.model = state_.options.model;
  state_.last_tick = parts_.clock.Now();
  if (parts_.keys != nullptr) signer_.emplace(*parts_.keys);
}

bool Coordinator::Step() {
  const Time now = parts_.clock.Now();
  Apply(state_, now, Ticked{});
  int received = 0;
  while (received < kMessagesPerStep) {
    std::optional<Incoming> incoming = parts_.transport.Poll();
    if (!incoming) break;
    ++received;
    SessionId fresh;
    if (std::holds_alternative<RouteRequest>(incoming->message)) {
      fresh = NewSessionId(parts_.random);
    }
    LogGoodbye(parts_.log, state_, *incoming);
    Apply(state_, now, Received{incoming->from, std::move(incoming->message), fresh});
  }
  SendOwed();
  std::vector<CoordinatorAction> actions = Plan(state_, now);
  const bool worked = received > 0 || !actions.empty();
  for (CoordinatorAction& action : actions) {
    LogEvent(parts_.log, state_, now, action.then);
    if (action.send) Send(std::move(*action.send));
    Apply(state_, now, std::move(action.then));
  }
  return worked;
}

void Coordinator::SendOwed() {
  for (Outgoing& outgoing : state_.outbox) Send(std::move(outgoing));
  state_.outbox.clear();
}

void Coordinator::SignFor(AnyMessage& message) const {
  if (auto* welcome = std::get_if<Welcome>(&message)) welcome->signer = signer_->key();
  auto* route = std::get_if<Route>(&message);
  if (route == nullptr || !route->status.ok()) return;
  RouteGrant& grant = route->grant;
  grant.expires = parts_.clock.Calendar() +
                  std::chrono::duration_cast<std::chrono::milliseconds>(grant.lifetime);
  signer_->Sign(grant);
}

void Coordinator::Send(Outgoing outgoing) {
  const NodeId to = outgoing.to;
  if (signer_) SignFor(outgoing.message);
  const absl::Status sent = parts_.transport.Send(to, std::move(outgoing.message));
  // Whoever misses a message asks again, and the link counts it: a line for each would let a peer
  // fill the log.
  if (!sent.ok()) {
    parts_.log.Debug("not_sent", {{"to", ToString(to)}, {"why", Message(sent)}});
  }
}

}  // namespace mortar
