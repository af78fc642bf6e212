// Drives the one loop of a process, and runs its jobs on the same thread.
//
// Handing each step of the engine to another thread and back costs some 70 µs, several times a
// token. So the thread that turns the loop runs the job itself, and a second thread, the attendant,
// turns the loop in its place whenever a job takes longer than kTurnMax: messages, heartbeats and
// cancellations are looked at every 2 ms whatever the engine does, and a job that is shorter than
// that costs no hand-over at all. A look may wake the attendant on the core that computes: 1 to 2 %
// of a token in a virtual machine. So where Idling allows it, looks that find nothing become rarer.
//
// A core that has slept for milliseconds wakes late and finds its caches cold: a token that crosses
// to another node and back pays some 0.4 ms for it. So after a job the driver looks for the next
// one without sleeping, as long as the pause before the last one was that short; it yields at every
// look to whoever else wants the core. That may take milliseconds, and does no harm where the other
// yields too when its work is done: the node at the other end of the wire, on the same machine.
// Where one job after the other has waited for such a yield to end, somebody computes on, and the
// driver sleeps: a sleeper that is woken goes first, and one that yields goes last.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "common/clock.h"
#include "common/job_queue.h"
#include "common/pump.h"

namespace mortar {

inline constexpr Duration kTurnMax = std::chrono::milliseconds(2);
// Where nothing comes and nobody else's messages pass through: a cancellation may wait so long.
inline constexpr Duration kQuietTurnMax = std::chrono::milliseconds(10);

// Sleepers wake no sooner: a loop that is more impatient is turned again after a yield.
inline constexpr Duration kNapMin = std::chrono::milliseconds(1);

// A yield that takes longer gave the core to somebody who computes.
inline constexpr Duration kYieldMax = std::chrono::microseconds(200);
// Jobs in a row that were found only after such a yield: the core is crowded.
inline constexpr int kLateJobsMax = 3;
// How long the driver then sleeps through its pauses, before it looks whether the core is free
// again: so long at first, and twice as long each time until as many jobs in a row are found in
// time.
inline constexpr Duration kCrowdedAtFirst = std::chrono::milliseconds(50);
inline constexpr Duration kCrowdedAtMost = std::chrono::seconds(1);
// Jobs in a row that were found awake: a stream of them has begun.
inline constexpr int kStreamJobs = 3;
// Jobs in a row without a pause: it has ended. Of one session, the end of a token and the beginning
// of the next follow one another so.
inline constexpr int kUnpausedJobsMax = 8;

// What a driver does while there is nothing to do.
struct Idling {
  std::function<void(Duration longest)> sleep;  // until the loop has something to do
  Duration awake_max{};  // the longest pause between jobs that is spent awake; 0: it always sleeps
  Duration turn_max = kTurnMax;  // between looks during a job, when the last ones found nothing
  std::function<void()> yield = std::this_thread::yield;
  // Told before each job of a stream whose pauses are spent awake, and once when it ends: the
  // driver falls asleep, has jobs without a pause, or goes. It yields once more before each of
  // these jobs: whoever waits for that gets the core now, not when the job has ended.
  std::function<void(bool goes_on)> stream = [](bool) {};
};

class LoopDriver {
 public:
  // `idling` is called on the driving thread. All of these outlive the driver. `jobs` is the loop's
  // own and may be null.
  LoopDriver(Loop& loop, PumpedJobs* jobs, Idling idling, const Clock& clock);
  ~LoopDriver();
  LoopDriver(const LoopDriver&) = delete;
  LoopDriver& operator=(const LoopDriver&) = delete;

  // One turn of the loop and at most one job, or a wait of at most `longest` when there is
  // nothing to do. Between turns the caller alone uses what the loop owns.
  void Turn(Duration longest);

 private:
  // How the time before a job was spent.
  enum class Pause { kNone, kAwake, kLate, kAsleep };  // kLate: awake, in a yield that took long

  void Attend();
  void Idle(Duration longest);
  // A job begins after such a pause.
  void NotePause(Pause pause);
  void NoteStream(Pause pause);
  void EndStream();
  void RunJob(Job* job, std::unique_lock<std::mutex>& lock);

  Loop& loop_;
  PumpedJobs* const jobs_;
  const Idling idling_;
  const Clock& clock_;
  // Of the driving thread alone.
  Time job_ended_{};
  Pause pause_ = Pause::kNone;  // since then
  Duration last_pause_ = Duration::max();
  int late_jobs_ = 0;    // in a row
  int timely_jobs_ = 0;  // found awake, in a row
  Time crowded_until_{};
  Duration crowded_for_{};
  bool streaming_ = false;
  int awake_jobs_ = 0;     // in a row
  int unpaused_jobs_ = 0;  // in a row
  std::mutex mutex_;       // guards the loop and the queue of jobs
  // Counts the beginnings and the ends of jobs: odd while one runs. The attendant looks at it
  // without the mutex: a driver that looks for its next job would stumble over it.
  std::atomic<uint64_t> job_edges_ = 0;
  std::atomic<bool> parked_ = false;  // the attendant sleeps until a job begins
  std::mutex nap_mutex_;              // guards what the attendant sleeps on
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread attendant_;
};

}  // namespace mortar
