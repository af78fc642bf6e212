// Whether layers should lie elsewhere by now: when a node has joined, left or become slower.
//
//   the best placement there could be now      | then
//   -------------------------------------------+-------------------------------------------------
//   saves less than kReplanWorth of a token    | the stops stay; replicas join them, and leave them
//                                              | when they have become too slow
//   saves as much                              | it is placed
//   ... and changes nobody's share             | at once: only replicas join
//   ... and does                               | not before the placement is kPlacementKeptMin old,
//                                              | and then when nobody whose share changes has a
//                                              | session; after kReplanWaitMax all the same
//
// A worker whose share stays the same keeps its sessions, whatever the placement is called. One
// whose share changes answers NeedRoute to its sessions, and their edges send their tokens again
// over the new route: the same path as for a worker that died, with the same tokens.
//
// A worker that fetches its bricks gets none by this that it does not host already, but as a
// replica: its old host would stop at once, and sessions would wait for what must come over links
// first. It takes layers of a void placement as any other.
#pragma once

#include <optional>

#include "coordinator/adopt.h"
#include "coordinator/measured.h"
#include "coordinator/state.h"

namespace mortar {

// Part of a token's time that makes layers move: noise of a measurement is less, and every move
// costs loading and replays.
inline constexpr double kReplanWorth = 0.10;
// Part by which a speed must have changed before anything is thought over again.
inline constexpr double kSpeedChange = 0.05;
// The same of a round trip, in ns: less is a loop that was busy.
inline constexpr double kWayChangeNs = 1e6;

// What the members have said; of a speed or a way that one has not said, the slowest and the
// farthest of the others. Nothing, and why, when no worker has said its speed.
absl::StatusOr<MeasuredCluster> MeasuredClusterOf(const CoordinatorState& state, LayerCut cut,
                                                  Whose whose);

// The placement that should replace the one that is there; absent: none. Needs: there is one.
std::optional<LayerPlan> BetterPlacement(const CoordinatorState& state);
// Whether a worker's share changes by it.
bool Disturbs(const LayerPlan& plan, const LayerPlan& better);

// What to do of it now: Looked, Placed, or nothing.
std::optional<CoordinatorEvent> PlanReplacement(const CoordinatorState& state, Time now);

}  // namespace mortar
