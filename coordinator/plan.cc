// What a coordinator should do now: drop the lost, place layers, tell workers, grant routes.
//
//   state                                                   | action
//   --------------------------------------------------------+-----------------------------------
//   a member's status is older than kStatusAgeMax           | MemberLost
//   no placement, model and cut known, workers enough       | Placed, or PlacementImpossible
//   a worker's status names another placement               | Placement to it, every
//                                                           | kHelloInterval until it does
//   a request waits and all hops are ready                  | Route with a grant
//   a request waits and can never be met                    | Route with the reason
//   a request waits beyond its deadline                     | Route, Unavailable, with the reason
#include <algorithm>
#include <utility>

#include "coordinator/state.h"

namespace mortar {
namespace {

// Workers that have said what they can host and did not fail to, in joining order.
std::vector<WorkerOffer> Offers(const CoordinatorState& s) {
  std::vector<WorkerOffer> offers;
  for (const Member& m : s.members) {
    if (m.role != Role::kWorker || !m.status || !m.load_failure.ok()) continue;
    offers.push_back({.node = m.node,
                      .name = m.name,
                      .layers_only = m.status->layers_only,
                      .bricks = m.status->bricks});
  }
  return offers;
}

// After the first placement any number that suffices will do: serving beats waiting.
int WorkersExpected(const CoordinatorState& s) {
  return s.placement_id == 0 ? std::max(1, s.options.workers_expected) : 1;
}

std::optional<LayerCut> WantedCut(const CoordinatorState& s) {
  if (s.options.cut) return s.options.cut;
  if (s.cut) return s.cut;  // a cluster keeps its cut when a worker is replaced
  for (const Member& m : s.members) {
    if (m.role == Role::kEdge && m.status) {
      return LayerCut{m.status->front_layers, m.status->back_layers};
    }
  }
  return std::nullopt;
}

void PlanLost(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  for (const Member& m : s.members) {
    if (now - m.heard > kStatusAgeMax) out.push_back({.send = {}, .then = MemberLost{m.node}});
  }
}

void PlanPlacement(const CoordinatorState& s, std::vector<CoordinatorAction>& out) {
  if (s.placement || !s.model || !s.placement_problem.ok()) return;
  const std::optional<LayerCut> cut = WantedCut(s);
  if (!cut) return;
  const std::vector<WorkerOffer> offers = Offers(s);
  const bool needs_workers = cut->front < s.model->n_layers - cut->back;
  if (needs_workers && static_cast<int>(offers.size()) < WorkersExpected(s)) return;
  // Sizes name the workers of the first placement; a replacement is shared out evenly.
  const std::vector<int> sizes = s.placement_id == 0 ? s.options.sizes : std::vector<int>{};
  absl::StatusOr<LayerPlan> plan = PlaceLayers(s.model->n_layers, *cut, sizes, offers);
  if (plan.ok()) {
    out.push_back({.send = {}, .then = Placed{*cut, std::move(*plan)}});
  } else {
    out.push_back({.send = {}, .then = PlacementImpossible{plan.status()}});
  }
}

void PlanTelling(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  if (!s.placement) return;
  for (const Member& m : s.members) {
    if (m.role != Role::kWorker || !m.status || m.status->placement == s.placement_id) continue;
    if (m.placement_was_sent && now - m.placement_sent < kHelloInterval) continue;
    Placement message{.id = s.placement_id, .model = *s.model, .layers = {}, .bricks = {}};
    const auto& hops = s.placement->hops;
    for (size_t i = 0; i < hops.size(); ++i) {
      if (hops[i].node != m.node) continue;
      message.layers = hops[i].layers;
      message.bricks = hops[i].bricks;
      if (i + 1 == hops.size()) continue;  // its rows go to the edge
      message.next = hops[i + 1].node;
      const Member& next = *FindMember(s, message.next);
      message.next_endpoint = next.endpoint;
      message.next_key = next.key;
    }
    out.push_back({.send = Outgoing{.to = m.node, .message = std::move(message)},
                   .then = PlacementSent{m.node}});
  }
}

RouteGrant Grant(const CoordinatorState& s, const WaitingRequest& w) {
  RouteGrant grant{.session = w.session,
                   .edge = w.edge,
                   .model = *s.model,
                   .positions_max = w.request.positions_max,
                   .edge_key = FindMember(s, w.edge)->key};
  for (const PlacedHop& placed : s.placement->hops) {
    const Member& member = *FindMember(s, placed.node);
    Hop hop{.node = placed.node,
            .name = placed.name,
            .layers = placed.layers,
            .bricks = {},
            .endpoint = member.endpoint,
            .key = member.key};
    for (const LayerBrick& brick : placed.bricks) hop.bricks.push_back(brick.digest);
    grant.hops.push_back(std::move(hop));
  }
  return grant;
}

void PlanRoutes(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  for (const WaitingRequest& w : s.waiting) {
    absl::Status status = RouteStatus(s, w.request);
    if (absl::IsUnavailable(status) && now < w.deadline) continue;
    Route route{.request = w.request.request, .status = status, .grant = {}};
    if (status.ok()) route.grant = Grant(s, w);
    out.push_back({.send = Outgoing{.to = w.edge, .message = std::move(route)},
                   .then = RouteAnswered{w.edge, w.request.request}});
  }
}

// Whether a hop of the placement can take the session.
absl::Status HopStatus(const CoordinatorState& s, const PlacedHop& hop,
                       const RouteRequest& request) {
  const NodeStatus& status = *FindMember(s, hop.node)->status;
  if (status.placement != s.placement_id || status.phase != LoadPhase::kReady) {
    return Unavailable("worker " + hop.name + " is loading layers " + ToString(hop.layers));
  }
  if (status.positions_max > 0 && request.positions_max > status.positions_max) {
    return FailedPrecondition(
        "worker " + hop.name + " keeps at most " + std::to_string(status.positions_max) +
        " positions of a session, this one may take " + std::to_string(request.positions_max) +
        ": shorten the prompt or -n, or start it with a larger -c");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RouteStatus(const CoordinatorState& s, const RouteRequest& request) {
  if (!s.model) return Unavailable("no node has joined");
  if (!(request.model == *s.model)) {
    return FailedPrecondition("this cluster serves model " + s.model->name + ", not " +
                              request.model.name);
  }
  if (!s.placement) {
    // Without a placement nobody could take over from it.
    for (const Member& m : s.members) RETURN_IF_ERROR(m.load_failure);
    RETURN_IF_ERROR(s.placement_problem);
    return Unavailable(std::to_string(Offers(s).size()) + " of " +
                       std::to_string(WorkersExpected(s)) + " workers are here");
  }
  if (!(LayerCut{request.front_layers, request.back_layers} == *s.cut)) {
    return FailedPrecondition("the edge keeps " + std::to_string(request.front_layers) + " + " +
                              std::to_string(request.back_layers) +
                              " layers, the cluster hosts what lies between " +
                              std::to_string(s.cut->front) + " + " + std::to_string(s.cut->back));
  }
  for (const PlacedHop& hop : s.placement->hops) RETURN_IF_ERROR(HopStatus(s, hop, request));
  return absl::OkStatus();
}

std::vector<CoordinatorAction> Plan(const CoordinatorState& state, Time now) {
  std::vector<CoordinatorAction> actions;
  PlanLost(state, now, actions);
  if (!actions.empty()) return actions;  // the rest follows from who is left
  PlanPlacement(state, actions);
  if (!actions.empty()) return actions;  // and from where the layers are
  PlanTelling(state, now, actions);
  PlanRoutes(state, now, actions);
  return actions;
}

}  // namespace mortar
