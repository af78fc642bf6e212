// Kernels whose plain loops are already the best form: each instruction set compiles them with
// its own flags. Lanes are independent here, so that vectorising them changes no bit.
#pragma once

#include "engine/kernels/arith.h"
#include "engine/kernels/kernels.h"

namespace mortar {

// Where, among a layer's bytes in a page, the eight keys begin that `slot` is one of, and where its
// value does.
static inline size_t KeysAt(const KvShape& shape, int head, int slot) {
  return shape.bytes_of(shape.head_elements() * head +
                        static_cast<size_t>(slot / 8 * 8) * shape.head_dim);
}
static inline size_t ValueAt(const KvShape& shape, int head, int slot) {
  return shape.k_bytes() +
         shape.bytes_of(shape.head_elements() * head + static_cast<size_t>(slot) * shape.head_dim);
}

// Keys and values of one position in q8_0. `quantize` is the kernel table's: its scales are in
// f32, and are rounded to f16 here.
template <typename Quantize>
static inline void StoreKvInBlocks(const KvShape& shape, uint8_t* layer, int slot, const float* k,
                                   const float* v, Quantize quantize) {
  constexpr int kBlocksMax = kHeadDimMax / kBlock;
  int8_t q[kHeadDimMax];
  float d[kBlocksMax];
  float s[kBlocksMax];
  int32_t sums[2][kBlocksMax];
  const RoundedRows<int8_t> rounded = {q, d, s, sums[0], sums[1]};
  for (int h = 0; h < shape.n_kv_heads; ++h) {
    const size_t at = static_cast<size_t>(h) * shape.head_dim;
    uint8_t* keys = layer + KeysAt(shape, h, slot);
    quantize(k + at, shape.head_dim, rounded);
    for (int b = 0; b < shape.head_dim / kBlock; ++b) {
      uint8_t* block = keys + b * 8 * kKvBlockBytes;
      const uint16_t scale = FloatToHalf(d[b]);
      std::memcpy(block + slot % 8 * 2, &scale, 2);
      for (int i = 0; i < kBlock; ++i) {
        block[16 + 8 * i + slot % 8] = static_cast<uint8_t>(q[b * kBlock + i]);
      }
    }
    uint8_t* value = layer + ValueAt(shape, h, slot);
    quantize(v + at, shape.head_dim, rounded);
    for (int b = 0; b < shape.head_dim / kBlock; ++b) {
      const uint16_t scale = FloatToHalf(d[b]);
      std::memcpy(value + b * kKvBlockBytes, &scale, 2);
      std::memcpy(value + b * kKvBlockBytes + 2, q + b * kBlock, kBlock);
    }
  }
}

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

// The weights of one row in 32 inputs: (d q + m), where each of `n` parts of them has a d and an m.
struct WeightBlock {
  int n;       // 1, or 2 where 16 inputs share a scale
  float d[2];  // scales
  float m[2];  // minima; 0 where the type has none
  int8_t q[kBlock];
};

// Sub-block b of the eight six-bit scales and minima of Q4_K and Q5_K. The 12 bytes of a row lie
// in three vectors: six bits of scale 0-3 (above them two bits of scale 4-7), the same of minima,
// and the lower four bits of scale and minimum 4-7.
static inline void LoadSixBitScale(const uint8_t* header, int b, int lane, WeightBlock& out) {
  const float d = HalfToFloat(LoadU16(header + 2 * lane));
  const float d_min = HalfToFloat(LoadU16(header + 2 * kLanes + 2 * lane));
  const uint8_t* bytes = header + 4 * kLanes + 4 * lane + b % 4;
  const int scales = bytes[0];
  const int minima = bytes[4 * kLanes];
  const int both = bytes[8 * kLanes];
  const int scale = b < 4 ? scales & 63 : (both & 15) | (scales >> 6) << 4;
  const int minimum = b < 4 ? minima & 63 : both >> 4 | (minima >> 6) << 4;
  out.d[0] = d * static_cast<float>(scale);
  out.m[0] = -d_min * static_cast<float>(minimum);
}

// One of the sixteen six-bit scales of Q3_K, 32 added. The 12 bytes of a row lie in three vectors:
// the lower four bits of scale 0-3 and 8-11, of 4-7 and 12-15, and the upper two of all.
static inline int SixBitScaleQ3(const uint8_t* header, int scale, int lane) {
  const uint8_t* bytes = header + 2 * kLanes + 4 * lane + scale % 4;
  const int low = bytes[scale / 4 % 2 * 4 * kLanes] >> (scale / 8 * 4) & 15;
  const int high = bytes[8 * kLanes] >> (scale / 4 * 2) & 3;
  return low | high << 4;
}

// One of the eight six-bit scales of IQ4_XS, 32 added: two bits in a half, four in a word.
static inline int SixBitScaleIq4(const uint8_t* header, int scale, int lane) {
  const int high = LoadU16(header + 2 * kLanes + 2 * lane) >> (2 * scale) & 3;
  const uint8_t byte = header[4 * kLanes + 4 * lane + scale / 2];
  return (byte >> (scale % 2 * 4) & 15) | high << 4;
}

// Scales of the 32 inputs that are sub-block b of a file's block.
static inline void LoadScales(WeightType type, const uint8_t* header, int b, int lane,
                              WeightBlock& out) {
  const BlockFormat& format = kBlockFormats.of[static_cast<int>(type)];
  out.n = format.scale_inputs == kBlock ? 1 : 2;
  out.m[0] = out.m[1] = 0;
  const float d = HalfToFloat(LoadU16(header + 2 * lane));
  switch (type) {
    case WeightType::kQ4_K:
    case WeightType::kQ5_K:
      LoadSixBitScale(header, b, lane, out);
      return;
    case WeightType::kQ6_K:
      for (int part = 0; part < 2; ++part) {
        const uint8_t byte = header[(2 + 2 * b + part) * kLanes + lane];
        out.d[part] = d * static_cast<float>(static_cast<int8_t>(byte));
      }
      return;
    case WeightType::kQ2_K: {
      const float d_min = HalfToFloat(LoadU16(header + 2 * kLanes + 2 * lane));
      for (int part = 0; part < 2; ++part) {
        const uint8_t byte = header[(4 + 2 * b + part) * kLanes + lane];
        out.d[part] = d * static_cast<float>(byte & 15);
        out.m[part] = -d_min * static_cast<float>(byte >> 4);
      }
      return;
    }
    case WeightType::kQ3_K:
      for (int part = 0; part < 2; ++part) {
        out.d[part] = d * static_cast<float>(SixBitScaleQ3(header, 2 * b + part, lane) - 32);
      }
      return;
    case WeightType::kIQ4_XS:
      out.d[0] = d * static_cast<float>(SixBitScaleIq4(header, b, lane) - 32);
      return;
    default:
      out.d[0] = d;
      if (format.minima) out.m[0] = HalfToFloat(LoadU16(header + 2 * kLanes + 2 * lane));
  }
}

// Quants of 32 inputs from their planes.
static inline void LoadQuants(WeightType type, const uint8_t* planes, int lane, int8_t* q) {
  const BlockFormat& format = kBlockFormats.of[static_cast<int>(type)];
  const uint8_t* at = planes + 4 * lane;  // of the plane that is read next
  if (type == WeightType::kQ8_0) {
    for (int k = 0; k < kBlock; ++k) q[k] = static_cast<int8_t>(at[(k / 4) * 32 + k % 4]);
    return;
  }
  int stored[kBlock] = {};
  if (format.nibbles) {
    for (int k = 0; k < kBlock; ++k) {
      const int byte = at[(k % 16 / 4) * 32 + k % 4];
      stored[k] = k < 16 ? byte & 15 : byte >> 4;
    }
    at += 4 * 32;
  }
  if (format.pairs_at >= 0) {
    for (int k = 0; k < kBlock; ++k) {
      const int byte = at[(k / 16) * 32 + k % 4];
      stored[k] |= (byte >> (2 * (k % 16 / 4)) & 3) << format.pairs_at;
    }
    at += 2 * 32;
  }
  if (format.bit_at >= 0) {
    for (int k = 0; k < kBlock; ++k) stored[k] |= (at[k % 4] >> (k / 4) & 1) << format.bit_at;
  }
  for (int k = 0; k < kBlock; ++k) {
    q[k] = format.lookup ? kIq4Values[stored[k]] : static_cast<int8_t>(stored[k] - format.zero);
  }
}

// Inputs [32 b, 32 b + 32) of one row of a quantised matrix's group.
static inline void LoadWeightBlock(WeightType type, const uint8_t* group, int b, int lane,
                                   WeightBlock& out) {
  const BlockFormat& format = kBlockFormats.of[static_cast<int>(type)];
  const int n_blocks = format.inputs / kBlock;
  const int quant_bytes = format.quant_bytes * kLanes;
  const int header_bytes = format.header_bytes * kLanes;
  const uint8_t* block =
      group + static_cast<size_t>(b / n_blocks) * (header_bytes + n_blocks * quant_bytes);
  LoadScales(type, block, b % n_blocks, lane, out);
  LoadQuants(type, block + header_bytes + b % n_blocks * quant_bytes, lane, out.q);
}

static inline void UnpackRowLoop(const PackedMatrix& w, int row, float* y) {
  const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(row / kLanes);
  const int lane = row % kLanes;
  if (!IsQuantized(w.type)) {
    for (int k = 0; k < w.n_in; ++k) y[k] = FloatWeight(w.type, group, k, lane);
    return;
  }
  const bool minima = kBlockFormats.of[static_cast<int>(w.type)].minima;
  WeightBlock block;
  for (int b = 0; b < w.n_in / kBlock; ++b) {
    LoadWeightBlock(w.type, group, b, lane, block);
    for (int k = 0; k < kBlock; ++k) {
      const int part = k / (kBlock / block.n);
      const float scaled = block.d[part] * static_cast<float>(block.q[k]);
      y[b * kBlock + k] = minima ? scaled + block.m[part] : scaled;
    }
  }
}

}  // namespace mortar
