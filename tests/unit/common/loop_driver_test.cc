// Goal: one thread turns a loop and runs its jobs, and a long job does not keep the loop waiting.
#include "common/loop_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace mortar {
namespace {

using std::chrono::milliseconds;

const SteadyClock kClock;

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
    bool worked = finds_something;
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
  bool finds_something = false;
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
  LoopDriver driver(loop, &jobs, Idling{[](Duration) { FAIL() << "there was something to do"; }},
                    kClock);
  driver.Turn(milliseconds(10));
  EXPECT_FALSE(loop.ended);
  driver.Turn(milliseconds(10));
  EXPECT_TRUE(loop.ended);
}

TEST(LoopDriver, ALongJobDoesNotKeepTheLoopWaiting) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(300));
  JobLoop loop(jobs, job);
  LoopDriver driver(loop, &jobs, Idling{[](Duration) {}}, kClock);
  driver.Turn(milliseconds(10));
  // Every 2 ms on a quiet machine; a tenth of that on a loaded one.
  EXPECT_GE(loop.steps_while_running, 15);
}

TEST(LoopDriver, LooksThatFindNothingDuringALongJobBecomeRarerWhereThatIsAllowed) {
  const auto looks = [](Duration turn_max) {
    PumpedJobs jobs;
    SleepJob job(milliseconds(300));
    JobLoop loop(jobs, job);
    LoopDriver driver(loop, &jobs, Idling{.sleep = [](Duration) {}, .turn_max = turn_max}, kClock);
    driver.Turn(milliseconds(10));
    return loop.steps_while_running;
  };
  EXPECT_LE(looks(milliseconds(100)), 8);  // after 2, 6, 14, 30, 62, 126 and 226 ms
  EXPECT_GE(looks(milliseconds(10)), 5);   // some 31 on a quiet machine
}

// Each look finds something, and so comes kTurnMax after the one before it.
TEST(LoopDriver, LooksThatFindSomethingDuringALongJobStayClose) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(300));
  JobLoop loop(jobs, job);
  loop.finds_something = true;
  LoopDriver driver(loop, &jobs, Idling{.sleep = [](Duration) {}, .turn_max = milliseconds(100)},
                    kClock);
  driver.Turn(milliseconds(10));
  EXPECT_GE(loop.steps_while_running, 15);  // as above
}

TEST(LoopDriver, WaitsWhenThereIsNothingToDo) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(0));
  JobLoop loop(jobs, job);
  int waits = 0;
  LoopDriver driver(loop, &jobs, Idling{[&](Duration longest) {
                      EXPECT_EQ(longest, milliseconds(10));
                      ++waits;
                    }},
                    kClock);
  for (int i = 0; i < 3; ++i) driver.Turn(milliseconds(10));
  EXPECT_EQ(waits, 1);
}

// Of a loop that waits for what is about to come: a sleeper would wake too late for it.
TEST(LoopDriver, AnImpatientLoopIsTurnedAgainAfterAYieldAndAPatientOneSleepsNoLongerThanItSays) {
  struct Waiting final : Loop {
    bool Step() override { return false; }
    Duration Patience() const override { return patience; }
    Duration patience{};
  } loop;
  std::vector<Duration> sleeps;
  int yields = 0;
  LoopDriver driver(loop, nullptr,
                    Idling{.sleep = [&](Duration longest) { sleeps.push_back(longest); },
                           .yield = [&] { ++yields; }},
                    kClock);
  for (const Duration patience :
       {Duration(std::chrono::microseconds(200)), Duration(std::chrono::microseconds(-5)),
        Duration(milliseconds(3)), Duration::max()}) {
    loop.patience = patience;
    driver.Turn(milliseconds(10));
  }
  EXPECT_EQ(yields, 2);
  EXPECT_EQ(sleeps, (std::vector<Duration>{milliseconds(3), milliseconds(10)}));
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

class AwakeTest : public testing::Test {
 protected:
  void RunJobAfter(Duration pause) {
    driver_.Turn({});  // nothing to do
    clock_.Advance(pause);
    loop_.asked = true;
    driver_.Turn({});
  }

  static constexpr milliseconds kAwakeMax{20};
  PumpedJobs jobs_;
  SleepJob job_{milliseconds(0)};
  AskedLoop loop_{jobs_, job_};
  int sleeps_ = 0;
  std::vector<bool> told_;  // of a stream of jobs
  ManualClock clock_;
  Duration yield_takes_{};
  LoopDriver driver_{loop_, &jobs_,
                     Idling{.sleep = [this](Duration) { ++sleeps_; },
                            .awake_max = kAwakeMax,
                            .yield = [this] { clock_.Advance(yield_takes_); },
                            .stream = [this](bool goes_on) { told_.push_back(goes_on); }},
                     clock_};
};

TEST_F(AwakeTest, OnceThePauseBeforeAJobWasShort) {
  clock_.Advance(std::chrono::hours(1));
  RunJobAfter(milliseconds(5));
  EXPECT_EQ(sleeps_, 1) << "no job before it";
  RunJobAfter(milliseconds(5));
  EXPECT_EQ(sleeps_, 2) << "nothing is known of pauses yet";
  RunJobAfter(milliseconds(5));
  EXPECT_EQ(sleeps_, 2) << "the last pause was short";
}

TEST_F(AwakeTest, NotBeyondItsTimeNorAfterALongPause) {
  for (int i = 0; i < 3; ++i) RunJobAfter(milliseconds(5));
  const int before = sleeps_;
  clock_.Advance(kAwakeMax + milliseconds(1));
  driver_.Turn({});
  EXPECT_EQ(sleeps_, before + 1) << "this pause is longer than what it stays awake";
  loop_.asked = true;
  driver_.Turn({});
  driver_.Turn({});
  EXPECT_EQ(sleeps_, before + 2) << "the last pause was long";
}

TEST_F(AwakeTest, NotForAWhileAfterJobsHadToWaitForSomebodyElse) {
  for (int i = 0; i < 3; ++i) RunJobAfter(milliseconds(5));
  const int before = sleeps_;
  yield_takes_ = milliseconds(3);
  for (int i = 0; i < kLateJobsMax; ++i) RunJobAfter(milliseconds(5));
  EXPECT_EQ(sleeps_, before) << "it notices by yielding";
  RunJobAfter(milliseconds(5));
  EXPECT_EQ(sleeps_, before + 1) << "somebody computes there";
  yield_takes_ = {};
  clock_.Advance(kCrowdedAtFirst);
  RunJobAfter(milliseconds(5));
  RunJobAfter(milliseconds(5));
  const int later = sleeps_;
  RunJobAfter(milliseconds(5));
  EXPECT_EQ(sleeps_, later) << "it has the core to itself again";
}

TEST_F(AwakeTest, StillWhereALongYieldEndsBeforeTheNextJobComes) {
  for (int i = 0; i < 3; ++i) RunJobAfter(milliseconds(5));
  const int before = sleeps_;
  for (int i = 0; i < 3 * kLateJobsMax; ++i) {
    yield_takes_ = milliseconds(3);
    driver_.Turn({});  // the other end of the wire computes on this core
    yield_takes_ = {};
    RunJobAfter(milliseconds(1));
  }
  EXPECT_EQ(sleeps_, before);
}

// Of jobs that are found awake, and so late, where every yield takes as long as another program's
// slice.
TEST_F(AwakeTest, FewJobsAreLateOnACoreThatStaysCrowdedHoweverLongTheyTake) {
  yield_takes_ = milliseconds(3);
  for (const milliseconds job : {milliseconds(0), milliseconds(10), milliseconds(60)}) {
    int late = 0;
    constexpr int kJobs = 2000;
    for (int i = 0; i < kJobs; ++i) {
      const int before = sleeps_;
      RunJobAfter(milliseconds(5));
      late += sleeps_ == before;
      clock_.Advance(job);  // as if it had taken so long
    }
    // Three in each second once the sleeps are at their longest, and those until then.
    const double seconds = kJobs * Seconds(job + milliseconds(5));
    EXPECT_LT(late, 3 * seconds + 30) << job.count() << " ms a job";
  }
}

TEST_F(AwakeTest, SoonAgainAfterACrowdThatWasShort) {
  for (int round = 0; round < 5; ++round) {
    yield_takes_ = {};
    for (int i = 0; i < 30; ++i) RunJobAfter(milliseconds(5));
    const int before = sleeps_;
    yield_takes_ = milliseconds(3);
    for (int i = 0; i < kLateJobsMax; ++i) RunJobAfter(milliseconds(5));
    EXPECT_EQ(sleeps_, before) << "round " << round;
    yield_takes_ = {};
    for (Duration t{}; t < kCrowdedAtFirst; t += milliseconds(5)) RunJobAfter(milliseconds(5));
    const int later = sleeps_;
    EXPECT_GT(later, before);
    RunJobAfter(milliseconds(5));
    EXPECT_EQ(sleeps_, later) << "round " << round;
  }
}

TEST_F(AwakeTest, AStreamIsToldBeforeEachOfItsJobsAndAtItsEnd) {
  clock_.Advance(std::chrono::hours(1));
  for (int i = 0; i < 2 + kStreamJobs; ++i) RunJobAfter(milliseconds(5));
  EXPECT_EQ(told_, std::vector<bool>({true})) << "two jobs were found asleep, then enough awake";
  RunJobAfter(milliseconds(5));
  EXPECT_EQ(told_, std::vector<bool>({true, true}));
  clock_.Advance(kAwakeMax + milliseconds(1));
  driver_.Turn({});
  driver_.Turn({});
  EXPECT_EQ(told_, std::vector<bool>({true, true, false})) << "once";
  told_.clear();
  for (int i = 0; i < 2 + kStreamJobs; ++i) RunJobAfter(milliseconds(5));
  EXPECT_EQ(told_, std::vector<bool>({true})) << "the next one";
}

TEST_F(AwakeTest, AStreamEndsWhereJobsFollowWithoutAPause) {
  for (int i = 0; i < 2 + kStreamJobs; ++i) RunJobAfter(milliseconds(5));
  told_.clear();
  const auto run_at_once = [&] {
    loop_.asked = true;
    driver_.Turn({});
  };
  for (int i = 0; i < 3 * kUnpausedJobsMax; ++i) {
    run_at_once();  // as the end of a token and the beginning of the next
    RunJobAfter(milliseconds(5));
  }
  EXPECT_EQ(std::ranges::count(told_, false), 0);
  for (int i = 0; i < kUnpausedJobsMax; ++i) run_at_once();
  EXPECT_FALSE(told_.back());
}

TEST(LoopDriver, EndsAStreamWhenItGoes) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(0));
  AskedLoop loop(jobs, job);
  ManualClock clock;
  std::vector<bool> told;
  {
    LoopDriver driver(loop, &jobs,
                      Idling{.sleep = [](Duration) {},
                             .awake_max = milliseconds(20),
                             .yield = [] {},
                             .stream = [&](bool goes_on) { told.push_back(goes_on); }},
                      clock);
    for (int i = 0; i < 3 + kStreamJobs; ++i) {
      driver.Turn({});
      loop.asked = true;
      driver.Turn({});
    }
    EXPECT_TRUE(told.back());
  }
  EXPECT_FALSE(told.back());
}

TEST_F(AwakeTest, ACrowdedCoreEndsAStream) {
  for (int i = 0; i < 2 + kStreamJobs; ++i) RunJobAfter(milliseconds(5));
  EXPECT_TRUE(told_.back());
  yield_takes_ = milliseconds(3);
  for (int i = 0; i < kLateJobsMax + 1; ++i) RunJobAfter(milliseconds(5));
  EXPECT_FALSE(told_.back());
}

TEST_F(AwakeTest, JobsWithoutAPauseSayNothingOfPauses) {
  for (int i = 0; i < 3; ++i) RunJobAfter(milliseconds(100));
  const int before = sleeps_;
  for (int i = 0; i < 2; ++i) {
    loop_.asked = true;
    driver_.Turn({});
  }
  driver_.Turn({});
  EXPECT_EQ(sleeps_, before + 1);
}

TEST(LoopDriver, SleepsAfterEveryJobUnlessItIsToStayAwake) {
  PumpedJobs jobs;
  SleepJob job(milliseconds(0));
  AskedLoop loop(jobs, job);
  int sleeps = 0;
  LoopDriver driver(loop, &jobs, Idling{[&](Duration) { ++sleeps; }}, kClock);
  for (int i = 0; i < 3; ++i) {
    driver.Turn({});
    loop.asked = true;
    driver.Turn({});
  }
  EXPECT_EQ(sleeps, 3);
}

TEST(LoopDriver, TheAttendantSleepsAndWakesAgain) {
  PumpedJobs jobs;
  SleepJob first(milliseconds(0));
  JobLoop loop(jobs, first);
  LoopDriver driver(loop, &jobs, Idling{[](Duration) {}}, kClock);
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
  LoopDriver driver(loop, nullptr, Idling{[&](Duration) { ++waits; }}, kClock);
  driver.Turn(milliseconds(1));
  EXPECT_EQ(waits, 1);
}

}  // namespace
}  // namespace mortar
