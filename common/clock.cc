#include "common/clock.h"

namespace mortar {

Time SteadyClock::Now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

}  // namespace mortar
