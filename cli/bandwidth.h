// How fast this machine's memory is.
#pragma once

#include "common/clock.h"
#include "common/status.h"
#include "engine/kernels/thread_pool.h"

namespace mortar {

// Bytes per second that all threads of `pool` together read from memory: the best of several
// passes over a buffer larger than common caches. Takes a fifth of a second or so and 256 MiB,
// which are given back; ResourceExhausted where there are none. A machine whose last cache is
// larger shows that cache's speed.
absl::StatusOr<double> MeasureReadBandwidth(ThreadPool& pool, const Clock& clock);

}  // namespace mortar
