// The least time of a token over every route there is: what the planner is measured against.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "coordinator/planner.h"

namespace mortar {

// Written from the model's description and not from the planner: it walks through all orders of
// all sets of nodes, with all ways to cut the layers. For up to 6 nodes and some 10 layers.
class BruteForce {
 public:
  explicit BruteForce(const PlannerInput& input)
      : in_(input),
        end_(static_cast<int>(input.layer_bytes.size()) - input.edge.least.back),
        used_(input.nodes.size(), false) {
    const int n = static_cast<int>(input.nodes.size());
    for (int a = kEdgeStop; a < n; ++a) {
      for (int b = kEdgeStop; b < n; ++b) links_.push_back(WayNs(a, b));
    }
  }

  // Infinite: no route. `one_gap`: only routes whose nodes without fixed layers are neighbours.
  double LeastNs(bool one_gap) {
    one_gap_ = one_gap;
    for (int front = in_.edge.least.front; front <= end_; ++front) {
      if (!EdgeFits(front)) continue;
      const double ns = static_cast<double>(EdgeBytes(front)) * in_.edge.ns_per_byte;
      Walk(front, kEdgeStop, 0, kBefore, ns);
    }
    return best_;
  }

 private:
  enum Gap { kBefore, kIn, kBehind };

  uint64_t Bytes(int begin, int end) const {
    uint64_t bytes = 0;
    for (int i = begin; i < end; ++i) bytes += in_.layer_bytes[static_cast<size_t>(i)];
    return bytes;
  }
  int n_layers() const { return static_cast<int>(in_.layer_bytes.size()); }
  uint64_t EdgeBytes(int front) const {
    return Bytes(0, front) + Bytes(end_, n_layers()) + in_.edge.head_bytes;
  }
  bool EdgeFits(int front) const {
    if (!in_.edge.memory_bytes) return front == in_.edge.least.front;
    const auto layers = static_cast<uint64_t>(front + n_layers() - end_);
    return Bytes(0, front) + Bytes(end_, n_layers()) + in_.edge.resident_bytes +
               layers * in_.kv_bytes_per_layer <=
           *in_.edge.memory_bytes;
  }
  double WayNs(int a, int b) const {
    for (const PairTime& pair : in_.pairs) {
      if ((pair.a == a && pair.b == b) || (pair.a == b && pair.b == a)) return pair.ns;
    }
    const auto zone = [&](int stop) {
      return static_cast<size_t>(stop == kEdgeStop ? in_.edge.zone
                                                   : in_.nodes[static_cast<size_t>(stop)].zone);
    };
    const auto access = [&](int stop) {
      return stop == kEdgeStop ? in_.edge.access_ns
                               : in_.nodes[static_cast<size_t>(stop)].access_ns;
    };
    return (access(a) + access(b)) / 2 + in_.zones[zone(a)][zone(b)];
  }
  double LinkNs(int a, int b) const {
    return links_[static_cast<size_t>(a + 1) * (in_.nodes.size() + 1) + static_cast<size_t>(b + 1)];
  }
  void Walk(int p, int last, int hops, Gap gap, double ns) {
    if (p == end_) best_ = std::min(best_, hops == 0 ? ns : ns + LinkNs(last, kEdgeStop));
    if (hops == in_.hops_max) return;
    for (size_t i = 0; i < in_.nodes.size(); ++i) {
      if (used_[i]) continue;
      const PlannerNode& node = in_.nodes[i];
      const bool fixed = !node.layers_only.empty();
      if (one_gap_ && !fixed && gap == kBehind) continue;
      const Gap then = !fixed ? kIn : gap == kIn ? kBehind : gap;
      const double link = LinkNs(last, static_cast<int>(i));
      used_[i] = true;
      for (int q = p + 1; q <= end_; ++q) {
        if (fixed && !(node.layers_only == LayerRange{p, q})) continue;
        const uint64_t bytes = Bytes(p, q);
        if (bytes + static_cast<uint64_t>(q - p) * in_.kv_bytes_per_layer > node.memory_bytes) {
          break;
        }
        Walk(q, static_cast<int>(i), hops + 1, then,
             ns + link + static_cast<double>(bytes) * node.ns_per_byte);
      }
      used_[i] = false;
    }
  }

  const PlannerInput& in_;
  int end_;
  std::vector<bool> used_;
  std::vector<double> links_;  // [nodes + 1, nodes + 1], the edge first
  bool one_gap_ = true;
  double best_ = std::numeric_limits<double>::infinity();
};

}  // namespace mortar
