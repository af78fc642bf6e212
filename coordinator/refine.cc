#include "coordinator/refine.h"

#include <algorithm>
#include <bit>

#include "common/check.h"

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Of nodes x 2^nodes x layers^2: some 50 ms.
constexpr size_t kWorkMax = size_t{192} << 20;

class SetTable {
 public:
  SetTable(const RouteCosts& costs, const std::vector<int>& nodes, int hops_max);
  // The order of the best route with exactly k nodes; empty: there is none.
  std::vector<int> Best(int k) const;

 private:
  // The edge and the nodes of a set host the first p layers that may move, `last` the last of them.
  struct Cell {
    double ns = kNever;  // of the edge, the set and the ways up to `last`
    int begin = 0;       // of the layers of `last`
    int before = -1;     // the node before it; -1: the edge
  };
  // The finite times of a node's layers from one begin on: their ends are [first, first + size).
  struct Hosted {
    size_t first = 0;
    std::vector<double> ns;
  };

  size_t Row(size_t set, size_t last) const { return (set * nodes_.size() + last) * positions_; }
  void FindHosted();
  void Enter(size_t set, size_t next);
  void Extend(size_t set, size_t next);

  const RouteCosts& costs_;
  const std::vector<int>& nodes_;
  size_t positions_;            // p: 0 to all layers that may move
  std::vector<Hosted> hosted_;  // [nodes, positions]
  std::vector<Cell> cells_;     // [sets, nodes, positions]
  std::vector<Cell> entered_;   // [positions]: at the door of the next node, with nothing of its
};

SetTable::SetTable(const RouteCosts& costs, const std::vector<int>& nodes, int hops_max)
    : costs_(costs),
      nodes_(nodes),
      positions_(static_cast<size_t>(costs.end() - costs.begin()) + 1),
      cells_((size_t{1} << nodes.size()) * nodes.size() * positions_) {
  FindHosted();
  for (size_t set = 0; set < (size_t{1} << nodes.size()); ++set) {
    if (std::popcount(set) >= hops_max) continue;
    for (size_t next = 0; next < nodes.size(); ++next) {
      if ((set >> next & 1) == 0) Extend(set, next);
    }
  }
}

void SetTable::FindHosted() {
  hosted_.resize(nodes_.size() * positions_);
  for (size_t node = 0; node < nodes_.size(); ++node) {
    for (size_t p = 0; p < positions_; ++p) {
      Hosted& hosted = hosted_[node * positions_ + p];
      for (size_t q = p + 1; q < positions_; ++q) {
        const LayerRange layers{costs_.begin() + static_cast<int>(p),
                                costs_.begin() + static_cast<int>(q)};
        const double ns = costs_.HostNs(nodes_[node], layers);
        if (ns == kNever && !hosted.ns.empty()) break;  // what more needs more memory still
        if (ns == kNever) continue;
        if (hosted.ns.empty()) hosted.first = q;
        hosted.ns.push_back(ns);
      }
    }
  }
}

void SetTable::Enter(size_t set, size_t next) {
  entered_.assign(positions_, {});
  if (set == 0) {
    const double way = costs_.LinkNs(kEdgeStop, nodes_[next]);
    for (size_t p = 0; p < positions_; ++p) {
      entered_[p].ns = costs_.EdgeNs(costs_.begin() + static_cast<int>(p)) + way;
    }
  }
  for (size_t last = 0; last < nodes_.size(); ++last) {
    if ((set >> last & 1) == 0) continue;
    const double way = costs_.LinkNs(nodes_[last], nodes_[next]);
    const Cell* from = &cells_[Row(set, last)];
    for (size_t p = 0; p < positions_; ++p) {
      if (from[p].ns + way >= entered_[p].ns) continue;
      entered_[p].ns = from[p].ns + way;
      entered_[p].before = static_cast<int>(last);
    }
  }
}

void SetTable::Extend(size_t set, size_t next) {
  Enter(set, next);
  Cell* to = &cells_[Row(set | size_t{1} << next, next)];
  for (size_t p = 0; p < positions_; ++p) {
    const Cell& from = entered_[p];
    if (from.ns == kNever) continue;
    const Hosted& hosted = hosted_[next * positions_ + p];
    for (size_t i = 0; i < hosted.ns.size(); ++i) {
      Cell& cell = to[hosted.first + i];
      const double ns = from.ns + hosted.ns[i];
      if (ns < cell.ns) cell = {ns, static_cast<int>(p), from.before};
    }
  }
}

std::vector<int> SetTable::Best(int k) const {
  double best = kNever;
  size_t set = 0;
  int last = -1;
  for (size_t s = 1; s < (size_t{1} << nodes_.size()); ++s) {
    if (std::popcount(s) != k) continue;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const double ns = cells_[Row(s, i) + positions_ - 1].ns + costs_.LinkNs(nodes_[i], kEdgeStop);
      if (ns >= best) continue;
      best = ns;
      set = s;
      last = static_cast<int>(i);
    }
  }
  std::vector<int> order;  // from the last to the first
  for (size_t p = positions_ - 1; last >= 0;) {
    const auto at = static_cast<size_t>(last);
    const Cell& cell = cells_[Row(set, at) + p];
    order.push_back(nodes_[at]);
    set &= ~(size_t{1} << at);
    p = static_cast<size_t>(cell.begin);
    last = cell.before;
  }
  std::ranges::reverse(order);
  return order;
}

}  // namespace

size_t RefinedNodes(const RouteCosts& costs) {
  const auto positions = static_cast<size_t>(costs.end() - costs.begin()) + 1;
  size_t n = kRefinedMax;
  while (n > 1 && (n << n) * positions * positions > kWorkMax) --n;
  return n;
}

std::vector<OrderedRoute> BestOfSets(const RouteCosts& costs, const std::vector<int>& nodes,
                                     int hops_max) {
  CHECK(nodes.size() <= kRefinedMax);
  std::vector<OrderedRoute> best(static_cast<size_t>(hops_max) + 1);
  best[0].split = costs.BestSplit({});
  const SetTable table(costs, nodes, hops_max);
  for (int k = 1; k <= hops_max; ++k) {
    OrderedRoute& route = best[static_cast<size_t>(k)];
    route.order = table.Best(k);
    if (!route.order.empty()) route.split = costs.BestSplit(route.order);
  }
  return best;
}

}  // namespace mortar
