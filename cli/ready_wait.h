// Waiting, beside the coordinator, until a first route can be granted.
#pragma once

#include <functional>

#include "common/clock.h"
#include "common/status.h"
#include "coordinator/loop.h"

namespace mortar {

// Turns until the route that `probe` asks for can be granted, for ten minutes. Cancelled by a
// signal; the error of `turn`; else why there is no route.
absl::Status WaitUntilReady(const Coordinator& coordinator, const RouteRequest& probe,
                            const Clock& clock, const std::function<absl::Status()>& turn);

}  // namespace mortar
