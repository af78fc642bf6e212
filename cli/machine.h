// What this machine has: cores that may be used, and how fast its memory is.
#pragma once

#include "common/clock.h"
#include "engine/kernels/thread_pool.h"

namespace mortar {

// Physical cores that this process may run on, at least 1: hardware threads that share a core
// count once, CPUs outside the process's affinity or above its cgroup's quota do not count.
int UsableCores();

// Bytes per second that all threads of `pool` together read from memory: the best of several
// passes over a buffer larger than common caches. Takes a fifth of a second or so and 256 MiB,
// which are given back. A machine whose last cache is larger shows that cache's speed.
double MeasureReadBandwidth(ThreadPool& pool, const Clock& clock);

}  // namespace mortar
