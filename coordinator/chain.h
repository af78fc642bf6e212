// The best routes for layers of one size: nodes that host fixed layers, in the order of those, and
// between them at most one gap, filled by nodes that may host any.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/gap.h"
#include "coordinator/planner.h"
#include "coordinator/route_costs.h"

namespace mortar {

class Chain {
 public:
  // Layers of `bytes` each. At most kZonesMax zones, whose nodes alone are used. The input and the
  // costs outlive this.
  Chain(const PlannerInput& input, const RouteCosts& costs, double bytes,
        const std::vector<int>& zones);

  // The nodes of the best route with exactly k, in the order of the route; nothing when there is
  // none. k is at most input.hops_max.
  std::optional<std::vector<int>> Best(int k) const;

 private:
  // Nodes of one zone that host the same layers cost the same but for their speed: the best one.
  struct Fixed {
    int node = 0;
    LayerRange layers;
    double ns = 0;  // its access and its layers
  };
  // The edge and k nodes host all layers before p; the last stop is in `zone`.
  struct State {
    double ns = std::numeric_limits<double>::infinity();
    int before = -1;    // state
    int fixed = -1;     // the last node, by its index in fixed_; -1: there is none yet
    int gap_nodes = 0;  // between the state before and the last node
    int gap_layers = 0;
  };
  struct End {
    double ns = std::numeric_limits<double>::infinity();
    int state = -1;
    int gap_nodes = 0;  // between the state and the edge
    int gap_layers = 0;
  };

  void FindFixed(const std::vector<int>& zones);
  const GapTable::Between& Between(int from, int to);
  void Extend(int gap_used, int k, int p, int zone);
  void Finish(int gap_used, int k, int p, int zone);
  static void Offer(State& state, const State& with) {
    if (with.ns < state.ns) state = with;
  }
  int Index(int gap_used, int k, int p, int zone) const;
  double Link(int from, int to) const {
    return input_.zones[static_cast<size_t>(from)][static_cast<size_t>(to)];
  }

  const PlannerInput& input_;
  const RouteCosts& costs_;
  int layers_;  // between the edge's least
  std::optional<GapTable> gaps_;
  std::map<std::pair<int, int>, GapTable::Between> between_;
  std::vector<Fixed> fixed_;   // ascending by their first layer
  std::vector<int> begins_;    // [layers + 2], the first of fixed_ that begins there or later
  std::vector<State> states_;  // [2 (gap used), hops_max + 1, layers + 1, zones of the input]
  std::vector<End> ends_;      // [hops_max + 1]
};

}  // namespace mortar
