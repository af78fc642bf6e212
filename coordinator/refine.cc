#include "coordinator/refine.h"

#include <algorithm>
#include <bit>

#include "common/check.h"

namespace mortar {
namespace {

// The shortest ways from the edge through each set, by the node that they end in (Held and Karp).
struct Ways {
  std::vector<double> ns;   // [sets, nodes]
  std::vector<int> before;  // [sets, nodes]; -1: the edge
};

Ways ShortestWays(const RouteCosts& costs, const std::vector<int>& nodes) {
  const size_t n = nodes.size();
  const size_t sets = size_t{1} << n;
  Ways ways{std::vector<double>(sets * n, std::numeric_limits<double>::infinity()),
            std::vector<int>(sets * n, -1)};
  for (size_t set = 1; set < sets; ++set) {
    for (size_t last = 0; last < n; ++last) {
      if ((set >> last & 1) == 0) continue;
      const size_t others = set & ~(size_t{1} << last);
      double& best = ways.ns[set * n + last];
      if (others == 0) best = costs.LinkNs(kEdgeStop, nodes[last]);
      for (size_t before = 0; before < n; ++before) {
        if ((others >> before & 1) == 0) continue;
        const double ns = ways.ns[others * n + before] + costs.LinkNs(nodes[before], nodes[last]);
        if (ns >= best) continue;
        best = ns;
        ways.before[set * n + last] = static_cast<int>(before);
      }
    }
  }
  return ways;
}

std::vector<int> ShortestOrder(const RouteCosts& costs, const std::vector<int>& nodes,
                               const Ways& ways, size_t set) {
  const size_t n = nodes.size();
  int last = -1;
  double best = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < n; ++i) {
    const double ns = ways.ns[set * n + i] + costs.LinkNs(nodes[i], kEdgeStop);
    if (ns >= best) continue;
    best = ns;
    last = static_cast<int>(i);
  }
  std::vector<int> order;
  while (last >= 0) {
    const auto at = static_cast<size_t>(last);
    order.push_back(nodes[at]);
    last = ways.before[set * n + at];
    set &= ~(size_t{1} << at);
  }
  std::ranges::reverse(order);
  return order;
}

}  // namespace

std::vector<OrderedRoute> BestOfSets(const RouteCosts& costs, const std::vector<int>& nodes,
                                     int hops_max) {
  CHECK(nodes.size() <= kRefinedMax);
  std::vector<OrderedRoute> best(static_cast<size_t>(hops_max) + 1);
  best[0].split = costs.BestSplit({});
  const Ways ways = ShortestWays(costs, nodes);
  for (size_t set = 1; set < (size_t{1} << nodes.size()); ++set) {
    const int k = std::popcount(set);
    if (k > hops_max) continue;
    OrderedRoute route{ShortestOrder(costs, nodes, ways, set), {}};
    route.split = costs.BestSplit(route.order);
    OrderedRoute& known = best[static_cast<size_t>(k)];
    if (route.split.ns < known.split.ns) known = std::move(route);
  }
  return best;
}

}  // namespace mortar
