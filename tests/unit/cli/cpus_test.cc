// Goal: threads get the CPUs that the process may use, or of them those that were named.
#include "cli/cpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "engine/kernels/thread_pool.h"

namespace mortar {
namespace {

using testing::HasSubstr;

std::vector<int> AffinityOf() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<int> Sorted(std::vector<int> values) {
  std::ranges::sort(values);
  return values;
}

std::string ErrorOf(const std::string& list) { return Message(ReadCpus(list).status()); }

TEST(Cpus, AreThoseOfTheAffinity) {
  const CpuOrder cpus = *ReadCpus(std::nullopt);
  EXPECT_EQ(Sorted(cpus.cpus), AffinityOf());
  EXPECT_GE(cpus.cores, 1);
  EXPECT_LE(cpus.cores, static_cast<int>(cpus.cpus.size()));
  EXPECT_GE(ThreadsAssumed(cpus), 1);
  EXPECT_LE(ThreadsAssumed(cpus), cpus.cores);
}

TEST(Cpus, AreNamedByAListOrAMask) {
  const std::vector<int> all = AffinityOf();
  const std::string last = std::to_string(all.back());
  EXPECT_EQ(ReadCpus(last)->cpus, std::vector<int>{all.back()});
  EXPECT_EQ(ReadCpus(last)->cores, 1);
  EXPECT_EQ(ReadCpus(last + "-" + last + "," + last)->cpus, std::vector<int>{all.back()});
  // A bit for each CPU, four in a digit.
  const std::string mask = "0x" + std::to_string(1 << all.back() % 4) +
                           std::string(static_cast<size_t>(all.back()) / 4, '0');
  EXPECT_EQ(ReadCpus(mask)->cpus, std::vector<int>{all.back()}) << mask;
}

TEST(Cpus, ThatCannotBeReadAreRefused) {
  for (const std::string list : {"", ",", "0,", "-1", "0-", "0--1", "0,,1", "a", "0 1", "0x", "0xg",
                                 "100000", "0x0", "3-1"}) {
    EXPECT_THAT(ErrorOf(list), HasSubstr("expected CPUs, as in 0-3,8 or 0x10f, found '")) << list;
  }
  EXPECT_THAT(ErrorOf(std::string(2000, '1')), HasSubstr("expected CPUs"));
}

TEST(Cpus, ThatThisProcessMayNotUseAreNamed) {
  EXPECT_THAT(ErrorOf("99998-99999"),
              HasSubstr("which this process may run on, found 99998-99999"));
}

// In a process of its own: it cannot be undone for those that others have.
TEST(Cpus, BindTheProcessAndItsThreads) {
  const int cpu = AffinityOf().back();
  const auto bind = [cpu] {
    if (!BindProcess({cpu}).ok()) _exit(1);
    const auto pool = ThreadPool::Create({.row_threads = 2, .batch_threads = 2, .cpus = {cpu}});
    if (!pool.ok()) _exit(2);
    std::vector<int> ran(2, -1);
    (*pool)->Run([&](int thread) { ran[static_cast<size_t>(thread)] = sched_getcpu(); });
    _exit(ran == std::vector<int>{cpu, cpu} && AffinityOf() == std::vector<int>{cpu} ? 0 : 3);
  };
  EXPECT_EXIT(bind(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mortar
