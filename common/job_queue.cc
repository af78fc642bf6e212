#include "common/job_queue.h"

#include <utility>

namespace mortar {

bool PumpedJobs::RunOne() {
  if (waiting_.empty()) return false;
  Job* job = waiting_.pop_front();
  job->Run();
  done_.push_back(job);
  return true;
}

void PumpedJobs::Drain() {
  waiting_.clear();
  done_.clear();
}

EngineThread::EngineThread(std::function<void()> on_done)
    : on_done_(std::move(on_done)), thread_([this] { Loop(); }) {}

EngineThread::~EngineThread() {
  {
    std::lock_guard lock(mutex_);
    waiting_.clear();
    stopping_ = true;
  }
  submitted_.notify_one();
  thread_.join();
}

void EngineThread::Submit(Job* job) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(job);
  }
  submitted_.notify_one();
}

Job* EngineThread::PollDone() {
  std::lock_guard lock(mutex_);
  return done_.empty() ? nullptr : done_.pop_front();
}

void EngineThread::Drain() {
  std::unique_lock lock(mutex_);
  waiting_.clear();
  idle_.wait(lock, [this] { return !running_; });
  done_.clear();
}

void EngineThread::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    submitted_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    Job* job = waiting_.pop_front();
    running_ = true;
    lock.unlock();
    job->Run();
    lock.lock();
    running_ = false;
    done_.push_back(job);
    idle_.notify_all();
    if (on_done_ != nullptr) {
      lock.unlock();
      on_done_();
      lock.lock();
    }
  }
}

}  // namespace mortar
