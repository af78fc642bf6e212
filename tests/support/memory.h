// The memory of the process that a test runs in.
#pragma once

#include <cstdint>

namespace mortar {

// Bytes of RAM that it holds now, mapped files included.
uint64_t ResidentBytes();

// From here on it may map `more_bytes` and no more. For a child process: the limit stays. False,
// with no limit set, under a sanitizer, which maps terabytes of its own.
bool LimitMemory(uint64_t more_bytes);

}  // namespace mortar
