// A queue whose jobs run on a thread of its own: for work that waits for disks, so that neither the
// loop nor the engine waits with it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "common/job_queue.h"

namespace mortar {

class ThreadJobs final : public JobQueue {
 public:
  // `on_done` is called on the thread after each job: it wakes the loop.
  explicit ThreadJobs(std::function<void()> on_done);
  ~ThreadJobs() override;
  ThreadJobs(const ThreadJobs&) = delete;
  ThreadJobs& operator=(const ThreadJobs&) = delete;

  void Submit(Job* job) override;
  Job* PollDone() override;
  void Drain() override;

 private:
  void Work();

  const std::function<void()> on_done_;
  std::mutex mutex_;  // guards all below but the thread
  std::condition_variable changed_;
  RingQueue<Job*> waiting_;
  RingQueue<Job*> done_;
  bool running_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace mortar
