// Goal: a queue of jobs keeps its promises: order, reuse of a job, and no job running
// after Drain.
#include "common/job_queue.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/pump.h"

namespace mortar {
namespace {

struct CountingJob final : Job {
  std::vector<int>* log = nullptr;
  int number = 0;
  void Run() override { log->push_back(number); }
};

class JobQueues : public testing::Test {
 protected:
  Job* RunUntilDone() {
    while (queue_.RunOne()) {
      if (Job* job = queue_.PollDone()) return job;
    }
    return nullptr;
  }

  std::vector<int> log_;
  CountingJob jobs_[5];
  PumpedJobs queue_;

  void SetUp() override {
    for (int i = 0; i < 5; ++i) {
      jobs_[i].log = &log_;
      jobs_[i].number = i;
    }
  }
};

TEST_F(JobQueues, NothingIsDoneBeforeAnythingIsSubmitted) { EXPECT_EQ(queue_.PollDone(), nullptr); }

TEST_F(JobQueues, JobsEndInTheOrderOfSubmit) {
  for (CountingJob& job : jobs_) queue_.Submit(&job);
  for (CountingJob& job : jobs_) EXPECT_EQ(RunUntilDone(), &job);
  EXPECT_EQ(log_, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(queue_.PollDone(), nullptr);
}

TEST_F(JobQueues, AJobIsSubmittedAgainAfterItsEnd) {
  for (int i = 0; i < 20; ++i) {
    queue_.Submit(&jobs_[0]);
    ASSERT_EQ(RunUntilDone(), &jobs_[0]);
  }
  EXPECT_EQ(log_.size(), 20u);
}

TEST_F(JobQueues, AfterDrainNothingRunsAndNothingIsDone) {
  for (CountingJob& job : jobs_) queue_.Submit(&job);
  queue_.Drain();
  EXPECT_FALSE(queue_.RunOne());
  EXPECT_TRUE(log_.empty());
  EXPECT_EQ(queue_.PollDone(), nullptr);
  queue_.Submit(&jobs_[4]);  // and it goes on working
  EXPECT_EQ(RunUntilDone(), &jobs_[4]);
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
  PumpedJobs jobs;
  ThreeJobs loop;
  loop.job.log = &log;
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
