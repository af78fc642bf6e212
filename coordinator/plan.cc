// What a coordinator should do now: drop the lost, place layers, tell workers, grant routes.
//
//   state                                                   | action
//   --------------------------------------------------------+-----------------------------------
//   a member's status is older than kStatusAgeMax, or it is | MemberLost
//   silent for kWatchedSilenceMax since it was doubted      |
//   no placement, model and cut known, workers enough       | Placed, or PlacementImpossible; where
//                                                           | workers obey another coordinator, as
//                                                           | adopt.h says
//   another placement would be better by now                | Looked, and Placed when it may be
//   a worker's status names another placement               | Placement to it, every
//                                                           | kHelloInterval until it does
//   a request waits, and each stop has a host that is ready | Route with a grant
//   and not doubted and missed by it                        |
//   a request waits and can never be met                    | Route with the reason
//   a request waits beyond its deadline                     | Route, Unavailable, with the reason
#include <algorithm>
#include <utility>

#include "coordinator/adopt.h"
#include "coordinator/balance.h"
#include "coordinator/replan.h"
#include "coordinator/state.h"

namespace mortar {
namespace {

// Whether it has said what it can host, and did not fail to.
bool Offers(const CoordinatorState& s, const Member& m, Whose whose) {
  return MayHost(s, m, whose).has_value();
}

int OffersIn(const CoordinatorState& s, Whose whose) {
  return static_cast<int>(
      std::ranges::count_if(s.members, [&](const Member& m) { return Offers(s, m, whose); }));
}

// In joining order.
std::vector<WorkerOffer> OffersOf(const CoordinatorState& s, Whose whose) {
  std::vector<WorkerOffer> offers;
  for (const Member& m : s.members) {
    const std::optional<LayerRange> only = MayHost(s, m, whose);
    if (!only) continue;
    offers.push_back(
        {.node = m.node, .name = m.name, .layers_only = *only, .bricks = m.status->bricks});
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

// Of a doubted one it is counted from the question on: a status that was lost before is no answer.
Duration SilenceMax(const Member& m) {
  if (!m.doubted) return kStatusAgeMax;
  return std::min<Duration>(kStatusAgeMax, *m.doubted_since - m.heard + kWatchedSilenceMax);
}

void PlanLost(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  for (const Member& m : s.members) {
    const Duration silence_max = SilenceMax(m);
    if (now - m.heard > silence_max) out.push_back({.send = {}, .then = MemberLost{m.node}});
  }
}

// Whether the first placement waits for the way of a worker that says its speed. Not for long once
// there are workers enough, whoever joins then; and no other placement does: sessions wait for it.
bool AWayIsBeingMeasured(const CoordinatorState& s, Time now) {
  if (s.placement_id != 0 || !s.options.measured || !s.options.sizes.empty()) return false;
  int offers = 0;
  Time enough{};
  bool measured = false;
  for (const Member& m : s.members) {
    if (!Offers(s, m, Whose::kAny)) continue;
    if (++offers == WorkersExpected(s)) enough = m.joined;
    measured = measured || (m.status->ns_per_byte > 0 && m.status->round_trip_ns == 0);
  }
  return measured && now - enough < kRoundTripWaitMax;
}

// By what the workers have measured, where that is wanted and known; else by sizes or evenly.
absl::StatusOr<LayerPlan> PlaceNow(const CoordinatorState& s, LayerCut cut, Whose whose) {
  std::string why;
  if (!s.options.sizes.empty()) {
    why = s.placement_id == 0 ? "by the sizes given" : "evenly: the sizes were of other workers";
  } else if (!s.options.measured) {
    why = "evenly, as asked for";
  } else {
    const auto cluster = MeasuredClusterOf(s, cut, whose);
    if (cluster.ok()) return PlaceMeasured(*cluster);
    why = "evenly: " + Message(cluster.status());
  }
  // Sizes name the workers of the first placement; a replacement is shared out evenly.
  const std::vector<int> sizes = s.placement_id == 0 ? s.options.sizes : std::vector<int>{};
  ASSIGN_OR_RETURN(LayerPlan plan, PlaceLayers(s.model->n_layers, cut, sizes, OffersOf(s, whose)));
  plan.why = std::move(why);
  return plan;
}

// Why there is no placement. Others' workers may serve other layers soon, or obey this one.
absl::Status WhyNotPlaced(const CoordinatorState& s, absl::Status why) {
  if (ObeyedByAll(s)) return why;
  return Unavailable("workers obey another coordinator, and what they serve is not whole: " +
                     Message(why));
}

// What its own workers serve, or with those of others, where that is mostly its own.
std::optional<LayerPlan> OwnServed(const CoordinatorState& s, LayerCut cut) {
  if (auto own = ServedPlan(s, cut, Whose::kOwn)) return own;
  auto mixed = ServedPlan(s, cut, Whose::kAny);
  return mixed && IsMostlyOwn(s, *mixed) ? std::move(mixed) : std::nullopt;
}

// Its own workers, where this coordinator decides and they suffice; else all. Of them, enough.
std::optional<Whose> WhoCounts(const CoordinatorState& s, LayerCut cut) {
  const bool needs_workers = cut.front < s.model->n_layers - cut.back;
  const auto enough = [&](Whose whose) {
    return !needs_workers || OffersIn(s, whose) >= WorkersExpected(s);
  };
  if (Decides(s) && enough(Whose::kOwn)) return Whose::kOwn;
  return enough(Whose::kAny) ? std::optional(Whose::kAny) : std::nullopt;
}

void PlanPlacement(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  if (s.placement || !s.model || !s.placement_problem.ok()) return;
  const std::optional<LayerCut> cut = WantedCut(s);
  if (!cut) return;
  const auto place = [&](LayerPlan plan) {
    out.push_back({.send = {}, .then = Placed{*cut, std::move(plan)}});
  };
  if (!Decides(s)) {
    if (auto served = ServedPlan(s, *cut, Whose::kAny)) return place(*std::move(served));
  }
  const std::optional<Whose> whose = WhoCounts(s, *cut);
  if (!whose || AWayIsBeingMeasured(s, now)) return;
  if (s.placement_id == 0 && s.options.sizes.empty()) {  // who was here before placed it
    if (auto served = OwnServed(s, *cut)) return place(*std::move(served));
  }
  absl::StatusOr<LayerPlan> plan = PlaceNow(s, *cut, *whose);
  if (!plan.ok() && *whose == Whose::kOwn) plan = PlaceNow(s, *cut, Whose::kAny);
  if (plan.ok()) return place(*std::move(plan));
  out.push_back({.send = {}, .then = PlacementImpossible{WhyNotPlaced(s, plan.status())}});
}

// What stands on the word of workers that obey another coordinator, as long as any do (adopt.h).
void PlanOthers(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  if (!s.placement || ObeyedByAll(s)) return;
  const auto place = [&](LayerPlan plan) {
    out.push_back({.send = {}, .then = Placed{*s.cut, std::move(plan)}});
  };
  if (!Decides(s)) {
    if (EachStopHas(s, *s.placement, Whose::kAny)) return;
    if (auto served = ServedPlan(s, *s.cut, Whose::kAny)) place(*std::move(served));
    return;
  }
  if (EachStopHas(s, *s.placement, Whose::kOwn)) return;
  if (auto served = ServedPlan(s, *s.cut, Whose::kOwn)) return place(*std::move(served));
  if (!s.placement_problem.ok() || !HasDecidedForLong(s, now)) return;
  absl::StatusOr<LayerPlan> plan = PlaceNow(s, *s.cut, Whose::kOwn);
  if (plan.ok()) return place(*std::move(plan));
  out.push_back({.send = {}, .then = PlacementImpossible{plan.status()}});  // it stays
}

Introduction IntroductionOf(const CoordinatorState& s, NodeId node) {
  const Member& member = *FindMember(s, node);
  return {.node = node, .endpoint = member.endpoint, .key = member.key};
}

// What a worker is told: its layers, and who may get its rows.
Placement PlacementFor(const CoordinatorState& s, NodeId node) {
  Placement message{.id = s.placement_id, .model = *s.model, .layers = {}, .bricks = {}};
  message.layers = LayersOf(*s.placement, node);
  if (message.layers.empty()) return message;
  const auto& hops = s.placement->hops;
  const auto own = std::ranges::find(hops, message.layers, &PlacedHop::layers);
  message.bricks = own->bricks;
  const auto next = own + 1;
  if (next == hops.end()) return message;  // its rows go to the edge
  const Introduction first = IntroductionOf(s, next->node);
  message.next = first.node;
  message.next_endpoint = first.endpoint;
  message.next_key = first.key;
  for (const PlacedHost& host : next->replicas) {
    message.next_others.push_back(IntroductionOf(s, host.node));
  }
  return message;
}

void PlanTelling(const CoordinatorState& s, Time now, std::vector<CoordinatorAction>& out) {
  if (!s.placement) return;
  // On others' word nobody drops what it serves: that may be what it should be when all have come.
  const bool own = ObeyedByAll(s) || EachStopHas(s, *s.placement, Whose::kOwn);
  for (const Member& m : s.members) {
    if (m.role != Role::kWorker || !m.status || m.status->placement == s.placement_id) continue;
    if (!Obeys(s, m)) continue;
    const bool spare = !m.status->hosted.empty() && LayersOf(*s.placement, m.node).empty();
    if (!own && spare) continue;
    if (m.placement_was_sent && now - m.placement_sent < kHelloInterval) continue;
    out.push_back({.send = Outgoing{.to = m.node, .message = PlacementFor(s, m.node)},
                   .then = PlacementSent{m.node}});
  }
}

RouteGrant Grant(const CoordinatorState& s, const WaitingRequest& w, SessionBalance& balance) {
  RouteGrant grant{.session = w.session,
                   .edge = w.edge,
                   .model = *s.model,
                   .positions_max = w.request.positions_max,
                   .edge_key = FindMember(s, w.edge)->key};
  for (const PlacedHop& placed : s.placement->hops) {
    const Member& member = balance.Take(placed, w.request);
    Hop hop{.node = member.node,
            .name = member.name,
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
  SessionBalance balance(s);
  for (const WaitingRequest& w : s.waiting) {
    absl::Status status = RouteStatus(s, w.request);
    if (absl::IsUnavailable(status) && now < w.deadline) continue;
    Route route{.request = w.request.request, .status = status, .grant = {}};
    RouteAnswered answered{.edge = w.edge, .request = w.request.request};
    if (status.ok()) route.grant = Grant(s, w, balance);
    for (const Hop& hop : route.grant.hops) answered.hosts.push_back(hop.node);
    out.push_back(
        {.send = Outgoing{.to = w.edge, .message = std::move(route)}, .then = std::move(answered)});
  }
}

}  // namespace

absl::Status RouteStatus(const CoordinatorState& s, const RouteRequest& request) {
  if (!s.model) return Unavailable("no node has joined");
  if (!(request.model == *s.model)) {
    return FailedPrecondition("this cluster serves model " + s.model->name + ", not " +
                              request.model.name);
  }
  if (!s.placement) {
    // Without a placement nobody could take over from it. Who failed before does not stand for
    // those that left since and may come back.
    RETURN_IF_ERROR(s.load_problem);
    RETURN_IF_ERROR(s.placement_problem);
    std::string failed;
    for (const Member& m : s.members) {
      if (failed.empty() && !m.load_failure.ok()) failed = "; " + Message(m.load_failure);
    }
    return Unavailable(std::to_string(OffersIn(s, Whose::kAny)) + " of " +
                       std::to_string(WorkersExpected(s)) + " workers are here" + failed);
  }
  if (!(LayerCut{request.front_layers, request.back_layers} == *s.cut)) {
    return FailedPrecondition("the edge keeps " + std::to_string(request.front_layers) + " + " +
                              std::to_string(request.back_layers) +
                              " layers, the cluster hosts what lies between " +
                              std::to_string(s.cut->front) + " + " + std::to_string(s.cut->back));
  }
  for (const PlacedHop& hop : s.placement->hops) RETURN_IF_ERROR(StopStatus(s, hop, request));
  return absl::OkStatus();
}

std::vector<CoordinatorAction> Plan(const CoordinatorState& state, Time now) {
  std::vector<CoordinatorAction> actions;
  PlanLost(state, now, actions);
  if (!actions.empty()) return actions;  // the rest follows from who is left
  PlanPlacement(state, now, actions);
  PlanOthers(state, now, actions);
  if (!actions.empty()) return actions;  // and from where the layers are
  if (auto event = PlanReplacement(state, now)) {
    actions.push_back({.send = {}, .then = *std::move(event)});
    return actions;
  }
  PlanTelling(state, now, actions);
  PlanRoutes(state, now, actions);
  return actions;
}

}  // namespace mortar
