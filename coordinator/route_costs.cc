#include "coordinator/route_costs.h"

#include <algorithm>

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

RouteCosts::RouteCosts(const PlannerInput& input)
    : input_(&input),
      begin_(input.edge.least.front),
      end_(static_cast<int>(input.layer_bytes.size()) - input.edge.least.back) {
  sums_.push_back(0);
  for (const uint64_t bytes : input.layer_bytes) sums_.push_back(sums_.back() + bytes);
  for (int i = begin_; i < end_; ++i) {
    const auto bytes = static_cast<double>(Bytes({i, i + 1}));
    min_bytes_ = i == begin_ ? bytes : std::min(min_bytes_, bytes);
    max_bytes_ = std::max(max_bytes_, bytes);
  }
  if (begin_ < end_) mean_bytes_ = static_cast<double>(Bytes({begin_, end_})) / (end_ - begin_);
  for (const PairTime& pair : input.pairs) pairs_[Key(pair.a, pair.b)] = pair.ns;
}

uint64_t RouteCosts::Key(int a, int b) const {
  const auto [low, high] = std::minmax(a, b);
  return static_cast<uint64_t>(low + 1) << 32 | static_cast<uint64_t>(high + 1);
}

double RouteCosts::LinkNs(int from, int to) const {
  if (!pairs_.empty()) {
    const auto measured = pairs_.find(Key(from, to));
    if (measured != pairs_.end()) return measured->second;
  }
  const auto zone = [&](int stop) {
    return static_cast<size_t>(stop == kEdgeStop ? input_->edge.zone
                                                 : input_->nodes[static_cast<size_t>(stop)].zone);
  };
  const auto access = [&](int stop) {
    return stop == kEdgeStop ? input_->edge.access_ns
                             : input_->nodes[static_cast<size_t>(stop)].access_ns;
  };
  // A route enters and leaves each of its stops once, the edge included.
  return (access(from) + access(to)) / 2 + input_->zones[zone(from)][zone(to)];
}

double RouteCosts::HostNs(int node, LayerRange layers) const {
  const PlannerNode& n = input_->nodes[static_cast<size_t>(node)];
  if (!n.layers_only.empty() && !(n.layers_only == layers)) return kNever;
  const uint64_t weights = Bytes(layers);
  const uint64_t kv = KvBytes(node) * static_cast<uint64_t>(layers.size());
  if (weights + kv > n.memory_bytes) return kNever;
  return static_cast<double>(weights) * n.ns_per_byte;
}

double RouteCosts::EdgeNs(int front) const {
  const PlannerEdge& edge = input_->edge;
  const int n_layers = static_cast<int>(input_->layer_bytes.size());
  const uint64_t weights = Bytes({0, front}) + Bytes({end_, n_layers});
  if (edge.memory_bytes) {
    const auto kept = static_cast<uint64_t>(front + n_layers - end_);
    const uint64_t needed = weights + edge.resident_bytes + input_->kv_bytes_per_layer * kept;
    if (needed > *edge.memory_bytes) return kNever;
  } else if (front > begin_) {
    return kNever;
  }
  return static_cast<double>(weights + edge.head_bytes) * edge.ns_per_byte;
}

int RouteCosts::Room(int node, double bytes) const {
  const PlannerNode& n = input_->nodes[static_cast<size_t>(node)];
  const double layer = bytes + static_cast<double>(KvBytes(node));
  const double fit = static_cast<double>(n.memory_bytes) / std::max(layer, 1.0);
  return static_cast<int>(std::min(fit, static_cast<double>(end_ - begin_)));
}

// least(i, p): the first i nodes and the edge host [0, p).
Split RouteCosts::BestSplit(const std::vector<int>& order) const {
  const auto positions = static_cast<size_t>(end_ - begin_ + 1);
  const size_t n = order.size();
  std::vector<double> least((n + 1) * positions, kNever);
  std::vector<int> from((n + 1) * positions, 0);  // where the last of them begins
  for (size_t p = 0; p < positions; ++p) least[p] = EdgeNs(begin_ + static_cast<int>(p));
  for (size_t i = 1; i <= n; ++i) {
    for (size_t p = 0; p < positions; ++p) {
      const double before = least[(i - 1) * positions + p];
      if (before == kNever) continue;
      for (size_t q = p + 1; q < positions; ++q) {
        const double host =
            HostNs(order[i - 1], {begin_ + static_cast<int>(p), begin_ + static_cast<int>(q)});
        double& best = least[i * positions + q];
        if (before + host >= best) continue;
        best = before + host;
        from[i * positions + q] = static_cast<int>(p);
      }
    }
  }
  Split split;
  split.ns = least[n * positions + positions - 1];
  if (split.ns == kNever) return split;
  int last = kEdgeStop;
  for (const int node : order) {
    split.ns += LinkNs(last, node);
    last = node;
  }
  if (n > 0) split.ns += LinkNs(last, kEdgeStop);
  auto q = positions - 1;
  split.layers.resize(n);
  for (size_t i = n; i > 0; --i) {
    const auto p = static_cast<size_t>(from[i * positions + q]);
    split.layers[i - 1] = {begin_ + static_cast<int>(p), begin_ + static_cast<int>(q)};
    q = p;
  }
  split.front = begin_ + static_cast<int>(q);
  return split;
}

}  // namespace mortar
