// Kernels whose plain loops are already the best form: each instruction set compiles them with
// its own flags. Lanes are independent here, so that vectorising them changes no bit.
#pragma once

#include "engine/kernels/arith.h"
#include "engine/kernels/kernels.h"

namespace mortar {

static inline void RopeLoop(float* x, const float* cos, const float* sin, int n_pairs) {
  for (int i = 0; i < n_pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = a * sin[i] + b * cos[i];
  }
}

static inline void RopeHalvesLoop(float* x, const float* cos, const float* sin, int n_pairs) {
  for (int i = 0; i < n_pairs; ++i) {
    const float a = x[i];
    const float b = x[n_pairs + i];
    x[i] = a * cos[i] - b * sin[i];
    x[n_pairs + i] = a * sin[i] + b * cos[i];
  }
}

// Element k of row `lane` of a float matrix's group.
static inline float FloatWeight(WeightType type, const uint8_t* group, int k, int lane) {
  const size_t at = static_cast<size_t>(k) * kLanes + lane;
  switch (type) {
    case WeightType::kF16:
      return HalfToFloat(LoadU16(group + 2 * at));
    case WeightType::kBF16:
      return Bf16ToFloat(LoadU16(group + 2 * at));
    default:
      return LoadF32(group + 4 * at);
  }
}

// The quantised weights of one row in one block of 32, and what scales them.
struct WeightBlock {
  float d;
  float m;  // 0 where the type has no minimum
  int8_t q[kBlock];
};

// Bytes of the scales of a block of eight rows, and of the whole block. FormatOf is evaluated at
// compile time alone, so that no copy of it is left in a file with instructions of its own.
template <WeightType kType>
consteval size_t HeaderBytesOf() {
  return static_cast<size_t>(FormatOf(kType).header_bytes) * kLanes;
}
template <WeightType kType>
consteval size_t BlockBytesOf() {
  return static_cast<size_t>(FormatOf(kType).bytes()) * kLanes;
}

static inline size_t QuantBlockBytes(WeightType type) {
  switch (type) {
    case WeightType::kQ4_0:
      return BlockBytesOf<WeightType::kQ4_0>();
    case WeightType::kQ4_1:
      return BlockBytesOf<WeightType::kQ4_1>();
    default:
      return BlockBytesOf<WeightType::kQ8_0>();
  }
}

static inline void LoadWeightBlock(WeightType type, const uint8_t* block, int lane,
                                   WeightBlock& out) {
  out.d = HalfToFloat(LoadU16(block + 2 * lane));
  out.m = type == WeightType::kQ4_1 ? HalfToFloat(LoadU16(block + 2 * kLanes + 2 * lane)) : 0.0f;
  const uint8_t* quants = block + (type == WeightType::kQ4_1 ? HeaderBytesOf<WeightType::kQ4_1>()
                                                             : HeaderBytesOf<WeightType::kQ4_0>());
  if (type == WeightType::kQ8_0) {
    for (int k = 0; k < kBlock; ++k) {
      out.q[k] = static_cast<int8_t>(quants[(k / 4) * 32 + 4 * lane + k % 4]);
    }
    return;
  }
  const int zero = type == WeightType::kQ4_0 ? 8 : 0;
  for (int k = 0; k < kBlock / 2; ++k) {
    const uint8_t byte = quants[(k / 4) * 32 + 4 * lane + k % 4];
    out.q[k] = static_cast<int8_t>((byte & 15) - zero);
    out.q[k + 16] = static_cast<int8_t>((byte >> 4) - zero);
  }
}

static inline void UnpackRowLoop(const PackedMatrix& w, int row, float* y) {
  const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(row / kLanes);
  const int lane = row % kLanes;
  if (!IsQuantized(w.type)) {
    for (int k = 0; k < w.n_in; ++k) y[k] = FloatWeight(w.type, group, k, lane);
    return;
  }
  WeightBlock block;
  for (int b = 0; b < w.n_in / kBlock; ++b) {
    LoadWeightBlock(w.type, group + QuantBlockBytes(w.type) * b, lane, block);
    for (int k = 0; k < kBlock; ++k) {
      const float scaled = block.d * static_cast<float>(block.q[k]);
      y[b * kBlock + k] = w.type == WeightType::kQ4_1 ? scaled + block.m : scaled;
    }
  }
}

}  // namespace mortar
