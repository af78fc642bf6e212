// How long a token's row takes from a node's loop to the coordinator's and back. A status carries a
// stamp of the node's own clock and as many bytes as a row, the coordinator gives both back (Echo):
// the delay of the link and its rate are in one number. Loops, their sleep and their jobs are part
// of a token's way too, but whoever is busy just then is not: so the least of the last few.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/clock.h"

namespace mortar {

class RoundTripMeter {
 public:
  static constexpr size_t kSamples = 4;
  // Between two stamps once there are kSamples: a way through a network does not change faster than
  // a placement may (kPlacementKeptMin), and rows of 16 KiB to and from thousands of nodes shall
  // not fill the coordinator's link.
  static constexpr Duration kInterval = std::chrono::seconds(10);

  // For a status that is sent now; 0 when none is due. One that measures is waited for, also where
  // a round trip takes longer than the time between two statuses: for kInterval, then it was lost.
  // A shorter `interval` is for who wants a sign of life besides: between two that measure come
  // some that do not, carry no row, and leave the one that is on its way alone.
  uint64_t Stamp(Time now, Duration interval = kInterval) {
    const bool known = count_ >= kSamples;
    measures_ = (stamp_ == 0 && !known) || now - measured_ >= kInterval;
    if (!measures_ && (interval >= kInterval || now - asked_ < interval)) return 0;
    asked_ = now;
    const auto stamp = static_cast<uint64_t>(now.time_since_epoch().count());
    if (measures_) {
      measured_ = now;
      stamp_ = stamp;
    }
    return stamp;
  }

  // Whether the newest stamp asks for the way of a row.
  bool measures() const { return measures_; }

  // Only the newest stamp that measures counts, and once: nobody else can make a way look short.
  void Take(Time now, uint64_t stamp) {
    if (stamp == 0 || stamp != stamp_) return;
    stamp_ = 0;
    samples_[count_++ % kSamples] = now - measured_;
  }

  uint64_t ns() const {  // 0: not known
    if (count_ == 0) return 0;
    const auto end = samples_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, kSamples));
    const Duration least = *std::min_element(samples_.begin(), end);
    return static_cast<uint64_t>(std::max<Duration::rep>(1, least.count()));
  }

 private:
  Time asked_{};     // by the newest stamp
  Time measured_{};  // by the newest that measures
  bool measures_ = false;
  uint64_t stamp_ = 0;  // that measures, not answered yet; 0: none
  size_t count_ = 0;
  std::array<Duration, kSamples> samples_{};
};

}  // namespace mortar
