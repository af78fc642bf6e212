// Clocks that do not go as they should, for what waits.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

#include "common/clock.h"

namespace mortar {

// Time goes on by `step` at each look: who waits in vain need not be waited for.
class HurriedClock final : public Clock {
 public:
  explicit HurriedClock(Duration step) : step_(step) {}
  Time Now() const override { return now_ += step_; }

 private:
  const Duration step_;
  mutable Time now_{};
};

// Whoever looks was suspended for an hour at its third look; with the fifth the others come `back`.
class SuspendedClock final : public Clock {
 public:
  explicit SuspendedClock(std::function<void()> back) : back_(std::move(back)) {}
  Time Now() const override {
    if (++looks_ == 3) now_ += std::chrono::hours(1);
    if (looks_ == 5) back_();
    return now_;
  }

 private:
  const std::function<void()> back_;
  mutable int looks_ = 0;
  mutable Time now_{};
};

}  // namespace mortar
