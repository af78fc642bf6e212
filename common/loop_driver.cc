#include "common/loop_driver.h"

#include <algorithm>
#include <utility>

namespace mortar {
namespace {

// Looks without a job, kTurnMax or more apart, after which the attendant sleeps until it is woken:
// a stream of jobs never pays for waking it, and an idle process does not wake 500 times a second.
constexpr int kIdleLooksMax = 50;

}  // namespace

LoopDriver::LoopDriver(Loop& loop, PumpedJobs* jobs, Idling idling, const Clock& clock)
    : loop_(loop), jobs_(jobs), idling_(std::move(idling)), clock_(clock) {
  if (jobs_ != nullptr) attendant_ = std::thread([this] { Attend(); });
}

LoopDriver::~LoopDriver() {
  EndStream();
  if (!attendant_.joinable()) return;
  {
    std::lock_guard nap(nap_mutex_);
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
    const Duration patience = loop_.Patience();
    lock.unlock();
    // A moment of waiting before a job is no pause.
    if (patience < kNapMin) return idling_.yield();
    Idle(std::min(longest, patience));
  }
}

void LoopDriver::Idle(Duration longest) {
  const Time now = clock_.Now();
  const bool awake = last_pause_ <= idling_.awake_max && now - job_ended_ < idling_.awake_max;
  if (!awake || now < crowded_until_) {
    pause_ = Pause::kAsleep;
    EndStream();
    return idling_.sleep(longest);
  }
  idling_.yield();
  pause_ = clock_.Now() - now > kYieldMax ? Pause::kLate : Pause::kAwake;
}

void LoopDriver::NotePause(Pause pause) {
  const Time now = clock_.Now();
  last_pause_ = now - job_ended_;
  late_jobs_ = pause == Pause::kLate ? late_jobs_ + 1 : 0;
  timely_jobs_ = pause == Pause::kAwake ? timely_jobs_ + 1 : 0;
  if (timely_jobs_ >= kLateJobsMax) crowded_for_ = {};
  if (late_jobs_ < kLateJobsMax) return;
  late_jobs_ = 0;
  crowded_for_ = std::clamp(2 * crowded_for_, Duration(kCrowdedAtFirst), Duration(kCrowdedAtMost));
  crowded_until_ = now + crowded_for_;
}

void LoopDriver::NoteStream(Pause pause) {
  unpaused_jobs_ = pause == Pause::kNone ? unpaused_jobs_ + 1 : 0;
  if (pause == Pause::kAwake) ++awake_jobs_;
  if (pause == Pause::kAsleep || pause == Pause::kLate) awake_jobs_ = 0;
  if (awake_jobs_ >= kStreamJobs) streaming_ = true;
  if (unpaused_jobs_ >= kUnpausedJobsMax) EndStream();
  if (streaming_) idling_.stream(true);
}

void LoopDriver::EndStream() {
  awake_jobs_ = 0;
  if (streaming_) idling_.stream(false);
  streaming_ = false;
}

void LoopDriver::RunJob(Job* job, std::unique_lock<std::mutex>& lock) {
  const Pause pause = std::exchange(pause_, Pause::kNone);
  if (pause != Pause::kNone) NotePause(pause);
  NoteStream(pause);
  ++job_edges_;
  lock.unlock();
  if (streaming_) idling_.yield();
  if (parked_) {
    std::lock_guard nap(nap_mutex_);
    wake_.notify_one();
  }
  job->Run();
  lock.lock();
  ++job_edges_;
  job_ended_ = clock_.Now();
  jobs_->End(job);
}

void LoopDriver::Attend() {
  const auto runs = [](uint64_t edges) { return edges % 2 == 1; };
  std::unique_lock nap(nap_mutex_);
  int idle_looks = 0;
  Duration longest = kTurnMax;
  while (!stopping_) {
    const uint64_t before = job_edges_;
    if (idle_looks > kIdleLooksMax) {
      parked_ = true;
      wake_.wait(nap, [&] { return stopping_ || job_edges_ != before; });
      parked_ = false;
      idle_looks = 0;
      continue;
    }
    wake_.wait_for(nap, longest, [&] { return stopping_; });
    longest = std::min(2 * longest, idling_.turn_max);
    idle_looks = job_edges_ == before ? idle_looks + 1 : 0;
    if (!runs(before) || job_edges_ != before) continue;
    // The job that ran before this nap still runs, and has kept the loop waiting.
    nap.unlock();
    {
      std::lock_guard lock(mutex_);
      if (job_edges_ == before && loop_.Step()) longest = kTurnMax;
    }
    nap.lock();
    idle_looks = 0;
  }
}

}  // namespace mortar
