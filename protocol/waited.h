// Waiting that is not counted while the process itself stands still.
#pragma once

#include <optional>

#include "common/clock.h"

namespace mortar {

// How long somebody has waited who looks all the time: of a pause between two looks no more counts
// than kStallMax, for whoever stood still itself judges nobody by that time.
class Waited {
 public:
  Duration At(Time now);  // zero at the first look

 private:
  std::optional<Time> looked_;
  Duration waited_{};
};

}  // namespace mortar
