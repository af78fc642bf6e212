#include "common/clock.h"

namespace mortar {

Time SteadyClock::Now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

std::string InSeconds(Duration d) { return std::to_string(static_cast<int>(Seconds(d))) + " s"; }

}  // namespace mortar
