// CHECK: for bugs of our own, on in every build. Never for input: input gets a Status.
#pragma once

namespace mortar {

// Prints "file:line: check failed: expression" to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression);

}  // namespace mortar

#define CHECK(condition)                               \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::mortar::CheckFailed(__FILE__, __LINE__, #condition))

// DCHECK is for kernels' inner loops: compiled, but evaluated in debug builds alone.
#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#else
#define DCHECK(condition) CHECK(condition)
#endif
