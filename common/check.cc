#include "common/check.h"

#include <cstdio>
#include <cstdlib>

namespace mortar {

void CheckFailed(const char* file, int line, const char* expression) {
  std::fprintf(stderr, "mortar: bug at %s:%d: check failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace mortar
