// What a given route costs in the planner's model, and how layers are best split over nodes whose
// order is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "coordinator/planner.h"

namespace mortar {

struct Split {
  double ns = std::numeric_limits<double>::infinity();  // of a token, in all; infinite: impossible
  int front = 0;                                        // layers of the edge's first part
  std::vector<LayerRange> layers;                       // of each node, in their order
};

class RouteCosts {
 public:
  explicit RouteCosts(const PlannerInput& input);  // outlives this

  int begin() const { return begin_; }  // layers [begin, end) need not be the edge's
  int end() const { return end_; }
  // Bytes of a layer that may move: at least, on average and at most.
  double min_bytes() const { return min_bytes_; }
  double mean_bytes() const { return mean_bytes_; }
  double max_bytes() const { return max_bytes_; }

  // One way between two stops.
  double LinkNs(int from, int to) const;
  // Infinite where the node has no room for them, or may not host them.
  double HostNs(int node, LayerRange layers) const;
  // Of the edge that keeps [0, front), the last layers and the head; infinite without room.
  double EdgeNs(int front) const;
  // What a layer's keys and values take at a node.
  uint64_t KvBytes(int node) const {
    return input_->nodes[static_cast<size_t>(node)].kv_bytes_per_layer.value_or(
        input_->kv_bytes_per_layer);
  }
  // Layers of `bytes` each that fit a node.
  int Room(int node, double bytes) const;

  // All of `order` are used. O(nodes x layers^2), exact.
  Split BestSplit(const std::vector<int>& order) const;

 private:
  uint64_t Bytes(LayerRange r) const {
    return sums_[static_cast<size_t>(r.end)] - sums_[static_cast<size_t>(r.begin)];
  }
  uint64_t Key(int a, int b) const;

  const PlannerInput* input_;
  int begin_;
  int end_;
  std::vector<uint64_t> sums_;  // [n_layers + 1], of the layers before
  double min_bytes_ = 0;
  double mean_bytes_ = 0;
  double max_bytes_ = 0;
  std::unordered_map<uint64_t, double> pairs_;
};

}  // namespace mortar
