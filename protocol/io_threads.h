// ZeroMQ's I/O threads of this process, as the system's scheduler sees them.
//
// A thread that becomes ready interrupts whoever runs on its core. From another core that takes an
// interrupt between processors, 40 us at the sender under some hypervisors, and a token that
// crosses to another node and back takes up to four of them. They are for nothing where the thread
// that runs there is one of ours that looks for frames and yields at every look: a patient I/O
// thread (SCHED_BATCH, sched(7)) interrupts nobody and gets the core a microsecond later.
//
// Where somebody else computes there, it would wait for the end of his time slice, milliseconds. So
// what the system says of the time that these threads were ready and did not run is looked at, and
// where that is too much their patience ends for a while.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "common/clock.h"

namespace mortar {

// Jobs after which the waiting is looked at: first, and from then on.
inline constexpr int kJobsBeforeFirstLook = 4;
inline constexpr int kJobsBetweenLooks = 16;
// The most that I/O threads may wait for a core, a job on average: twice what is usual where nobody
// else computes, and less than one wait for the end of a slice in a look's jobs.
inline constexpr Duration kIoWaitMax = std::chrono::microseconds(150);
// How long they then are as others.
inline constexpr Duration kImpatientFor = std::chrono::seconds(1);

// One thread of this process, and what the system says of it.
class IoThread {
 public:
  explicit IoThread(pid_t id);
  ~IoThread();
  IoThread(IoThread&& other) noexcept;
  IoThread& operator=(IoThread&&) = delete;

  pid_t id() const { return id_; }
  // Nanoseconds that it was ready and did not run, since it began. Nothing where the system does
  // not say, or no longer.
  std::optional<uint64_t> WaitedNs() const;

 private:
  pid_t id_;
  int schedstat_;  // the open file, held so that a look takes some 2 us; -1: there is none
};

// Used by one thread. ZeroMQ's context outlives it, or at least the last stream.
class IoThreads {
 public:
  explicit IoThreads(const Clock& clock) : clock_(clock) {}
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  // Before each job of a stream (LoopDriver's: goes_on), and when it ends. Does nothing where there
  // are no such threads, where the system does not say how long they waited or does not let their
  // policy be set, or where this thread does not have the usual one: who gave it another one knows
  // why.
  void NoteStream(bool goes_on);

  bool patient() const { return patient_; }
  const std::vector<IoThread>& threads() const { return threads_; }  // those that it found last

 private:
  void Start();
  void Stop();
  void LosePatience();
  void LookAtWaiting();
  std::optional<uint64_t> WaitedNs() const;  // of all together
  bool SetPolicy(int policy);

  const Clock& clock_;
  std::vector<IoThread> threads_;
  bool patient_ = false;
  int jobs_ = 0;            // since the last look
  int next_look_ = 0;       // at so many
  uint64_t waited_ns_ = 0;  // until then
  Time impatient_until_{};
};

}  // namespace mortar
