// Says in a node's log what it refused, and why: one line with a count for each reason, at most one
// a minute while something new is refused, and one at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "common/clock.h"
#include "common/counts.h"
#include "common/log.h"

namespace mortar {

// Between two lines: a peer cannot fill a log.
inline constexpr Duration kRefusalLogInterval = std::chrono::minutes(1);

class RefusalLog {
 public:
  // All outlive the log. `counts`: all that were refused since the node's start.
  RefusalLog(const Logger& log, const Clock& clock, std::function<Counts()> counts)
      : log_(log), clock_(clock), counts_(std::move(counts)), looked_(clock.Now()) {}

  // Often, from the node's loop.
  void Tick();
  // At the end of the node.
  void End();

 private:
  const Logger& log_;
  const Clock& clock_;
  const std::function<Counts()> counts_;
  Time looked_;
  uint64_t said_ = 0;  // in all
};

}  // namespace mortar
