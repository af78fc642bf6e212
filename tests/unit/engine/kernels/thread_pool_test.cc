// Goal: every thread runs once per Run, barriers hold, and compute threads keep subnormals.
#include "engine/kernels/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <set>

#include "engine/kernels/float_environment.h"
#include "engine/kernels/kernels.h"
#include "tests/support/instruction_sets.h"
#include "tests/support/memory.h"

namespace mortar {
namespace {

TEST(ThreadPool, EveryThreadRunsOncePerRun) {
  for (const int n : {1, 2, 3, 7}) {
    const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(n);
    std::vector<int> calls(static_cast<size_t>(n));
    for (int run = 0; run < 200; ++run) pool->Run([&](int t) { ++calls[static_cast<size_t>(t)]; });
    EXPECT_EQ(calls, std::vector<int>(static_cast<size_t>(n), 200));
  }
}

TEST(ThreadPool, BarrierSeparatesWhatStandsAroundIt) {
  const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(3);
  std::vector<int> value(3);
  bool wrong = false;
  pool->Run([&](int t) {
    for (int round = 1; round <= 1000; ++round) {
      value[static_cast<size_t>(t)] = round;
      pool->Barrier();
      for (const int v : value) {
        if (v != round) wrong = true;
      }
      pool->Barrier();
    }
  });
  EXPECT_FALSE(wrong);
}

// What a step of one row and of more take, in turns: those left out do not run, and lose no Run.
TEST(ThreadPool, AStepOfOneRowMayHaveOtherThreads) {
  for (const auto& [row, batch] :
       {std::pair(1, 2), std::pair(1, 3), std::pair(2, 4), std::pair(3, 1)}) {
    const auto pool = *ThreadPool::Create({.row_threads = row, .batch_threads = batch});
    EXPECT_EQ(pool->n_threads(), std::max(row, batch));
    EXPECT_EQ(pool->ThreadsFor(1), row);
    EXPECT_EQ(pool->ThreadsFor(2), batch);
    std::vector<int> calls(static_cast<size_t>(pool->n_threads()));
    std::vector<int> expected = calls;
    for (int run = 0; run < 300; ++run) {
      const int n = pool->ThreadsFor(run % 7 < 4 ? 1 : 8);
      std::atomic<int> met{0};
      pool->Run(n, [&](int t) {
        ++met;
        pool->Barrier();
        calls[static_cast<size_t>(t)] += met == n ? 1 : 1000;
      });
      for (int t = 0; t < n; ++t) ++expected[static_cast<size_t>(t)];
    }
    EXPECT_EQ(calls, expected) << row << " and " << batch;
  }
}

TEST(ThreadPool, AThreadThatCannotHaveItsCpuIsAnError) {
  const auto pool = ThreadPool::Create({.row_threads = 2, .batch_threads = 2, .cpus = {1023}});
  EXPECT_THAT(Message(pool.status()), testing::StartsWith("bind a thread to CPU 1023: "));
}

TEST(ThreadPool, WakesFromSleep) {
  const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(2);
  std::atomic<int> calls{0};
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool->Run([&](int) { ++calls; });
  }
  EXPECT_EQ(calls, 6);
}

TEST(ThreadPool, ComputesInTheContractsEnvironment) {
  const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(3);
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);  // a library left FTZ and DAZ on
#elif defined(__aarch64__)
  __asm__ __volatile__("msr fpcr, %0" : : "r"(uint64_t{1} << 24));  // or FZ
#endif
  std::vector<int> holds(3);
  pool->Run([&](int t) { holds[static_cast<size_t>(t)] = FloatEnvironmentHolds(); });
  EXPECT_EQ(holds, std::vector<int>(3, 1));
}

TEST(ThreadPool, TooManyThreadsForTheSystemIsAnError) {
  const auto create_with_little_memory = [] {
    if (!LimitMemory(64 << 20)) _exit(0);  // a sanitizer's own memory is without bounds
    const absl::Status status = ThreadPool::Create(kThreadsMax).status();
    std::fputs(Message(status).c_str(), stderr);
    _exit(status.code() == absl::StatusCode::kResourceExhausted ? 0 : 1);
  };
  EXPECT_EXIT(create_with_little_memory(), testing::ExitedWithCode(0),
              "^$|start 256 threads: the system gave [0-9]+ ");
}

TEST(ShareOf, CoversEverythingOnceInWholeUnits) {
  for (const int n : {0, 1, 31, 32, 33, 96, 1536}) {
    for (const int unit : {1, 32}) {
      for (const int threads : {1, 2, 3, 8}) {
        int next = 0;
        for (int t = 0; t < threads; ++t) {
          const Share share = ShareOf(n, unit, t, threads);
          EXPECT_EQ(share.begin, next);
          EXPECT_TRUE(share.begin % unit == 0 || share.begin == n);
          next = share.end;
        }
        EXPECT_EQ(next, n);
      }
    }
  }
}

TEST(SelectKernels, KnowsItsNamesAndSaysSo) {
  EXPECT_EQ((*SelectKernels("scalar"))->name, std::string("scalar"));
  EXPECT_TRUE(SelectKernels("").ok());
  const std::string error = Message(SelectKernels("sse9").status());
  EXPECT_THAT(error,
              testing::AllOf(testing::HasSubstr("instruction set 'sse9' is unknown; known are "),
                             testing::HasSubstr("scalar")));
  // As many as tests walk through, so that they miss none.
  for (const char* isa : kInstructionSetsBesideScalar) EXPECT_THAT(error, testing::HasSubstr(isa));
  EXPECT_EQ(std::ranges::count(error, ','), std::ssize(kInstructionSetsBesideScalar));
}

// Where the CPU is known, as an emulated one is, KERNEL_ISA says what it has; otherwise comparisons
// with kernels that are not found would pass.
TEST(SelectKernels, TakesTheBestThatTheCpuHas) {
  const char* best = std::getenv("KERNEL_ISA");
  if (best == nullptr) best = (*SelectKernels(""))->name;
  EXPECT_EQ((*SelectKernels(""))->name, std::string(best));
  EXPECT_EQ((*SelectKernels(best))->name, std::string(best));
}

TEST(SelectKernels, RefusesWhatThisCpuLacks) {
  int refused = 0;
  for (const std::string isa : kInstructionSetsBesideScalar) {
    const auto kernels = SelectKernels(isa);
    if (kernels.ok()) continue;
    ++refused;
    EXPECT_EQ(kernels.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(Message(kernels.status()),
              "instruction set '" + isa + "' was asked for, but this CPU lacks it");
  }
  EXPECT_GE(refused, 1);  // no CPU has both AVX and NEON
}

}  // namespace
}  // namespace mortar
