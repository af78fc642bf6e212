#include "coordinator/planner.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/check.h"
#include "coordinator/chain.h"
#include "coordinator/refine.h"
#include "coordinator/replicas.h"
#include "coordinator/route_costs.h"

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Times that differ by less are the same, summed up in another order.
constexpr double kSame = 1e-9;

double Ms(double ns) { return ns / 1e6; }

void CheckInput(const PlannerInput& input) {
  const int n_layers = static_cast<int>(input.layer_bytes.size());
  const LayerCut least = input.edge.least;
  CHECK(least.front >= 0 && least.back >= 0 && least.front <= n_layers - least.back);
  CHECK(input.hops_max >= 1 && input.hops_max <= kHopsMax && input.sessions >= 1);
  const auto is_zone = [&](int zone) {
    return zone >= 0 && static_cast<size_t>(zone) < input.zones.size();
  };
  CHECK(is_zone(input.edge.zone));
  for (const auto& row : input.zones) CHECK(row.size() == input.zones.size());
  for (const PlannerNode& node : input.nodes) CHECK(is_zone(node.zone));
  const auto is_stop = [&](int stop) {
    return stop >= kEdgeStop && stop < static_cast<int>(input.nodes.size());
  };
  for (const PairTime& pair : input.pairs) CHECK(is_stop(pair.a) && is_stop(pair.b));
}

// A token's time for each layer that the node would host, were it the only one and full.
double NsPerLayer(const PlannerInput& input, const RouteCosts& costs, int index) {
  const PlannerNode& node = input.nodes[static_cast<size_t>(index)];
  const int room =
      node.layers_only.empty() ? costs.Room(index, costs.min_bytes()) : node.layers_only.size();
  if (room == 0) return kNever;
  const double ways = costs.LinkNs(kEdgeStop, index) + costs.LinkNs(index, kEdgeStop);
  return ways / room + costs.mean_bytes() * node.ns_per_byte;
}

// The zones of the nodes, at most kZonesMax: those with the cheapest node.
std::vector<int> PickZones(const PlannerInput& input, const RouteCosts& costs) {
  std::vector<double> cheapest(input.zones.size(), kNever);
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    double& zone = cheapest[static_cast<size_t>(input.nodes[i].zone)];
    zone = std::min(zone, NsPerLayer(input, costs, static_cast<int>(i)));
  }
  std::vector<int> zones;
  for (size_t i = 0; i < cheapest.size(); ++i) {
    if (cheapest[i] < kNever) zones.push_back(static_cast<int>(i));
  }
  std::ranges::sort(zones, {},
                    [&](int zone) { return std::pair(cheapest[static_cast<size_t>(zone)], zone); });
  if (zones.size() > static_cast<size_t>(kZonesMax)) zones.resize(kZonesMax);
  return zones;
}

// Nodes that may host any layers: those of the routes given, the best route's first, and then
// whoever is cheapest by itself.
std::vector<int> BestNodes(const PlannerInput& input, const RouteCosts& costs,
                           const std::vector<OrderedRoute>& routes) {
  std::vector<const OrderedRoute*> by_time;
  for (const OrderedRoute& route : routes) by_time.push_back(&route);
  std::ranges::sort(by_time, {},
                    [](const OrderedRoute* r) { return std::pair(r->split.ns, r->order.size()); });
  std::vector<int> nodes;
  const auto add = [&](int node) {
    if (nodes.size() == kRefinedMax) return;
    if (!input.nodes[static_cast<size_t>(node)].layers_only.empty()) return;
    if (std::ranges::find(nodes, node) == nodes.end()) nodes.push_back(node);
  };
  for (const OrderedRoute* route : by_time) std::ranges::for_each(route->order, add);
  std::vector<std::pair<double, int>> rest;
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    const double ns = NsPerLayer(input, costs, static_cast<int>(i));
    if (ns < kNever) rest.push_back({ns, static_cast<int>(i)});
  }
  std::ranges::sort(rest);
  for (const auto& [ns, node] : rest) add(node);
  return nodes;
}

// The best routes by how many nodes they have, for layers taken to be of `bytes` each.
std::vector<OrderedRoute> BestRoutes(const PlannerInput& input, const RouteCosts& costs,
                                     const std::vector<int>& zones, double bytes) {
  const Chain chain(input, costs, bytes, zones);
  std::vector<OrderedRoute> routes(static_cast<size_t>(input.hops_max) + 1);
  for (int k = 0; k <= input.hops_max; ++k) {
    auto order = chain.Best(k);
    if (!order) continue;
    OrderedRoute& route = routes[static_cast<size_t>(k)];
    route = {std::move(*order), {}};
    route.split = costs.BestSplit(route.order);
  }
  const bool equal = costs.mean_bytes() == costs.max_bytes();
  if (equal && input.pairs.empty()) return routes;
  std::vector<OrderedRoute> refined =
      BestOfSets(costs, BestNodes(input, costs, routes), input.hops_max);
  for (size_t k = 0; k < routes.size(); ++k) {
    if (refined[k].split.ns < routes[k].split.ns) routes[k] = std::move(refined[k]);
  }
  return routes;
}

double LeastNs(const std::vector<OrderedRoute>& routes, size_t from) {
  double least = kNever;
  for (size_t k = from; k < routes.size(); ++k) least = std::min(least, routes[k].split.ns);
  return least;
}

absl::Status NoRoom(const PlannerInput& input, const RouteCosts& costs) {
  const LayerRange middle{costs.begin(), costs.end()};
  double room = 0;
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    room += costs.Room(static_cast<int>(i), costs.max_bytes());
  }
  return Unavailable("the nodes cannot host layers " + ToString(middle) + " in at most " +
                     std::to_string(input.hops_max) +
                     " hops: " + std::to_string(input.nodes.size()) + " nodes with room for " +
                     std::to_string(static_cast<int64_t>(room)) + " layers together, the KV of " +
                     std::to_string(input.sessions) +
                     " sessions included; give more memory, fewer sessions or a shorter context");
}

std::string Why(const std::vector<OrderedRoute>& routes, const RoutePlan& plan, double worth) {
  char text[320];
  const double alone = routes[0].split.ns;
  const double over_nodes = LeastNs(routes, 1);
  if (plan.stops.empty()) {
    if (over_nodes == kNever) return "the whole model fits the edge, and no node could take part";
    const char* cloud = over_nodes > alone * (1 + kSame)   ? "slower"
                        : over_nodes < alone * (1 - kSame) ? "hardly faster"
                                                           : "no faster";
    std::snprintf(text, sizeof text,
                  "the whole model fits the edge, and a cloud would be %s: "
                  "%.3f ms a token alone, %.3f ms over the best nodes",
                  cloud, Ms(alone), Ms(over_nodes));
    return text;
  }
  double compute = 0;
  double links = plan.last_link_ns;
  for (const PlannedStop& stop : plan.stops) {
    compute += stop.hosts.front().compute_ns;
    links += stop.link_ns;
  }
  std::snprintf(text, sizeof text,
                "%zu %s: %.3f ms at the edge, %.3f ms at the nodes, %.3f ms on the way",
                plan.stops.size(), plan.stops.size() == 1 ? "node" : "nodes", Ms(plan.edge_ns),
                Ms(compute), Ms(links));
  std::string why = text;
  if (alone < kNever) {
    std::snprintf(text, sizeof text, "; the edge alone would take %.3f ms", Ms(alone));
    why += text;
  } else {
    why += "; the whole model does not fit what the edge may keep";
  }
  if (plan.total_ns > LeastNs(routes, 0)) {
    std::snprintf(text, sizeof text, "; more nodes would save less than %.0f %%", 100 * worth);
    why += text;
  }
  return why;
}

RoutePlan PlanOf(const PlannerInput& input, const RouteCosts& costs, const OrderedRoute& route) {
  RoutePlan plan;
  plan.cut = {route.split.front, input.edge.least.back};
  plan.edge_ns = costs.EdgeNs(route.split.front);
  plan.total_ns = route.split.ns;
  int last = kEdgeStop;
  for (size_t i = 0; i < route.order.size(); ++i) {
    const int node = route.order[i];
    const LayerRange layers = route.split.layers[i];
    plan.stops.push_back({.layers = layers,
                          .link_ns = costs.LinkNs(last, node),
                          .hosts = {{node, costs.HostNs(node, layers), 0}}});
    last = node;
  }
  if (!route.order.empty()) plan.last_link_ns = costs.LinkNs(last, kEdgeStop);
  return plan;
}

}  // namespace

absl::StatusOr<RoutePlan> PlanRoute(const PlannerInput& input) {
  CheckInput(input);
  const RouteCosts costs(input);
  if (costs.EdgeNs(costs.begin()) == kNever) {
    return FailedPrecondition("the edge's memory, " + std::to_string(*input.edge.memory_bytes) +
                              " bytes, has no room for the first " +
                              std::to_string(input.edge.least.front) + " and last " +
                              std::to_string(input.edge.least.back) +
                              " layers, the head and the embedding with their KV");
  }
  const std::vector<int> zones = PickZones(input, costs);
  // Where layers differ, a share that fits by the mean may not fit; by the largest it does.
  std::vector<OrderedRoute> routes = BestRoutes(input, costs, zones, costs.mean_bytes());
  if (LeastNs(routes, 0) == kNever && costs.mean_bytes() < costs.max_bytes()) {
    routes = BestRoutes(input, costs, zones, costs.max_bytes());
  }
  const double least = LeastNs(routes, 0);
  if (least == kNever) return NoRoom(input, costs);
  // The fewest nodes that are nearly as good: each is one more that can fail, and what is left
  // over can stand in for others.
  const auto chosen = std::ranges::find_if(routes, [&](const OrderedRoute& route) {
    return route.split.ns * (1 - input.worth) <= least;
  });
  RoutePlan plan = PlanOf(input, costs, *chosen);
  for (const OrderedRoute& route : routes) plan.by_nodes.push_back(route.split.ns);
  plan.why = Why(routes, plan, input.worth);
  AddReplicas(input, costs, plan);
  ExplainDropped(input, costs, zones, plan);
  return plan;
}

}  // namespace mortar
