// A process that runs a part of the time alone: as a machine so much slower would. SIGSTOP and
// SIGCONT in turn, in periods of some milliseconds, so that a token of ten spans one or more of
// them.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace mortar {

class DutyCycle {
 public:
  // Until its end, which leaves the process running. It must have ended later.
  DutyCycle(pid_t process, std::chrono::microseconds on, std::chrono::microseconds off)
      : thread_([this, process, on, off] {
          using Clock = std::chrono::steady_clock;
          while (!over_) {
            const Clock::time_point start = Clock::now();
            std::this_thread::sleep_for(on);
            // Whoever wakes late, on a busy machine, makes up for it: the part stays what it is.
            kill(process, SIGSTOP);
            std::this_thread::sleep_for((Clock::now() - start) * off.count() / on.count());
            kill(process, SIGCONT);
          }
        }) {}
  ~DutyCycle() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace mortar
