// Time as it is passed in: loops and plans never read a clock of their own.
#pragma once

#include <chrono>
#include <string>

namespace mortar {

using Duration = std::chrono::nanoseconds;
// Since an arbitrary start; comparable within one Clock alone.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time Now() const = 0;
};

// The machine's monotonic clock. Thread-safe.
class SteadyClock final : public Clock {
 public:
  Time Now() const override;
};

// Stands still until it is moved: for tests and simulation.
class ManualClock final : public Clock {
 public:
  Time Now() const override { return now_; }
  void Advance(Duration by) { now_ += by; }

 private:
  Time now_{};
};

inline double Milliseconds(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}
inline double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
// "10 s", whole seconds, for people.
std::string InSeconds(Duration d);

}  // namespace mortar
