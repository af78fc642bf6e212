// What this machine has left for a node.
#pragma once

#include <cstdint>
#include <string>

namespace mortar {

// Bytes that this process could take now: what the kernel calls available, and no more than is left
// of the limits of the groups that the process is in (cgroup v2, or v1), pages of files that nobody
// reads not counted as used. At least 1 where anything is known: a node that says 0 says nothing. 0
// where Linux says nothing. `root` is the folder that /proc and /sys are in, for tests.
uint64_t AvailableMemory(const std::string& root = "");

}  // namespace mortar
