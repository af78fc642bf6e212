#include "coordinator/replan.h"

#include <algorithm>
#include <set>
#include <utility>

namespace mortar {
namespace {

bool SameHosts(const LayerPlan& a, const LayerPlan& b) {
  const auto shares = [](const LayerPlan& plan) {
    std::set<std::pair<uint64_t, LayerRange>> out;
    for (const PlacedHop& hop : plan.hops) {
      for (const PlacedHost& host : HostsOf(hop)) out.insert({host.node.value, hop.layers});
    }
    return out;
  };
  return shares(a) == shares(b);
}

// Whether a worker whose share changes has sessions.
bool HasSessions(const CoordinatorState& s, const LayerPlan& better) {
  for (const PlacedHop& hop : s.placement->hops) {
    for (const PlacedHost& host : HostsOf(hop)) {
      if (LayersOf(better, host.node) == hop.layers) continue;
      const Member& member = *FindMember(s, host.node);
      if (member.status->sessions + member.granted_before + member.granted > 0) return true;
    }
  }
  return false;
}

// Whoever has not said its speed or its way counts as the slowest and the farthest of those that
// have: at zero it would be the best of all.
absl::Status FillUnsaid(MeasuredCluster& cluster) {
  double slowest = 0, farthest = 0;
  for (const MeasuredWorker& worker : cluster.workers) {
    slowest = std::max(slowest, worker.ns_per_byte);
    farthest = std::max(farthest, worker.access_ns);
  }
  for (MeasuredWorker& worker : cluster.workers) {
    if (slowest == 0) {
      return FailedPrecondition("worker " + *worker.name + " has not said its speed");
    }
    if (worker.ns_per_byte == 0) worker.ns_per_byte = slowest;
    if (worker.access_ns == 0) worker.access_ns = farthest;
  }
  return absl::OkStatus();
}

// Whether a host of the placement need not fetch these layers first.
bool HasLayers(const CoordinatorState& s, NodeId node, LayerRange layers) {
  const NodeStatus& status = *FindMember(s, node)->status;
  if (!status.fetches) return true;
  return LayersOf(*s.placement, node) == layers && status.placement == s.placement_id &&
         status.phase == LoadPhase::kReady;
}

bool EachStopIsThere(const CoordinatorState& s, const LayerPlan& plan) {
  return std::ranges::all_of(plan.hops, [&](const PlacedHop& hop) {
    return std::ranges::any_of(
        HostsOf(hop), [&](const PlacedHost& host) { return HasLayers(s, host.node, hop.layers); });
  });
}

// What may take part in another placement while this one serves: bricks that are not there yet must
// not be what sessions wait for. Who fetches keeps what it has, and takes nothing else.
MeasuredCluster WithoutFetching(const CoordinatorState& s, const MeasuredCluster& cluster) {
  MeasuredCluster out = cluster;
  std::erase_if(out.workers, [&](MeasuredWorker& worker) {
    if (!FindMember(s, worker.node)->status->fetches) return false;
    worker.layers_only = LayersOf(*s.placement, worker.node);
    return worker.layers_only.empty() || !HasLayers(s, worker.node, worker.layers_only);
  });
  return out;
}

}  // namespace

absl::StatusOr<MeasuredCluster> MeasuredClusterOf(const CoordinatorState& s, LayerCut cut,
                                                  Whose whose) {
  MeasuredCluster cluster{.n_layers = s.model->n_layers, .cut = cut, .edge = {}, .workers = {}};
  for (const Member& m : s.members) {
    if (!m.status || !m.load_failure.ok()) continue;
    const NodeStatus& status = *m.status;
    if (m.role == Role::kEdge && cluster.edge.ns_per_byte == 0) {
      cluster.edge = {.ns_per_byte = status.ns_per_byte,
                      .head_bytes = status.head_bytes,
                      .access_ns = static_cast<double>(status.round_trip_ns)};
    }
    const std::optional<LayerRange> only = MayHost(s, m, whose);
    if (!only) continue;
    cluster.workers.push_back({.node = m.node,
                               .name = &m.name,
                               .bricks = &status.bricks,
                               .layers_only = *only,
                               .ns_per_byte = status.ns_per_byte,
                               .access_ns = static_cast<double>(status.round_trip_ns),
                               .memory_bytes = status.memory_bytes,
                               .kv_bytes_per_layer = status.kv_bytes_per_layer});
  }
  RETURN_IF_ERROR(FillUnsaid(cluster));
  return cluster;
}

std::optional<LayerPlan> BetterPlacement(const CoordinatorState& s) {
  const auto cluster = MeasuredClusterOf(s, *s.cut, Whose::kPlaced);
  if (!cluster.ok()) return std::nullopt;
  const std::optional<double> now_ns = TokenNs(*cluster, *s.placement);
  absl::StatusOr<LayerPlan> best = PlaceMeasured(WithoutFetching(s, *cluster));
  if (best.ok()) {
    const std::optional<double> best_ns = TokenNs(*cluster, *best);
    const bool worth = best_ns && (!now_ns || *best_ns <= *now_ns * (1 - kReplanWorth));
    if (worth && !SameHosts(*s.placement, *best)) return *std::move(best);
  }
  if (!now_ns) return std::nullopt;
  LayerPlan kept = WithReplicasOfNow(*cluster, *s.placement);
  if (SameHosts(*s.placement, kept) || !EachStopIsThere(s, kept)) return std::nullopt;
  kept.measured = true;
  return kept;
}

bool Disturbs(const LayerPlan& plan, const LayerPlan& better) {
  for (const PlacedHop& hop : plan.hops) {
    for (const PlacedHost& host : HostsOf(hop)) {
      if (!(LayersOf(better, host.node) == hop.layers)) return true;
    }
  }
  return false;
}

std::optional<CoordinatorEvent> PlanReplacement(const CoordinatorState& s, Time now) {
  if (!s.options.measured || !s.options.sizes.empty() || !s.placement) return std::nullopt;
  if (!Decides(s)) return std::nullopt;
  const Replanning& r = s.replanning;
  // Also while a better one waits: who was slow may be fast again.
  if (r.facts_changed && now - r.looked >= kReplanInterval) return Looked{BetterPlacement(s)};
  if (!r.better) return std::nullopt;
  if (Disturbs(*s.placement, *r.better)) {
    if (now - r.placed < kPlacementKeptMin) return std::nullopt;
    const Time due = std::max(r.better_since, r.placed + kPlacementKeptMin);
    if (now - due < kReplanWaitMax && HasSessions(s, *r.better)) return std::nullopt;
  }
  return Placed{*s.cut, *r.better};
}

}  // namespace mortar
