#include "tests/support/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "common/check.h"

namespace mortar {
namespace {

struct Sizes {
  uint64_t mapped_bytes = 0;
  uint64_t resident_bytes = 0;
};

// Source: proc(5), /proc/self/statm, in pages.
Sizes ReadSizes() {
  std::ifstream file("/proc/self/statm");
  Sizes pages;
  file >> pages.mapped_bytes >> pages.resident_bytes;
  CHECK(file.good());
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return {pages.mapped_bytes * page_bytes, pages.resident_bytes * page_bytes};
}

}  // namespace

uint64_t ResidentBytes() { return ReadSizes().resident_bytes; }

bool LimitMemory(uint64_t more_bytes) {
#ifdef MORTAR_SANITIZED
  (void)more_bytes;
  return false;
#else
  const rlim_t limit = ReadSizes().mapped_bytes + more_bytes;
  const rlimit limits = {limit, limit};
  CHECK(setrlimit(RLIMIT_AS, &limits) == 0);
  return true;
#endif
}

}  // namespace mortar
