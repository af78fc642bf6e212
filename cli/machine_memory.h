// What this machine has left for a node.
#pragma once

#include <cstdint>

namespace mortar {

// Bytes that this process could take now: what the kernel calls available, and no more than the
// limits (memory.max of cgroup v2) of the groups that the process is in leave. 0 where Linux says
// nothing.
uint64_t AvailableMemory();

}  // namespace mortar
