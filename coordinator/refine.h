// The best eight nodes once more, by what is known of each pair and of each layer.
#pragma once

#include <cstddef>
#include <vector>

#include "coordinator/route_costs.h"

namespace mortar {

struct OrderedRoute {
  std::vector<int> order;  // of nodes
  Split split;             // infinite: no route
};

// Nodes whose sets are gone through: 2^8 of them.
inline constexpr size_t kRefinedMax = 8;

// Of every set of `nodes`, at most kRefinedMax of them, the shortest way from the edge through all
// and back, and the best split in that order: for each number of nodes up to hops_max the best
// set. [0] is the edge alone. Exact where a node's time does not depend on its place.
std::vector<OrderedRoute> BestOfSets(const RouteCosts& costs, const std::vector<int>& nodes,
                                     int hops_max);

}  // namespace mortar
