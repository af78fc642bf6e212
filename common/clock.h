// Time as it is passed in: loops and plans never read a clock of their own.
#pragma once

#include <chrono>
#include <string>

namespace mortar {

using Duration = std::chrono::nanoseconds;
// Since an arbitrary start; comparable within one Clock alone.
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Since 1970: comparable between machines, as far as their clocks agree.
using CalendarTime = std::chrono::sys_time<std::chrono::milliseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time Now() const = 0;
  // Of a clock that knows of no calendar: its own start stands for 1970.
  virtual CalendarTime Calendar() const;
};

// The machine's monotonic clock. Thread-safe.
class SteadyClock final : public Clock {
 public:
  Time Now() const override;
  CalendarTime Calendar() const override;  // the machine's own, which people may set
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
