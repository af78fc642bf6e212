// How long a node takes for each byte of weights that a token reads: a slow value, so that one slow
// token moves no layers. Decode is bound by memory, so that this one number predicts a token.
#pragma once

#include <cstdint>

#include "common/clock.h"

namespace mortar {

class SpeedMeter {
 public:
  // Tokens and time that make up one look. A second spans many periods of whatever shares a machine
  // out by time slices (100 ms of a cgroup's quota); tokens, so that a pause counts as what it is.
  static constexpr int kTokensMin = 32;
  static constexpr Duration kSpanMin = std::chrono::seconds(1);
  // Part of the new value that one look makes up: a node that is four times as slow from now on
  // counts as twice as slow after two looks.
  static constexpr double kWeight = 0.25;

  // 0: not known.
  explicit SpeedMeter(double ns_per_byte = 0) : ns_per_byte_(ns_per_byte) {}

  double ns_per_byte() const { return ns_per_byte_; }

  // A token that ended now took `time` and read `bytes`.
  void Add(Time now, Duration time, uint64_t bytes) {
    if (bytes == 0 || time <= Duration::zero()) return;  // on a clock that stands still
    if (tokens_ == 0) since_ = now - time;
    ++tokens_;
    ns_ += static_cast<double>(time.count());
    bytes_ += static_cast<double>(bytes);
    if (tokens_ < kTokensMin || now - since_ < kSpanMin) return;
    const double seen = ns_ / bytes_;
    ns_per_byte_ = ns_per_byte_ == 0 ? seen : (1 - kWeight) * ns_per_byte_ + kWeight * seen;
    tokens_ = 0;
    ns_ = bytes_ = 0;
  }

 private:
  double ns_per_byte_;
  // Of the look that goes on:
  int tokens_ = 0;
  Time since_{};
  double ns_ = 0;
  double bytes_ = 0;
};

}  // namespace mortar
