#include "engine/kernels/pack.h"

#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

// One block of one row into lane `lane` of the group's block at `dst`. Headers are 2-byte
// scales, stored eight to a scale; quants are copied four bytes at a time, since lane r of
// vector v holds bytes [4 v, 4 v + 4) of row r. The nibbles of Q4 need no change: a file byte
// already holds inputs k and k + 16.
void PackBlock(const BlockFormat& format, const uint8_t* src, int lane, uint8_t* dst) {
  for (int h = 0; h < format.header_bytes; h += 2) {
    std::memcpy(dst + h * kLanes + 2 * lane, src + h, 2);
  }
  uint8_t* quants = dst + format.header_bytes * kLanes;
  for (int v = 0; v < format.quant_bytes / 4; ++v) {
    std::memcpy(quants + v * 4 * kLanes + 4 * lane, src + format.header_bytes + 4 * v, 4);
  }
}

}  // namespace

size_t PackedMatrix::group_bytes() const {
  const BlockFormat format = FormatOf(type);
  return static_cast<size_t>(n_in / format.inputs) * format.bytes() * kLanes;
}

size_t FileRowBytes(WeightType type, int n_in) {
  const BlockFormat format = FormatOf(type);
  return static_cast<size_t>(n_in / format.inputs) * format.bytes();
}

void PackGroups(const PackedMatrix& w, const uint8_t* src, int group_begin, int group_end,
                uint8_t* dst) {
  const BlockFormat format = FormatOf(w.type);
  CHECK(w.n_in % format.inputs == 0);
  const size_t row_bytes = FileRowBytes(w.type, w.n_in);
  for (int g = group_begin; g < group_end; ++g) {
    uint8_t* group = dst + w.group_bytes() * static_cast<size_t>(g);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int row = g * kLanes + lane;
      const uint8_t* from = src + row_bytes * static_cast<size_t>(row);
      for (int b = 0; b < w.n_in / format.inputs; ++b) {
        uint8_t* block = group + static_cast<size_t>(b) * format.bytes() * kLanes;
        if (format.inputs == 1) {  // a float: its lane's place among eight
          uint8_t* to = block + lane * format.quant_bytes;
          if (row < w.n_out) {
            std::memcpy(to, from + static_cast<size_t>(b) * format.quant_bytes, format.quant_bytes);
          } else {
            std::memset(to, 0, format.quant_bytes);
          }
        } else if (row < w.n_out) {
          PackBlock(format, from + static_cast<size_t>(b) * format.bytes(), lane, block);
        } else {
          static constexpr uint8_t kZero[36] = {};
          PackBlock(format, kZero, lane, block);
        }
      }
    }
  }
}

}  // namespace mortar
