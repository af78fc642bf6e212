// How layers of one size are best shared out over nodes of one zone: the inner problem of the
// planner.
//
// A node costs a fixed time when it is used at all, a time for each layer that it hosts, and has
// room for so many. Where the nodes stand in the route does not matter, only who is used and how
// many layers each has: a knapsack, and dynamic programming over nodes x layers is exact for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mortar {

struct ShareNode {
  int node = 0;         // whose it is, for the reader
  double used_ns = 0;   // a token's way there and on, whatever it hosts
  double layer_ns = 0;  // a token's time in one layer
  int room = 0;         // layers that fit
};

struct NodeShare {
  int node = 0;
  int layers = 0;  // 1 or more
};

// The least time of exactly k nodes with exactly n layers, for all k <= nodes_max, n <= layers_max.
class ShareTable {
 public:
  // Takes O(nodes x nodes_max x layers_max) for those that no nodes_max others surpass in every
  // respect, and O(nodes^2) comparisons at worst to find them.
  ShareTable(std::vector<ShareNode> nodes, int nodes_max, int layers_max);

  double Time(int k, int n) const { return time_[Index(k, n)]; }  // infinite: impossible
  // Who has how many. Needs: Time(k, n) is finite.
  std::vector<NodeShare> Best(int k, int n) const;

 private:
  size_t Index(int k, int n) const {
    return static_cast<size_t>(k) * static_cast<size_t>(layers_max_ + 1) + static_cast<size_t>(n);
  }
  void Add(const ShareNode& node);

  int nodes_max_;
  int layers_max_;
  std::vector<ShareNode> nodes_;
  std::vector<double> time_;  // [nodes_max + 1, layers_max + 1]
  // [nodes, nodes_max + 1, layers_max + 1]: layers of the node in the best of those up to it.
  std::vector<uint16_t> layers_of_;
};

}  // namespace mortar
