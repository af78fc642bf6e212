#include "common/loop_driver.h"

#include <utility>

namespace mortar {
namespace {

// Looks without a job after which the attendant sleeps until it is woken: a stream of jobs never
// pays for waking it, and an idle process does not wake 500 times a second.
constexpr int kIdleLooksMax = 50;

}  // namespace

LoopDriver::LoopDriver(Loop& loop, PumpedJobs* jobs, Idling idling, const Clock& clock)
    : loop_(loop), jobs_(jobs), idling_(std::move(idling)), clock_(clock) {
  if (jobs_ != nullptr) attendant_ = std::thread([this] { Attend(); });
}

LoopDriver::~LoopDriver() {
  if (!attendant_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  attendant_.join();
}

void LoopDriver::Turn(Duration longest) {
  std::unique_lock lock(mutex_);
  const bool worked = loop_.Step();
  Job* job = jobs_ == nullptr ? nullptr : jobs_->Begin();
  if (job != nullptr) {
    RunJob(job, lock);
  } else if (!worked) {
    lock.unlock();
    Idle(longest);
  }
}

void LoopDriver::Idle(Duration longest) {
  paused_ = true;
  const Time now = clock_.Now();
  const bool awake = last_pause_ <= idling_.awake_max && now - job_ended_ < idling_.awake_max;
  if (!awake || now < crowded_until_) return idling_.sleep(longest);
  idling_.yield();
  if (clock_.Now() - now > kYieldMax) crowded_until_ = now + kCrowdedFor;
}

void LoopDriver::RunJob(Job* job, std::unique_lock<std::mutex>& lock) {
  if (paused_) last_pause_ = clock_.Now() - job_ended_;
  paused_ = false;
  job_runs_ = true;
  if (parked_) wake_.notify_one();
  lock.unlock();
  job->Run();
  lock.lock();
  job_runs_ = false;
  job_ended_ = clock_.Now();
  jobs_->End(job);
}

void LoopDriver::Attend() {
  std::unique_lock lock(mutex_);
  int idle_looks = 0;
  while (!stopping_) {
    if (idle_looks > kIdleLooksMax) {
      parked_ = true;
      wake_.wait(lock, [&] { return stopping_ || job_runs_; });
      parked_ = false;
      idle_looks = 0;
    }
    const bool ran_before = job_runs_;
    wake_.wait_for(lock, kTurnMax, [&] { return stopping_; });
    // A job that ran before and after this pause has kept the loop waiting.
    if (ran_before && job_runs_) loop_.Step();
    idle_looks = job_runs_ ? 0 : idle_looks + 1;
  }
}

}  // namespace mortar
