// What edge, coordinator and worker cost: the same tokens through the three roles and through the
// bare forward loop, in alternation, on one machine in one run.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/embedded.h"
#include "cli/forward_loop.h"
#include "common/clock.h"
#include "common/status.h"

namespace mortar {

// Seconds that each of n_gen - 1 tokens took, after the first of n_gen greedy tokens.
struct RolesSample {
  double bare_seconds = 0;   // forward loop and the choice of the likeliest token
  double roles_seconds = 0;  // by the edge's own timings
};

// One pair of runs. `roles_first` says which goes first: pairs take turns, so that a machine that
// slows down favours neither. Internal when the two paths gave different tokens.
absl::StatusOr<RolesSample> RunRolesPair(Embedded& nodes, ForwardLoop& bare, int n_gen,
                                         bool roles_first, const Clock& clock);

struct RolesCost {
  double added_us_per_token = 0;        // median over the pairs
  double added_us_per_token_error = 0;  // standard error of the mean over the pairs
};
RolesCost CostOf(const std::vector<RolesSample>& samples);

}  // namespace mortar
