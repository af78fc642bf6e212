// Nodes beside the fastest route: replicas of its stops, and those that are left out, with why.
#pragma once

#include "coordinator/route_costs.h"

namespace mortar {

// A token's time when `node` stands in for the first host of a stop.
double WithReplica(const RouteCosts& costs, const RoutePlan& plan, size_t stop, int node);

// Gives each stop of `plan` replicas of the nodes that are free, up to one for each session: the
// fastest first, to the stop that has the least capacity and that the node can host without
// making a token slower than kReplicaSlowdownMax. Then shares the sessions out, so that the
// busiest host of a stop has as little to do as possible.
void AddReplicas(const PlannerInput& input, const RouteCosts& costs, RoutePlan& plan);

// Names the nodes that host nothing, and why: `zones` are those that were looked at.
void ExplainDropped(const PlannerInput& input, const RouteCosts& costs,
                    const std::vector<int>& zones, RoutePlan& plan);

}  // namespace mortar
