// Goal: what a worker says of its memory when nobody tells it is what the machine has left.
#include "cli/machine_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace mortar {
namespace {

uint64_t PhysicalBytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST(MachineMemory, IsSomeAndNoMoreThanTheMachineHas) {
  const uint64_t available = AvailableMemory();
  EXPECT_GT(available, uint64_t{1} << 20);
  EXPECT_LE(available, PhysicalBytes());
}

}  // namespace
}  // namespace mortar
