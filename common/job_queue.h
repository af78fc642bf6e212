// Work that takes longer than a loop may block: steps of the engine, loading, hashing.
//
// A loop submits a job and goes on; the job's end comes back as an event when the loop polls.
// Jobs of one queue run one after the other in the order of Submit, so what they share (an
// engine, a pool of pages) is used by one of them at a time, and by the loop in between.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "common/ring_queue.h"

namespace mortar {

class Job {
 public:
  virtual ~Job() = default;
  virtual void Run() = 0;
};

// Submit, PollDone and Drain are called by the one thread that owns the loop.
class JobQueue {
 public:
  virtual ~JobQueue() = default;

  // `job` stays the caller's and lives until PollDone has returned it, or Drain has returned.
  // It may be submitted again after that: a loop keeps its jobs and allocates none per token.
  virtual void Submit(Job* job) = 0;
  // The next finished job in the order of Submit, or null.
  virtual Job* PollDone() = 0;
  // Forgets jobs that have not begun and returns when none is running: before jobs are destroyed.
  virtual void Drain() = 0;
};

// Jobs run on the thread that pumps the loops: in the embedded program and in simulation.
class PumpedJobs final : public JobQueue {
 public:
  void Submit(Job* job) override { waiting_.push_back(job); }
  Job* PollDone() override { return done_.empty() ? nullptr : done_.pop_front(); }
  void Drain() override;

  // Runs the oldest job that waits. False when none does.
  bool RunOne();

 private:
  RingQueue<Job*> waiting_;
  RingQueue<Job*> done_;
};

// Jobs run on one thread of the queue's own: the engine thread of a process.
class EngineThread final : public JobQueue {
 public:
  // `on_done`, when given, is called on the engine thread after each job, to wake a loop that
  // sleeps in a poll of its transport.
  explicit EngineThread(std::function<void()> on_done = nullptr);
  ~EngineThread() override;
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  void Submit(Job* job) override;
  Job* PollDone() override;
  void Drain() override;

 private:
  void Loop();

  const std::function<void()> on_done_;
  std::mutex mutex_;  // guards all below but thread_
  std::condition_variable submitted_;
  std::condition_variable idle_;
  RingQueue<Job*> waiting_;
  RingQueue<Job*> done_;
  bool running_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace mortar
