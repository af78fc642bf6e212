// A cluster may have two coordinators, which know nothing of one another: each hears from every
// worker whose placements it obeys, and what it serves. Where workers obey the other one, this
// coordinator moves nothing of theirs and grants routes over what they serve.
//
//   the workers obey           | this coordinator's placement is
//   ---------------------------+---------------------------------------------------------------
//   it, most of them           | its own: what it had adopted stays, until a better one may replace
//                              | it as any other; at its start what they serve already, when that
//                              | is whole. Layers go to those of the others only where its own
//                              | workers cannot take them
//   the other one, most of     | what they serve, as long as that is whole, whatever sizes were
//   them                       | given; else its own workers' layers are placed around those of the
//                              | others, or there is none
//
// Words of a single worker count no more than its own share. As many here and there: the first
// coordinator decides. Of several ways through what is served the one with the most hosts is taken,
// so that one worker that claims what several serve never stands for them, and a host of the
// other's that does not serve its stop is dropped from it alone. What stands on the others' word
// where its own workers serve the same is theirs at once; where they could, when they have obeyed
// this one for longer than a worker may take to change over.
#pragma once

#include <optional>

#include "coordinator/state.h"

namespace mortar {

// Whether a worker takes this coordinator's placements. Needs: it has a status.
bool Obeys(const CoordinatorState& state, const Member& worker);
// Whether all workers that have said anything do.
bool ObeyedByAll(const CoordinatorState& state);

// Whether most do, of the workers that have said anything; of as many the first coordinator's.
bool Decides(const CoordinatorState& state);
// The same of those that have obeyed it for longer than others take to.
bool HasDecidedForLong(const CoordinatorState& state, Time now);

// Workers that are counted on: those that obey this coordinator; these and the others' that have a
// share of its placement and serve it; all.
enum class Whose { kOwn, kPlaced, kAny };

// Which layers this coordinator may give a worker: those that it can host, empty for any; of
// another coordinator's worker those that it serves. Absent: none.
std::optional<LayerRange> MayHost(const CoordinatorState& state, const Member& worker, Whose whose);

// The placement that workers serve already, whoever placed it; absent: it is not whole. `whose`:
// kOwn or kAny.
std::optional<LayerPlan> ServedPlan(const CoordinatorState& state, LayerCut cut, Whose whose);
// Whether at least half of its hosts obey this coordinator.
bool IsMostlyOwn(const CoordinatorState& state, const LayerPlan& plan);
// Whether each stop has a host that obeys this coordinator or, of kAny, serves it.
bool EachStopHas(const CoordinatorState& state, const LayerPlan& plan, Whose whose);

// A worker has said what it serves and whom it obeys; `before`: its status until now.
void NoteServed(CoordinatorState& state, Time now, Member& worker,
                const std::optional<NodeStatus>& before);
// Another coordinator's workers that have not served their stops for kStatusAgeMax leave them:
// until then they may be loading the same again.
void DropUnserved(CoordinatorState& state, Time now);

// The id of the next placement. Those of two coordinators are never equal.
uint64_t NextPlacementId(const CoordinatorState& state);

}  // namespace mortar
