#include "coordinator/replicas.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

std::vector<bool> Hosting(const PlannerInput& input, const RoutePlan& plan) {
  std::vector<bool> hosting(input.nodes.size(), false);
  for (const PlannedStop& stop : plan.stops) {
    for (const PlannedNode& host : stop.hosts) hosting[static_cast<size_t>(host.node)] = true;
  }
  return hosting;
}

// The first host of a stop; the edge before the first and behind the last.
int StopAt(const RoutePlan& plan, size_t one_based) {
  if (one_based == 0 || one_based > plan.stops.size()) return kEdgeStop;
  return plan.stops[one_based - 1].hosts.front().node;
}

// Tokens a ns, were all its hosts busy.
double Capacity(const PlannedStop& stop) {
  double capacity = 0;
  for (const PlannedNode& host : stop.hosts) capacity += 1 / host.compute_ns;
  return capacity;
}

void ShareSessions(int sessions, PlannedStop& stop) {
  for (int i = 0; i < sessions; ++i) {
    const auto busy = [](const PlannedNode& host) { return (host.sessions + 1) * host.compute_ns; };
    ++std::ranges::min_element(stop.hosts, {}, busy)->sessions;
  }
}

std::string Ms(double ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f ms", ns / 1e6);
  return text;
}

// The chosen nodes in their order, with `node` beside them, in the place of one, or alone.
double BestWith(const PlannerInput& input, const RouteCosts& costs, const RoutePlan& plan,
                int node) {
  std::vector<int> order;
  for (const PlannedStop& stop : plan.stops) order.push_back(stop.hosts.front().node);
  double best = costs.BestSplit({node}).ns;
  for (size_t i = 0; i <= order.size(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(i);
    std::vector<int> with = order;
    if (static_cast<int>(order.size()) < input.hops_max) {
      with.insert(with.begin() + at, node);
      best = std::min(best, costs.BestSplit(with).ns);
    }
    if (i == order.size()) break;
    with = order;
    with[i] = node;
    best = std::min(best, costs.BestSplit(with).ns);
  }
  return best;
}

std::string WhyDropped(const PlannerInput& input, const RouteCosts& costs,
                       const std::vector<int>& zones, const RoutePlan& plan, int index) {
  const PlannerNode& node = input.nodes[static_cast<size_t>(index)];
  const LayerRange middle{costs.begin(), costs.end()};
  if (middle.empty()) return "the edge keeps all layers: none is left for it";
  const LayerRange only = node.layers_only;
  if (!only.empty() && (only.begin < middle.begin || only.end > middle.end)) {
    return "it hosts only " + ToString(only) + ", outside " + ToString(middle) +
           " between the edge's layers";
  }
  const double layer = costs.min_bytes() + static_cast<double>(costs.KvBytes(index));
  if (!only.empty() ? costs.HostNs(index, only) == kNever
                    : costs.Room(index, costs.min_bytes()) == 0) {
    char text[160];
    std::snprintf(text, sizeof text,
                  "it has no room: %.1f MiB for %s, of at least %.1f MiB each with their KV",
                  static_cast<double>(node.memory_bytes) / (1 << 20),
                  only.empty() ? "any layer" : "its layers", layer / (1 << 20));
    return text;
  }
  if (std::ranges::find(zones, node.zone) == zones.end()) {
    return "its zone is not among the " + std::to_string(kZonesMax) + " cheapest";
  }
  const double with = BestWith(input, costs, plan, index);
  const std::string instead = Ms(with) + " instead of " + Ms(plan.total_ns);
  if (with == kNever) return "its layers do not fit into the chosen route";
  if (with >= plan.total_ns * (1 + 1e-9)) return "it would make a token slower: " + instead;
  return "it would save too little: " + instead;
}

}  // namespace

double WithReplica(const RouteCosts& costs, const RoutePlan& plan, size_t stop, int node) {
  const PlannedStop& at = plan.stops[stop];
  const int before = StopAt(plan, stop);
  const int behind = StopAt(plan, stop + 2);
  const int first = at.hosts.front().node;
  const double was =
      costs.LinkNs(before, first) + at.hosts.front().compute_ns + costs.LinkNs(first, behind);
  return plan.total_ns - was + costs.LinkNs(before, node) + costs.HostNs(node, at.layers) +
         costs.LinkNs(node, behind);
}

void AddReplicas(const PlannerInput& input, const RouteCosts& costs, RoutePlan& plan) {
  const std::vector<bool> hosting = Hosting(input, plan);
  std::vector<int> spare;
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    if (!hosting[i]) spare.push_back(static_cast<int>(i));
  }
  std::ranges::sort(spare, {}, [&](int node) {
    return std::pair(input.nodes[static_cast<size_t>(node)].ns_per_byte, node);
  });
  std::vector<double> capacity;
  for (const PlannedStop& stop : plan.stops) capacity.push_back(Capacity(stop));
  for (const int node : spare) {
    size_t best = plan.stops.size();
    for (size_t i = 0; i < plan.stops.size(); ++i) {
      const PlannedStop& stop = plan.stops[i];
      if (stop.hosts.size() >= static_cast<size_t>(input.sessions)) continue;
      if (best < plan.stops.size() && capacity[i] >= capacity[best]) continue;
      if (WithReplica(costs, plan, i, node) > plan.total_ns * kReplicaSlowdownMax) continue;
      best = i;
    }
    if (best == plan.stops.size()) continue;
    PlannedStop& stop = plan.stops[best];
    stop.hosts.push_back({node, costs.HostNs(node, stop.layers), 0});
    capacity[best] = Capacity(stop);
  }
  for (PlannedStop& stop : plan.stops) ShareSessions(input.sessions, stop);
}

void ExplainDropped(const PlannerInput& input, const RouteCosts& costs,
                    const std::vector<int>& zones, RoutePlan& plan) {
  const std::vector<bool> hosting = Hosting(input, plan);
  for (size_t i = 0; i < hosting.size(); ++i) {
    if (hosting[i]) continue;
    if (plan.dropped.size() == kExplainedMax) {
      ++plan.dropped_more;
      continue;
    }
    const int node = static_cast<int>(i);
    plan.dropped.push_back({node, WhyDropped(input, costs, zones, plan, node)});
  }
}

}  // namespace mortar
