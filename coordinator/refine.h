// A few nodes gone through in every set and order, by what is known of each pair and each layer.
#pragma once

#include <cstddef>
#include <vector>

#include "coordinator/route_costs.h"

namespace mortar {

struct OrderedRoute {
  std::vector<int> order;  // of nodes
  Split split;             // infinite: no route
};

// Nodes whose sets are gone through: 2^12 of them at most.
inline constexpr size_t kRefinedMax = 12;

// As many of them as are gone through in some 50 ms and 50 MiB, by the layers that may move: 12 up
// to 63 layers, 11 up to 93, 10 up to 139, 8 up to 312, 5 for 1,024.
size_t RefinedNodes(const RouteCosts& costs);

// Of all routes over some of `nodes`, at most kRefinedMax of them, in any order and with any split:
// the best for each number of nodes up to hops_max. [0] is the edge alone. Exact in all that the
// model knows, fixed layers and several gaps included. O(2^nodes x nodes x layers^2), after Held
// and Karp's way through every set, with the layers hosted so far beside the set.
std::vector<OrderedRoute> BestOfSets(const RouteCosts& costs, const std::vector<int>& nodes,
                                     int hops_max);

}  // namespace mortar
