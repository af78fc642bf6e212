// Goal: both job queues keep the same promises: order, one at a time, reuse of a job, and no
// job running after Drain.
#include "common/job_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <vector>

#include "common/pump.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;

struct CountingJob final : Job {
  std::vector<int>* log = nullptr;
  std::atomic<int>* concurrent = nullptr;
  int number = 0;
  milliseconds takes{0};
  void Run() override {
    EXPECT_EQ(concurrent->fetch_add(1), 0) << "two jobs at a time";
    std::this_thread::sleep_for(takes);
    log->push_back(number);
    concurrent->fetch_sub(1);
  }
};

// What a test does to let time pass until a job has ended.
struct Pumped {
  PumpedJobs queue;
  void Turn() { queue.RunOne(); }
};
struct Threaded {
  EngineThread queue;
  void Turn() { std::this_thread::sleep_for(milliseconds(1)); }
};

template <typename T>
class JobQueues : public testing::Test {
 protected:
  Job* WaitForDone() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < deadline) {
      if (Job* job = driven_.queue.PollDone()) return job;
      driven_.Turn();
    }
    return nullptr;
  }

  std::vector<int> log_;
  std::atomic<int> concurrent_{0};
  CountingJob jobs_[5];
  T driven_;  // last: it goes before the jobs

  void SetUp() override {
    for (int i = 0; i < 5; ++i) {
      jobs_[i].log = &log_;
      jobs_[i].concurrent = &concurrent_;
      jobs_[i].number = i;
    }
  }
};
using Kinds = testing::Types<Pumped, Threaded>;
TYPED_TEST_SUITE(JobQueues, Kinds);

TYPED_TEST(JobQueues, NothingIsDoneBeforeAnythingIsSubmitted) {
  EXPECT_EQ(this->driven_.queue.PollDone(), nullptr);
}

TYPED_TEST(JobQueues, JobsEndInTheOrderOfSubmitOneAtATime) {
  for (CountingJob& job : this->jobs_) this->driven_.queue.Submit(&job);
  for (CountingJob& job : this->jobs_) EXPECT_EQ(this->WaitForDone(), &job);
  EXPECT_EQ(this->log_, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(this->driven_.queue.PollDone(), nullptr);
}

TYPED_TEST(JobQueues, AJobIsSubmittedAgainAfterItsEnd) {
  for (int i = 0; i < 20; ++i) {
    this->driven_.queue.Submit(&this->jobs_[0]);
    ASSERT_EQ(this->WaitForDone(), &this->jobs_[0]);
  }
  EXPECT_EQ(this->log_.size(), 20u);
}

TYPED_TEST(JobQueues, AfterDrainNothingRunsAndNothingIsDone) {
  this->jobs_[0].takes = milliseconds(20);
  for (CountingJob& job : this->jobs_) this->driven_.queue.Submit(&job);
  this->driven_.queue.Drain();
  const size_t ran = this->log_.size();
  for (int i = 0; i < 5; ++i) this->driven_.Turn();
  EXPECT_EQ(this->log_.size(), ran);
  EXPECT_EQ(this->driven_.queue.PollDone(), nullptr);
  this->driven_.queue.Submit(&this->jobs_[4]);  // and it goes on working
  EXPECT_EQ(this->WaitForDone(), &this->jobs_[4]);
}

TEST(EngineThread, CallsTheLoopAwakeAfterEachJob) {
  std::vector<int> log;
  std::atomic<int> concurrent{0};
  std::atomic<int> woken{0};
  CountingJob job;
  job.log = &log;
  job.concurrent = &concurrent;
  EngineThread queue([&] { ++woken; });
  queue.Submit(&job);
  while (woken == 0) std::this_thread::yield();
  EXPECT_EQ(queue.PollDone(), &job);
}

// A loop that submits its one job whenever that is idle, three times in all.
struct ThreeJobs final : Loop {
  CountingJob job;
  PumpedJobs* jobs = nullptr;
  int submitted = 0;
  int ended = 0;
  bool Step() override {
    const bool done = jobs->PollDone() != nullptr;
    ended += done ? 1 : 0;
    const bool submit = submitted == ended && submitted < 3;
    if (submit) jobs->Submit(&job);
    submitted += submit ? 1 : 0;
    return done || submit;
  }
};

TEST(Pump, DrivesLoopsAndTheirJobsAndReportsWhenNothingIsLeft) {
  std::vector<int> log;
  std::atomic<int> concurrent{0};
  PumpedJobs jobs;
  ThreeJobs loop;
  loop.job.log = &log;
  loop.job.concurrent = &concurrent;
  loop.jobs = &jobs;
  Pump pump;
  pump.Add(&loop, &jobs);
  int idle = 0;
  pump.RunUntil([&] { return idle == 1; }, [&] { ++idle; });
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(loop.ended, 3);
  EXPECT_FALSE(pump.RunOnce());
}

}  // namespace
}  // namespace mortar
