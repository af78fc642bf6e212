// What edge, coordinator and worker cost: the same tokens through the three roles and through the
// bare forward loop, token by token in alternation, on one machine in one run.
#pragma once

#include <vector>

#include "cli/embedded.h"
#include "cli/forward_loop.h"
#include "common/clock.h"
#include "common/status.h"

namespace mortar {

// Seconds of one token on either path. The two were measured right after one another, so that
// whatever else the machine does hits both alike.
struct RolesSample {
  double bare_seconds = 0;   // forward loop and the choice of the likeliest token
  double roles_seconds = 0;  // from one token to the next, as a caller of the edge sees it
};

// Generates n_gen >= 2 greedy tokens by the roles, and after each one the same token by the bare
// loop: n_gen - 1 samples. Internal when the two paths gave different tokens; Cancelled by a
// signal.
absl::StatusOr<std::vector<RolesSample>> RunRoles(Embedded& nodes, ForwardLoop& bare, int n_gen,
                                                  const Clock& clock);

struct RolesCost {
  double added_us_per_token = 0;        // median of the differences
  double added_us_per_token_error = 0;  // its standard error, from their quartiles
};
// Needs at least one sample. The median and the quartiles, since a few tokens that an interrupt
// hit would move a mean at will.
RolesCost CostOf(const std::vector<RolesSample>& samples);

}  // namespace mortar
