#include "coordinator/planner.h"

#include <algorithm>
#include <cstdio>
#include <tuple>
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
// The best few nodes, and twice those that come next: each round takes some 50 ms at worst.
constexpr int kRounds = 3;

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

// Layers that the node may host at most; 0: it can take no part.
int LayersOf(const PlannerInput& input, const RouteCosts& costs, int index) {
  const LayerRange only = input.nodes[static_cast<size_t>(index)].layers_only;
  if (only.empty()) return costs.Room(index, costs.min_bytes());
  const bool within = only.begin >= costs.begin() && only.end <= costs.end();
  return within && costs.HostNs(index, only) < kNever ? only.size() : 0;
}

// A token's time for each layer that the node would host, were it the only one and full.
double NsPerLayer(const PlannerInput& input, const RouteCosts& costs, int index) {
  const int layers = LayersOf(input, costs, index);
  if (layers == 0) return kNever;
  const double ways = costs.LinkNs(kEdgeStop, index) + costs.LinkNs(index, kEdgeStop);
  return ways / layers + costs.mean_bytes() * input.nodes[static_cast<size_t>(index)].ns_per_byte;
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

// What a token's ways to and from each node may save where a pair is nearer than the edge.
std::vector<double> SavedByPairs(const PlannerInput& input, const RouteCosts& costs) {
  std::vector<double> saved(input.nodes.size(), 0);
  for (const PairTime& pair : input.pairs) {
    if (pair.a == kEdgeStop || pair.b == kEdgeStop) continue;
    for (const int node : {pair.a, pair.b}) {
      const double ways = costs.LinkNs(kEdgeStop, node) + costs.LinkNs(node, kEdgeStop);
      double& most = saved[static_cast<size_t>(node)];
      most = std::max(most, ways / 2 - pair.ns);
    }
  }
  return saved;
}

// All that can take part, whoever is cheapest by itself, or beside the nearest, first.
std::vector<int> CheapestNodes(const PlannerInput& input, const RouteCosts& costs) {
  const std::vector<double> saved = SavedByPairs(input, costs);
  std::vector<std::pair<double, int>> by_ns;
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    const int layers = LayersOf(input, costs, static_cast<int>(i));
    if (layers == 0) continue;
    const double ns = NsPerLayer(input, costs, static_cast<int>(i)) - saved[i] / layers;
    by_ns.push_back({ns, static_cast<int>(i)});
  }
  std::ranges::sort(by_ns);
  std::vector<int> nodes;
  for (const auto& [ns, node] : by_ns) nodes.push_back(node);
  return nodes;
}

void AddUpTo(size_t most, const std::vector<int>& from, std::vector<int>& nodes) {
  for (const int node : from) {
    if (nodes.size() == most) return;
    if (std::ranges::find(nodes, node) == nodes.end()) nodes.push_back(node);
  }
}

// The nodes to be gone through: those of the routes given, the best route's first, and then the
// cheapest.
std::vector<int> BestNodes(const RouteCosts& costs, const std::vector<OrderedRoute>& routes,
                           const std::vector<int>& cheapest) {
  std::vector<const OrderedRoute*> by_time;
  for (const OrderedRoute& route : routes) by_time.push_back(&route);
  std::ranges::sort(by_time, {},
                    [](const OrderedRoute* r) { return std::pair(r->split.ns, r->order.size()); });
  std::vector<int> nodes;
  for (const OrderedRoute* route : by_time) AddUpTo(RefinedNodes(costs), route->order, nodes);
  AddUpTo(RefinedNodes(costs), cheapest, nodes);
  return nodes;
}

// The nodes that can host the most layers, by memory where that is the same. If none of them has
// fixed layers and they are as many as a route may have, they fit wherever any nodes do.
std::vector<int> LargestNodes(const PlannerInput& input, const RouteCosts& costs) {
  std::vector<int> nodes;
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    if (LayersOf(input, costs, static_cast<int>(i)) > 0) nodes.push_back(static_cast<int>(i));
  }
  std::ranges::sort(nodes, {}, [&](int node) {
    return std::tuple(-LayersOf(input, costs, node),
                      -static_cast<double>(input.nodes[static_cast<size_t>(node)].memory_bytes),
                      node);
  });
  if (nodes.size() > RefinedNodes(costs)) nodes.resize(RefinedNodes(costs));
  return nodes;
}

void Merge(std::vector<OrderedRoute> with, std::vector<OrderedRoute>& routes) {
  for (size_t k = 0; k < routes.size(); ++k) {
    if (with[k].split.ns < routes[k].split.ns) routes[k] = std::move(with[k]);
  }
}

// What all sets of a few nodes make of layers, pairs and fixed layers as they are: of the nodes of
// the routes given and the cheapest, and then, beside the best route, of those that come next.
void Refine(const PlannerInput& input, const RouteCosts& costs, std::vector<OrderedRoute>& routes) {
  const size_t most = RefinedNodes(costs);
  std::vector<int> rest = CheapestNodes(input, costs);
  std::vector<int> nodes = BestNodes(costs, routes, rest);
  for (int round = 0; round < kRounds; ++round) {
    Merge(BestOfSets(costs, nodes, input.hops_max), routes);
    std::erase_if(rest, [&](int n) { return std::ranges::find(nodes, n) != nodes.end(); });
    nodes = std::ranges::min(routes, {}, [](const auto& route) { return route.split.ns; }).order;
    if (rest.empty() || nodes.size() >= most) return;
    AddUpTo(most, rest, nodes);
  }
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
  Refine(input, costs, routes);
  return routes;
}

double LeastNs(const std::vector<OrderedRoute>& routes, size_t from) {
  double least = kNever;
  for (size_t k = from; k < routes.size(); ++k) least = std::min(least, routes[k].split.ns);
  return least;
}

// What the input leaves open after chains and sets were gone through.
struct Reach {
  int able = 0;          // nodes that could take part
  bool best = false;     // no route of the model is faster than those found
  bool decided = false;  // where no route was found there is none
};

Reach ReachOf(const PlannerInput& input, const RouteCosts& costs) {
  Reach reach;
  bool fixed = false;
  std::vector<bool> zones(input.zones.size(), false);
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    if (LayersOf(input, costs, static_cast<int>(i)) == 0) continue;
    ++reach.able;
    fixed = fixed || !input.nodes[i].layers_only.empty();
    zones[static_cast<size_t>(input.nodes[i].zone)] = true;
  }
  const auto most = static_cast<int>(RefinedNodes(costs));
  const bool all_sets = reach.able <= most;
  const bool by_chain = costs.mean_bytes() == costs.max_bytes() && input.pairs.empty() && !fixed &&
                        std::ranges::count(zones, true) <= kZonesMax;
  reach.best = all_sets || by_chain;
  reach.decided = all_sets || (!fixed && most >= input.hops_max);
  return reach;
}

std::vector<OrderedRoute> FindRoutes(const PlannerInput& input, const RouteCosts& costs,
                                     const std::vector<int>& zones) {
  std::vector<OrderedRoute> routes = BestRoutes(input, costs, zones, costs.mean_bytes());
  const auto by_nodes = [&] { return LeastNs(routes, 1) < kNever; };
  if (by_nodes()) return routes;
  // Where layers differ, a share that fits by the mean may not fit; by the largest it does.
  if (costs.mean_bytes() < costs.max_bytes()) {
    Merge(BestRoutes(input, costs, zones, costs.max_bytes()), routes);
    if (by_nodes()) return routes;
  }
  // Cheap nodes alone may be too small, and by the largest layer a fit may not be seen.
  Merge(BestOfSets(costs, LargestNodes(input, costs), input.hops_max), routes);
  if (by_nodes()) Refine(input, costs, routes);
  return routes;
}

bool AnyIsFixed(const PlannerInput& input) {
  return std::ranges::any_of(input.nodes,
                             [](const PlannerNode& n) { return !n.layers_only.empty(); });
}

// The first run of layers that nobody may host, since all nodes host others alone.
LayerRange HostedByNobody(const PlannerInput& input, LayerRange middle) {
  const auto hosts = [&](int layer) {
    return std::ranges::any_of(input.nodes, [&](const PlannerNode& n) {
      const LayerRange only = n.layers_only;
      const bool within = only.begin >= middle.begin && only.end <= middle.end;
      return only.empty() || (within && only.Contains(layer));
    });
  };
  if (input.nodes.empty() || input.edge.memory_bytes) return {};  // the edge itself may
  LayerRange nobodys{middle.begin, middle.begin};
  while (nobodys.begin < middle.end && hosts(nobodys.begin)) ++nobodys.begin;
  nobodys.end = nobodys.begin;
  while (nobodys.end < middle.end && !hosts(nobodys.end)) ++nobodys.end;
  return nobodys;
}

// Whose KV a host must have room for: the plan's sessions, or as many as each node says it admits.
std::string SessionsHeld(const PlannerInput& input) {
  const bool own = std::ranges::any_of(
      input.nodes, [](const PlannerNode& n) { return n.kv_bytes_per_layer.has_value(); });
  return own ? "the sessions that each admits" : std::to_string(input.sessions) + " sessions";
}

absl::Status NoRoute(const PlannerInput& input, const RouteCosts& costs, const Reach& reach) {
  const LayerRange middle{costs.begin(), costs.end()};
  const std::string hops = " in at most " + std::to_string(input.hops_max) + " hops: ";
  if (!reach.decided) {
    return Unavailable("found no way to host layers " + ToString(middle) + hops + "of " +
                       std::to_string(reach.able) + " nodes sets of " +
                       std::to_string(RefinedNodes(costs)) +
                       " were gone through, and there may be one beyond them; give fewer nodes, "
                       "or fixed layers that leave no gaps or one");
  }
  if (const LayerRange nobodys = HostedByNobody(input, middle); !nobodys.empty()) {
    return Unavailable("no node may host layers " + ToString(nobodys) +
                       ": each hosts fixed layers alone; give a node that may host these, or any");
  }
  double room = 0;
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    room += costs.Room(static_cast<int>(i), costs.max_bytes());
  }
  return Unavailable("the nodes cannot host layers " + ToString(middle) + hops +
                     std::to_string(input.nodes.size()) + " nodes with room for " +
                     std::to_string(static_cast<int64_t>(room)) + " layers together, the KV of " +
                     SessionsHeld(input) + " included; give more memory, fewer sessions" +
                     (AnyIsFixed(input) ? ", a shorter context, or other fixed layers: they must "
                                          "follow one another without a gap"
                                        : " or a shorter context"));
}

std::string Why(const std::vector<OrderedRoute>& routes, const RouteCosts& costs,
                const RoutePlan& plan, const PlannerInput& input) {
  if (costs.begin() == costs.end()) {
    return "the edge keeps all layers, front and back: none is left for a node";
  }
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
  } else if (input.edge.memory_bytes) {  // else nobody asked whether it fits
    why += "; the whole model does not fit what the edge may keep";
  }
  if (plan.total_ns > LeastNs(routes, 0)) {
    std::snprintf(text, sizeof text, "; more nodes would save less than %.0f %%",
                  100 * input.worth);
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
  const Reach reach = ReachOf(input, costs);
  const std::vector<OrderedRoute> routes = FindRoutes(input, costs, zones);
  const double least = LeastNs(routes, 0);
  if (least == kNever) return NoRoute(input, costs, reach);
  // The fewest nodes that are nearly as good: each is one more that can fail, and what is left
  // over can stand in for others.
  const auto chosen = std::ranges::find_if(routes, [&](const OrderedRoute& route) {
    return route.split.ns * (1 - input.worth) <= least;
  });
  RoutePlan plan = PlanOf(input, costs, *chosen);
  for (const OrderedRoute& route : routes) plan.by_nodes.push_back(route.split.ns);
  plan.why = Why(routes, costs, plan, input);
  if (!reach.best) {
    plan.why += "; of " + std::to_string(reach.able) +
                " nodes not all sets were gone through: there may be a better way";
  }
  AddReplicas(input, costs, plan);
  ExplainDropped(input, costs, zones, plan);
  return plan;
}

}  // namespace mortar
