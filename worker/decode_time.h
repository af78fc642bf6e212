// What a batch of decode takes, as w + nc for n rows: w, reading the weights, counts for all of
// them. From the shortest batches of the fewest and of the most rows that have been seen: what else
// a batch may wait for only makes it longer.
#pragma once

#include <algorithm>

#include "common/clock.h"

namespace mortar {

class DecodeTime {
 public:
  void Add(int rows, Duration time) {
    Note(rows < few_.rows, few_, rows, time);
    Note(rows > many_.rows, many_, rows, time);
  }
  // Zero until batches were seen whose rows differ by a factor of two.
  Duration weights() const {
    if (few_.rows == 0 || many_.rows < 2 * few_.rows) return {};
    const Duration row = (many_.time - few_.time) / (many_.rows - few_.rows);
    return std::clamp(few_.time - few_.rows * row, Duration{}, few_.time);
  }

 private:
  struct Batch {
    int rows = 0;  // 0: none was seen
    Duration time{};
  };
  static void Note(bool replaces, Batch& batch, int rows, Duration time) {
    if (replaces || batch.rows == 0) {
      batch = {rows, time};
    } else if (batch.rows == rows) {
      batch.time = std::min(batch.time, time);
    }
  }
  Batch few_, many_;
};

}  // namespace mortar
