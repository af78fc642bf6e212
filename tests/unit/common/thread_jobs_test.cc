// Goal: jobs run on a thread of their own, in their order, and are over before whoever submitted
// them.
#include "common/thread_jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <thread>

namespace mortar {
namespace {

class HeldJob final : public Job {
 public:
  std::binary_semaphore begun{0};
  std::binary_semaphore go{0};
  std::thread::id ran_on;
  std::atomic<int> runs = 0;

  void Run() override {
    begun.release();
    go.acquire();
    ran_on = std::this_thread::get_id();
    ++runs;
  }
};

TEST(ThreadJobs, RunElsewhereInTheirOrderAndSayWhenTheyAreDone) {
  std::counting_semaphore<> done(0);
  HeldJob first, second;
  ThreadJobs jobs([&] { done.release(); });
  jobs.Submit(&first);
  jobs.Submit(&second);
  second.go.release();
  first.begun.acquire();
  EXPECT_EQ(jobs.PollDone(), nullptr) << "the second waits for the first";
  first.go.release();
  done.acquire();
  done.acquire();
  EXPECT_EQ(jobs.PollDone(), &first);
  EXPECT_EQ(jobs.PollDone(), &second);
  EXPECT_EQ(jobs.PollDone(), nullptr);
  EXPECT_NE(first.ran_on, std::this_thread::get_id());
}

TEST(ThreadJobs, DrainWaitsForTheOneThatRunsAndForgetsTheOthers) {
  HeldJob running, waiting;
  ThreadJobs jobs([] {});
  jobs.Submit(&running);
  jobs.Submit(&waiting);
  running.begun.acquire();
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    running.go.release();
  });
  jobs.Drain();
  EXPECT_EQ(running.runs, 1);
  EXPECT_EQ(waiting.runs, 0);
  EXPECT_EQ(jobs.PollDone(), nullptr);
  later.join();
}

}  // namespace
}  // namespace mortar
