// Goal: one thread turns a loop and runs its jobs, and a long job does not keep the loop waiting.
#include "common/loop_driver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace mortar {
namespace {

using std::chrono::milliseconds;

// Sleeps; says when it runs.
struct SleepJob final : Job {
  explicit SleepJob(milliseconds t) : time(t) {}
  void Run() override {
    runs = true;
    std::this_thread::sleep_for(time);
    runs = false;
  }
  const milliseconds time;
  std::atomic<bool> runs = false;
};

// Submits its job once; counts its turns.
class JobLoop final : public Loop {
 public:
  JobLoop(PumpedJobs& jobs, SleepJob& job) : jobs_(jobs), job_(job) {}

  bool Step() override {
    EXPECT_FALSE(in_step_.exchange(true)) << "two threads turn the loop at once";
    ++steps;
    if (job_.runs) ++steps_while_running;
    bool worked = false;
    if (!submitted_) {
      jobs_.Submit(&job_);
      submitted_ = worked = true;
    }
    if (jobs_.PollDone() == &job_) ended = worked = true;
    in_step_ = false;
    return worked;
  }

  int steps = 0;
  int steps_while_running = 0;
  bool ended = false;

 private:
  PumpedJobs& jobs_;
  SleepJob& job_;
  bool submitted_ = false;
  std::atomic<bool> in_step_ = false;
};

TEST(LoopDriver, AJobRunsWhereTheLoopTurnsAndItsEndIsAnEvent) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(0));
  JobLoop loop(jobs, job);
  LoopDriver driver(loop, &jobs, [](Duration) { FAIL() << "there was something to do"; });
  driver.Turn(milliseconds(10));
  EXPECT_FALSE(loop.ended);
  driver.Turn(milliseconds(10));
  EXPECT_TRUE(loop.ended);
}

TEST(LoopDriver, ALongJobDoesNotKeepTheLoopWaiting) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(300));
  JobLoop loop(jobs, job);
  LoopDriver driver(loop, &jobs, [](Duration) {});
  driver.Turn(milliseconds(10));
  // Every 2 ms on a quiet machine; a tenth of that on a loaded one.
  EXPECT_GE(loop.steps_while_running, 15);
}

TEST(LoopDriver, WaitsWhenThereIsNothingToDo) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(0));
  JobLoop loop(jobs, job);
  int waits = 0;
  LoopDriver driver(loop, &jobs, [&](Duration longest) {
    EXPECT_EQ(longest, milliseconds(10));
    ++waits;
  });
  for (int i = 0; i < 3; ++i) driver.Turn(milliseconds(10));
  EXPECT_EQ(waits, 1);
}

// Submits a job whenever it has been asked to, and is idle otherwise.
class AskedLoop final : public Loop {
 public:
  AskedLoop(PumpedJobs& jobs, SleepJob& job) : jobs_(jobs), job_(job) {}
  bool Step() override {
    while (jobs_.PollDone() != nullptr) {
    }
    if (!asked) return false;
    asked = false;
    jobs_.Submit(&job_);
    return true;
  }
  bool asked = false;

 private:
  PumpedJobs& jobs_;
  SleepJob& job_;
};

TEST(LoopDriver, StaysAwakeAfterAJobOnceJobsFollowOneAnotherSoon) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(0));
  AskedLoop loop(jobs, job);
  int sleeps = 0;
  constexpr milliseconds kAwakeMax(500);
  LoopDriver driver(loop, &jobs, [&](Duration) { ++sleeps; }, kAwakeMax);
  const auto run_job_after_a_pause = [&] {
    driver.Turn({});  // nothing to do
    loop.asked = true;
    driver.Turn({});
  };
  run_job_after_a_pause();
  EXPECT_EQ(sleeps, 1) << "no job before it";
  run_job_after_a_pause();
  EXPECT_EQ(sleeps, 2) << "nothing is known of pauses yet";
  run_job_after_a_pause();
  EXPECT_EQ(sleeps, 2) << "the last pause was short";
  std::this_thread::sleep_for(kAwakeMax);
  driver.Turn({});
  EXPECT_EQ(sleeps, 3) << "this pause is longer than what it stays awake";
  loop.asked = true;
  driver.Turn({});
  driver.Turn({});
  EXPECT_EQ(sleeps, 4) << "the last pause was long";
}

TEST(LoopDriver, TheAttendantSleepsAndWakesAgain) {
  PumpedJobs jobs;
  SleepJob first(milliseconds(0));
  JobLoop loop(jobs, first);
  LoopDriver driver(loop, &jobs, [](Duration) {});
  driver.Turn(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(300));  // beyond its idle looks: it is parked
  SleepJob second(milliseconds(100));
  jobs.Submit(&second);
  const int before = loop.steps;
  driver.Turn(milliseconds(1));
  EXPECT_GE(loop.steps - before, 5);
}

TEST(LoopDriver, ALoopWithoutJobsNeedsNoAttendant) {
  class Idle final : public Loop {
   public:
    bool Step() override { return false; }
  } loop;
  int waits = 0;
  LoopDriver driver(loop, nullptr, [&](Duration) { ++waits; });
  driver.Turn(milliseconds(1));
  EXPECT_EQ(waits, 1);
}

}  // namespace
}  // namespace mortar
