#include "coordinator/measured.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <unordered_map>
#include <utility>

#include "coordinator/planner.h"
#include "coordinator/replicas.h"

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Of a node that says no size: more than any machine has.
constexpr uint64_t kMemoryUnsaid = uint64_t{1} << 50;

// So that sums of what a worker makes up do not overflow.
constexpr uint64_t kLayerBytesMax = uint64_t{1} << 50;

// The planner's nodes are the workers that can take part, under the same index.
struct Prepared {
  PlannerInput input;
  std::vector<const MeasuredWorker*> workers;
  std::vector<std::string> notes;
};

// Workers whose word of a layer's size is heard, those that joined first: the middle of what they
// say is a true size as long as most of them say it.
constexpr size_t kSizeWitnesses = 15;

// Bytes of each layer; those that nobody offers are the edge's own, and count nothing.
std::vector<uint64_t> LayerBytes(const MeasuredCluster& cluster) {
  std::vector<uint64_t> bytes(static_cast<size_t>(cluster.n_layers), 0);
  std::vector<std::vector<uint64_t>> said(bytes.size());
  for (const MeasuredWorker& worker : cluster.workers) {
    for (const LayerBrick& brick : *worker.bricks) {
      // Several layers in one brick have equal parts of it.
      const uint64_t part = brick.weight_bytes / static_cast<uint64_t>(brick.layers.size());
      for (int i = brick.layers.begin; i < brick.layers.end; ++i) {
        std::vector<uint64_t>& sizes = said[static_cast<size_t>(i)];
        if (sizes.size() < kSizeWitnesses) sizes.push_back(std::min(part, kLayerBytesMax));
      }
    }
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (said[i].empty()) continue;
    // Of two the one of whoever joined first.
    if (said[i].size() > 2) std::ranges::sort(said[i]);
    bytes[i] = said[i][(said[i].size() - 1) / 2];
  }
  return bytes;
}

bool Covers(const std::vector<LayerBrick>& bricks, LayerRange layers) {
  std::vector<bool> covered(static_cast<size_t>(layers.end), false);
  for (const LayerBrick& brick : bricks) {
    const int end = std::min(brick.layers.end, layers.end);
    for (int i = brick.layers.begin; i < end; ++i) covered[static_cast<size_t>(i)] = true;
  }
  return std::count(covered.begin() + layers.begin, covered.end(), true) == layers.size();
}

Prepared Prepare(const MeasuredCluster& cluster) {
  Prepared out;
  PlannerInput& in = out.input;
  in.layer_bytes = LayerBytes(cluster);
  in.sessions = kSessionsPlanned;
  in.edge = {.ns_per_byte = cluster.edge.ns_per_byte,
             .head_bytes = cluster.edge.head_bytes,
             .least = cluster.cut,
             .access_ns = cluster.edge.access_ns};
  const LayerRange middle{cluster.cut.front, cluster.n_layers - cluster.cut.back};
  for (const MeasuredWorker& worker : cluster.workers) {
    if (!Covers(*worker.bricks, worker.layers_only.empty() ? middle : worker.layers_only)) {
      out.notes.push_back("worker " + *worker.name + " lacks bricks of the layers between");
      continue;
    }
    out.workers.push_back(&worker);
    in.nodes.push_back(
        {.name = *worker.name,
         .ns_per_byte = worker.ns_per_byte,
         .memory_bytes = worker.memory_bytes == 0 ? kMemoryUnsaid : worker.memory_bytes,
         .layers_only = worker.layers_only,
         .access_ns = worker.access_ns,
         .kv_bytes_per_layer = worker.kv_bytes_per_layer});
  }
  return out;
}

std::string WhyHosts(const MeasuredWorker& worker, LayerRange layers, double token_ns) {
  char text[160];
  std::snprintf(text, sizeof text, "%d %s: %.3f ms of a token at %.2f GB/s", layers.size(),
                layers.size() == 1 ? "layer" : "layers", token_ns / 1e6, 1 / worker.ns_per_byte);
  std::string why = text;
  if (worker.access_ns > 0) {
    std::snprintf(text, sizeof text, ", %.3f ms there and back", worker.access_ns / 1e6);
    why += text;
  }
  if (!worker.layers_only.empty()) why += ", hosts only these";
  return why;
}

absl::StatusOr<PlacedHop> HopOf(const Prepared& prepared, const PlannedStop& stop) {
  const PlannedNode& first = stop.hosts.front();
  const MeasuredWorker& worker = *prepared.workers[static_cast<size_t>(first.node)];
  ASSIGN_OR_RETURN(PlacedHop hop,
                   PlaceHop({.node = worker.node,
                             .name = *worker.name,
                             .layers_only = worker.layers_only,
                             .bricks = *worker.bricks},
                            stop.layers, WhyHosts(worker, stop.layers, first.compute_ns)));
  hop.token_ns = first.compute_ns;
  for (size_t i = 1; i < stop.hosts.size(); ++i) {
    const PlannedNode& host = stop.hosts[i];
    const MeasuredWorker& replica = *prepared.workers[static_cast<size_t>(host.node)];
    hop.replicas.push_back({replica.node, *replica.name, host.compute_ns});
  }
  return hop;
}

// A placement as the planner would have it, its fastest hosts first; replicas that are too slow by
// now are left out. Absent: a host is unknown, or has no room.
std::optional<RoutePlan> PlanOf(const Prepared& prepared, const RouteCosts& costs,
                                const LayerPlan& plan) {
  std::unordered_map<NodeId, int, IdHash> index;
  for (size_t i = 0; i < prepared.workers.size(); ++i) {
    index[prepared.workers[i]->node] = static_cast<int>(i);
  }
  RoutePlan out;
  out.cut = prepared.input.edge.least;
  out.edge_ns = out.total_ns = costs.EdgeNs(out.cut.front);
  int last = kEdgeStop;
  for (const PlacedHop& hop : plan.hops) {
    PlannedStop stop{.layers = hop.layers, .link_ns = 0, .hosts = {}};
    for (const PlacedHost& host : HostsOf(hop)) {
      const auto found = index.find(host.node);
      if (found == index.end()) return std::nullopt;
      const double ns = costs.HostNs(found->second, hop.layers);
      if (ns == kNever) return std::nullopt;
      stop.hosts.push_back({.node = found->second, .compute_ns = ns, .sessions = 0});
    }
    std::ranges::sort(stop.hosts, {}, [](const PlannedNode& host) {
      return std::pair(host.compute_ns, host.node);
    });
    stop.link_ns = costs.LinkNs(last, stop.hosts.front().node);
    out.total_ns += stop.link_ns + stop.hosts.front().compute_ns;
    last = stop.hosts.front().node;
    out.stops.push_back(std::move(stop));
  }
  if (!out.stops.empty()) out.last_link_ns = costs.LinkNs(last, kEdgeStop);
  out.total_ns += out.last_link_ns;
  for (size_t i = 0; i < out.stops.size(); ++i) {
    std::erase_if(out.stops[i].hosts, [&](const PlannedNode& host) {
      return WithReplica(costs, out, i, host.node) > out.total_ns * kReplicaSlowdownMax;
    });
  }
  return out;
}

}  // namespace

absl::StatusOr<LayerPlan> PlaceMeasured(const MeasuredCluster& cluster) {
  Prepared prepared = Prepare(cluster);
  absl::StatusOr<RoutePlan> route = PlanRoute(prepared.input);
  if (!route.ok()) {
    std::string notes;
    for (const std::string& note : prepared.notes) notes += "; " + note;
    return absl::Status(route.status().code(), Message(route.status()) + notes.substr(0, 256));
  }
  LayerPlan plan;
  plan.measured = true;
  plan.why = std::move(route->why);
  for (const PlannedStop& stop : route->stops) {
    ASSIGN_OR_RETURN(PlacedHop hop, HopOf(prepared, stop));
    plan.hops.push_back(std::move(hop));
  }
  RETURN_IF_ERROR(CheckBricksFit(plan));
  plan.notes = std::move(prepared.notes);
  for (const DroppedNode& dropped : route->dropped) {
    plan.notes.push_back("worker " + *prepared.workers[static_cast<size_t>(dropped.node)]->name +
                         " is spare: " + dropped.why);
  }
  if (route->dropped_more > 0) {
    plan.notes.push_back(std::to_string(route->dropped_more) + " more workers are spare");
  }
  return plan;
}

std::optional<double> TokenNs(const MeasuredCluster& cluster, const LayerPlan& plan) {
  const Prepared prepared = Prepare(cluster);
  const RouteCosts costs(prepared.input);
  const auto now = PlanOf(prepared, costs, plan);
  if (!now) return std::nullopt;
  return now->total_ns;
}

LayerPlan WithReplicasOfNow(const MeasuredCluster& cluster, const LayerPlan& plan) {
  const Prepared prepared = Prepare(cluster);
  const RouteCosts costs(prepared.input);
  RoutePlan now = *PlanOf(prepared, costs, plan);
  AddReplicas(prepared.input, costs, now);
  LayerPlan out = plan;
  for (size_t i = 0; i < now.stops.size(); ++i) {
    absl::StatusOr<PlacedHop> hop = HopOf(prepared, now.stops[i]);
    if (hop.ok()) out.hops[i] = std::move(*hop);
  }
  return out;
}

}  // namespace mortar
