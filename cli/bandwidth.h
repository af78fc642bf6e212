// How fast this machine's memory is.
#pragma once

#include "common/clock.h"
#include "engine/kernels/thread_pool.h"

namespace mortar {

// Bytes per second that all threads of `pool` together read from memory: the best of several
// passes over a buffer larger than common caches. Takes a fifth of a second or so and 256 MiB,
// which are given back. A machine whose last cache is larger shows that cache's speed.
double MeasureReadBandwidth(ThreadPool& pool, const Clock& clock);

}  // namespace mortar
