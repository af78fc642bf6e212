#include "coordinator/chain.h"

#include <algorithm>
#include <tuple>

#include "common/check.h"

namespace mortar {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

std::vector<ZoneNodes> FreeNodes(const PlannerInput& input, const RouteCosts& costs, double bytes,
                                 const std::vector<int>& zones) {
  std::vector<ZoneNodes> out;
  for (const int zone : zones) out.push_back({.zone = zone, .nodes = {}});
  for (size_t i = 0; i < input.nodes.size(); ++i) {
    const PlannerNode& node = input.nodes[i];
    if (!node.layers_only.empty()) continue;
    const auto own = std::ranges::find(out, node.zone, &ZoneNodes::zone);
    if (own == out.end()) continue;
    own->nodes.push_back({.node = static_cast<int>(i),
                          .used_ns = node.access_ns,
                          .layer_ns = bytes * node.ns_per_byte,
                          .room = costs.Room(static_cast<int>(i), bytes)});
  }
  return out;
}

}  // namespace

Chain::Chain(const PlannerInput& input, const RouteCosts& costs, double bytes,
             const std::vector<int>& zones)
    : input_(input), costs_(costs), layers_(costs.end() - costs.begin()) {
  gaps_.emplace(FreeNodes(input, costs, bytes, zones), input.zones, input.hops_max, layers_);
  FindFixed(zones);
  const int n_zones = static_cast<int>(input.zones.size());
  states_.resize(static_cast<size_t>(Index(1, input.hops_max, layers_, n_zones - 1)) + 1);
  ends_.resize(static_cast<size_t>(input.hops_max) + 1);
  // The edge's own layers come first, as many as it has room for.
  for (int p = 0; p <= layers_; ++p) {
    states_[static_cast<size_t>(Index(0, 0, p, input.edge.zone))].ns =
        costs.EdgeNs(costs.begin() + p);
  }
  for (int p = 0; p <= layers_; ++p) {
    for (int gap_used = 0; gap_used < 2; ++gap_used) {
      for (int k = 0; k <= input.hops_max; ++k) {
        for (int zone = 0; zone < n_zones; ++zone) {
          if (states_[static_cast<size_t>(Index(gap_used, k, p, zone))].ns == kNever) continue;
          Finish(gap_used, k, p, zone);
          Extend(gap_used, k, p, zone);
        }
      }
    }
  }
}

void Chain::FindFixed(const std::vector<int>& zones) {
  std::map<std::tuple<int, int, int>, Fixed> best;
  for (size_t i = 0; i < input_.nodes.size(); ++i) {
    const PlannerNode& node = input_.nodes[i];
    const LayerRange layers = node.layers_only;
    if (layers.empty() || layers.begin < costs_.begin() || layers.end > costs_.end()) continue;
    if (std::ranges::find(zones, node.zone) == zones.end()) continue;
    const double ns = node.access_ns + costs_.HostNs(static_cast<int>(i), layers);
    if (ns == kNever) continue;
    Fixed& same = best.try_emplace({layers.begin, layers.end, node.zone},
                                   Fixed{static_cast<int>(i), layers, ns})
                      .first->second;
    if (ns < same.ns) same = {static_cast<int>(i), layers, ns};
  }
  for (const auto& [key, fixed] : best) fixed_.push_back(fixed);
  size_t next = 0;
  for (int p = 0; p <= layers_ + 1; ++p) {
    while (next < fixed_.size() && fixed_[next].layers.begin - costs_.begin() < p) ++next;
    begins_.push_back(static_cast<int>(next));
  }
}

int Chain::Index(int gap_used, int k, int p, int zone) const {
  const int n_zones = static_cast<int>(input_.zones.size());
  return ((gap_used * (input_.hops_max + 1) + k) * (layers_ + 1) + p) * n_zones + zone;
}

const GapTable::Between& Chain::Between(int from, int to) {
  const auto found = between_.find({from, to});
  if (found != between_.end()) return found->second;
  return between_.emplace(std::pair(from, to), gaps_->Fill(from, to)).first->second;
}

// By a node whose layers begin at p, or by a gap and a node whose layers begin behind it.
void Chain::Extend(int gap_used, int k, int p, int zone) {
  const int index = Index(gap_used, k, p, zone);
  const double ns = states_[static_cast<size_t>(index)].ns;
  const auto begins = [&](int at) { return begins_[static_cast<size_t>(at)]; };
  const int last = gap_used == 0 ? static_cast<int>(fixed_.size()) : begins(p + 1);
  for (int i = begins(p); i < last; ++i) {
    const Fixed& fixed = fixed_[static_cast<size_t>(i)];
    const int to = input_.nodes[static_cast<size_t>(fixed.node)].zone;
    const int end = fixed.layers.end - costs_.begin();
    const int gap = fixed.layers.begin - costs_.begin() - p;
    if (gap == 0) {
      if (k == input_.hops_max) continue;
      Offer(states_[static_cast<size_t>(Index(gap_used, k + 1, end, to))],
            {ns + Link(zone, to) + fixed.ns, index, i, 0, 0});
      continue;
    }
    const GapTable::Between& between = Between(zone, to);
    for (int j = 1; k + j + 1 <= input_.hops_max; ++j) {
      const double way = between.time[gaps_->Index(j, gap)];
      Offer(states_[static_cast<size_t>(Index(1, k + j + 1, end, to))],
            {ns + way + fixed.ns, index, i, j, gap});
    }
  }
}

// Back to the edge, at once or through a gap.
void Chain::Finish(int gap_used, int k, int p, int zone) {
  const int index = Index(gap_used, k, p, zone);
  const double ns = states_[static_cast<size_t>(index)].ns;
  const auto offer = [&](int nodes, const End& with) {
    End& end = ends_[static_cast<size_t>(nodes)];
    if (with.ns < end.ns) end = with;
  };
  const int gap = layers_ - p;
  if (gap == 0) {
    if (k == 0) return offer(0, {ns, index, 0, 0});
    return offer(k, {ns + Link(zone, input_.edge.zone) + input_.edge.access_ns, index, 0, 0});
  }
  if (gap_used != 0) return;
  const GapTable::Between& between = Between(zone, input_.edge.zone);
  for (int j = 1; k + j <= input_.hops_max; ++j) {
    const double way = between.time[gaps_->Index(j, gap)];
    offer(k + j, {ns + way + input_.edge.access_ns, index, j, gap});
  }
}

std::optional<std::vector<int>> Chain::Best(int k) const {
  const End& end = ends_[static_cast<size_t>(k)];
  if (end.ns == kNever) return std::nullopt;
  std::vector<int> order;  // from the last to the first
  const auto add_gap = [&](int from_zone, int to_zone, int nodes, int layers) {
    if (nodes == 0) return;
    const std::vector<NodeShare> shares =
        gaps_->Best(between_.at({from_zone, to_zone}), nodes, layers);
    for (size_t i = shares.size(); i-- > 0;) order.push_back(shares[i].node);
  };
  const auto zone_of = [&](int state) { return state % static_cast<int>(input_.zones.size()); };
  add_gap(zone_of(end.state), input_.edge.zone, end.gap_nodes, end.gap_layers);
  for (int i = end.state; states_[static_cast<size_t>(i)].fixed >= 0;) {
    const State& state = states_[static_cast<size_t>(i)];
    order.push_back(fixed_[static_cast<size_t>(state.fixed)].node);
    add_gap(zone_of(state.before), zone_of(i), state.gap_nodes, state.gap_layers);
    i = state.before;
  }
  std::ranges::reverse(order);
  CHECK(static_cast<int>(order.size()) == k);
  return order;
}

}  // namespace mortar
