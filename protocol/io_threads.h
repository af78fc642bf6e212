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
#include <vector>

#include "common/clock.h"

namespace mortar {

// Jobs after which the waiting is looked at: first, and from then on. Reading it takes some 10 us.
inline constexpr int kJobsBeforeFirstLook = 4;
inline constexpr int kJobsBetweenLooks = 16;
// A job for which I/O threads waited longer than this would have been faster without patience.
inline constexpr Duration kIoWaitMax = std::chrono::microseconds(300);
// How long they then are as others.
inline constexpr Duration kImpatientFor = std::chrono::seconds(1);

// Used by one thread.
class IoThreads {
 public:
  explicit IoThreads(const Clock& clock) : clock_(clock) {}

  // Before each job of a stream of jobs whose pauses this thread spends yielding (goes_on), and
  // when the stream ends. Does nothing where there are no such threads, where the system does not
  // say how long they waited, or where this thread does not have the usual policy: who gave it
  // another one knows why.
  void NoteStream(bool goes_on);

  bool patient() const { return patient_; }
  const std::vector<pid_t>& ids() const { return ids_; }  // of those that it has found

 private:
  void Start();
  void Stop();
  void LookAtWaiting();

  const Clock& clock_;
  std::vector<pid_t> ids_;
  bool patient_ = false;
  int jobs_ = 0;            // since the last look
  int next_look_ = 0;       // at so many
  uint64_t waited_ns_ = 0;  // until then
  Time impatient_until_{};
};

}  // namespace mortar
