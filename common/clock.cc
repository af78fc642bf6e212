#include "common/clock.h"

namespace mortar {

Time SteadyClock::Now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

CalendarTime Clock::Calendar() const {
  return CalendarTime(
      std::chrono::duration_cast<std::chrono::milliseconds>(Now().time_since_epoch()));
}

CalendarTime SteadyClock::Calendar() const {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::string InSeconds(Duration d) { return std::to_string(static_cast<int>(Seconds(d))) + " s"; }

}  // namespace mortar
