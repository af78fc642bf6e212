// Goal: what a worker says of its memory when nobody tells it is what the machine has left, and the
// groups that it is in leave of it.
#include "cli/machine_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace mortar {
namespace {

uint64_t PhysicalBytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Files as Linux lays them out, with 8 GiB available.
class MachineMemory : public testing::Test {
 protected:
  MachineMemory() : root_(testing::TempDir() + "machine_" + std::to_string(getpid())) {
    Write("/proc/meminfo",
          "MemTotal:       16777216 kB\nMemFree:  1048576 kB\nMemAvailable:    8388608 kB\n");
  }
  ~MachineMemory() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  uint64_t Available() { return AvailableMemory(root_); }

  static constexpr uint64_t kAll = uint64_t{8} << 30;
  std::string root_;
};

TEST_F(MachineMemory, IsSomeAndNoMoreThanTheMachineHas) {
  const uint64_t available = AvailableMemory();
  EXPECT_GT(available, uint64_t{1} << 20);
  EXPECT_LE(available, PhysicalBytes());
}

TEST_F(MachineMemory, WithoutGroupsIsWhatTheKernelCallsAvailable) {
  EXPECT_EQ(Available(), kAll);
  Write("/proc/self/cgroup", "0::/user.slice\n");
  EXPECT_EQ(Available(), kAll) << "a group without a limit";
}

TEST_F(MachineMemory, TheLimitsOfAllGroupsAboveHold) {
  Write("/proc/self/cgroup", "0::/a/b/c\n");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  Write("/sys/fs/cgroup/a/b/memory.max", "5000000\n");
  Write("/sys/fs/cgroup/a/b/memory.current", "1000000\n");
  EXPECT_EQ(Available(), 4'000'000u);
  Write("/sys/fs/cgroup/a/memory.max", "3000000\n");
  EXPECT_EQ(Available(), 3'000'000u);
}

TEST_F(MachineMemory, TheRootOfANamespaceIsTheGroupItself) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "5000000\n");
  Write("/sys/fs/cgroup/memory.current", "1000000\n");
  EXPECT_EQ(Available(), 4'000'000u);
}

TEST_F(MachineMemory, PagesOfFilesThatNobodyReadsAreNotUsed) {
  Write("/proc/self/cgroup", "0::/a\n");
  Write("/sys/fs/cgroup/a/memory.max", "5000000\n");
  Write("/sys/fs/cgroup/a/memory.current", "4000000\n");
  Write("/sys/fs/cgroup/a/memory.stat", "anon 900000\nactive_file 100000\ninactive_file 3000000\n");
  EXPECT_EQ(Available(), 4'000'000u);
}

TEST_F(MachineMemory, CgroupsOfVersion1AreReadWhereTheyAre) {
  Write("/proc/self/cgroup", "9:cpu,cpuacct:/x\n7:memory:/docker/abc\n0::/x\n");
  // Inside a container its own group is mounted as the root.
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "6000000\n");
  Write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5000000\n");
  Write("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 2000000\n");
  EXPECT_EQ(Available(), 3'000'000u);
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Available(), kAll) << "no limit";
}

TEST_F(MachineMemory, ALimitThatIsUsedUpIsNotTheSameAsNothingKnown) {
  Write("/proc/self/cgroup", "0::/a\n");
  Write("/sys/fs/cgroup/a/memory.max", "5000000\n");
  Write("/sys/fs/cgroup/a/memory.current", "6000000\n");
  EXPECT_EQ(Available(), 1u);
  EXPECT_EQ(AvailableMemory(root_ + "/nowhere"), 0u);
}

}  // namespace
}  // namespace mortar
