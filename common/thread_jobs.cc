#include "common/thread_jobs.h"

#include <utility>

namespace mortar {

ThreadJobs::ThreadJobs(std::function<void()> on_done)
    : on_done_(std::move(on_done)), thread_([this] { Work(); }) {}

ThreadJobs::~ThreadJobs() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

void ThreadJobs::Submit(Job* job) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(job);
  }
  changed_.notify_all();
}

Job* ThreadJobs::PollDone() {
  std::lock_guard lock(mutex_);
  return done_.empty() ? nullptr : done_.pop_front();
}

void ThreadJobs::Drain() {
  std::unique_lock lock(mutex_);
  waiting_.clear();
  changed_.wait(lock, [this] { return !running_; });
  done_.clear();
}

void ThreadJobs::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    Job* job = waiting_.pop_front();
    running_ = true;
    lock.unlock();
    job->Run();
    lock.lock();
    running_ = false;
    done_.push_back(job);
    changed_.notify_all();
    lock.unlock();
    on_done_();
    lock.lock();
  }
}

}  // namespace mortar
