// Work that takes longer than a loop may block: steps of the engine, loading, hashing.
//
// A loop submits a job and goes on; the job's end comes back as an event when the loop polls.
// Jobs of one queue run one after the other in the order of Submit, so what they share (an
// engine, a pool of pages) is used by one of them at a time, and by the loop in between.
#pragma once

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

// Jobs run on the thread that turns the loops: a Pump or a LoopDriver.
class PumpedJobs final : public JobQueue {
 public:
  void Submit(Job* job) override { waiting_.push_back(job); }
  Job* PollDone() override { return done_.empty() ? nullptr : done_.pop_front(); }
  void Drain() override;

  // Runs the oldest job that waits. False when none does.
  bool RunOne();

  // The same in pieces, for a thread that lets others turn the loop while the job runs: Begin
  // hands out the oldest job, or null; End says that it has run.
  Job* Begin() { return waiting_.empty() ? nullptr : waiting_.pop_front(); }
  void End(Job* job) { done_.push_back(job); }

 private:
  RingQueue<Job*> waiting_;
  RingQueue<Job*> done_;
};

}  // namespace mortar
