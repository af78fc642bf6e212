// y = W x with NEON: a lane is an output row. Quantised weights of a block are unpacked once for up
// to eight rows of inputs; float weights meet tiles of up to four.
//
// Quants and inputs meet in dot products of four signed bytes, added to int32: nothing can
// saturate. A block of 8 x 32 weights takes sixteen of them for an int8 row, and for an int16 row,
// which is two rows of bytes, 32.
#include <arm_neon.h>

#include "engine/kernels/linear_tile.h"
#include "engine/kernels/neon/neon.h"
#include "engine/kernels/neon/weights.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace neon {
namespace {

constexpr int kQuantizedRows = 8;
constexpr int kFloatRows = 4;

// One 32-input block of a group: its planes, and where its scales and its inputs are.
template <WeightType kType>
struct Block {
  const uint8_t* planes;
  const Scales<kType>& scales;
  int first_scale;  // of its parts, in `scales`
  int at;           // the block's place in a row
};

inline int32x4x2_t Splat(int v) { return {{vdupq_n_s32(v), vdupq_n_s32(v)}}; }

// sum + the dot product of sixteen inputs, whose quants begin at `quants`.
inline int32x4x2_t AddHalf(const int8x16x2_t* quants, int8x16_t x, int32x4x2_t sum) {
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    sum.val[i] = vdotq_laneq_s32(sum.val[i], quants[0].val[i], x, 0);
    sum.val[i] = vdotq_laneq_s32(sum.val[i], quants[1].val[i], x, 1);
    sum.val[i] = vdotq_laneq_s32(sum.val[i], quants[2].val[i], x, 2);
    sum.val[i] = vdotq_laneq_s32(sum.val[i], quants[3].val[i], x, 3);
  }
  return sum;
}

// acc + dot * (d * the block's scale), and the minimum's share: eight outputs of one row, whose
// block is `at`, for the inputs of one scale, whose sum is `sum`.
template <WeightType kType, typename Quant>
inline float32x4x2_t Fold(const Block<kType>& block, int part, int32x4x2_t dot, int sum,
                          const RoundedRows<Quant>& in, int at, float32x4x2_t acc) {
  const int scale = block.first_scale + part;
  float s = in.s[at];
  if constexpr (PartsOf(kType) == 2) s = in.d[at] * static_cast<float>(sum);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const float32x4_t d = vmulq_n_f32(block.scales.d[scale].val[i], in.d[at]);
    acc.val[i] = vfmaq_f32(acc.val[i], vcvtq_f32_s32(dot.val[i]), d);
    if constexpr (FormatOf(kType).minima) {
      acc.val[i] = vfmaq_n_f32(acc.val[i], block.scales.m[scale].val[i], s);
    }
  }
  return acc;
}

// The sum of the inputs of a part of block `at`.
template <WeightType kType, typename Quant>
inline int SumOf(const RoundedRows<Quant>& in, int at, int part) {
  if constexpr (PartsOf(kType) == 1) return in.sum[at];
  return part == 0 ? in.low[at] : in.sum[at] - in.low[at];
}

// Adds a block to acc[n_rows], int8 rows that are n_in long.
template <WeightType kType>
[[gnu::always_inline]] inline void AddBlock(const Block<kType>& block,
                                            const RoundedRows<int8_t>& in, int n_in, int n_rows,
                                            float32x4x2_t* acc) {
  constexpr int kZero = FormatOf(kType).zero;
  constexpr int kHalves = 2 / PartsOf(kType);  // sixteens of inputs that share a scale
  const BlockQuants quants = UnpackQuants<kType>(block.planes);
  for (int r = 0; r < n_rows; ++r) {
    const int8_t* q = in.q + static_cast<size_t>(r) * n_in + block.at * kBlock;
    const int at = r * (n_in / kBlock) + block.at;
#pragma GCC unroll 2
    for (int part = 0; part < PartsOf(kType); ++part) {
      const int sum = SumOf<kType>(in, at, part);
      int32x4x2_t dot = Splat(-kZero * sum);
#pragma GCC unroll 2
      for (int half = part * kHalves; half < (part + 1) * kHalves; ++half) {
        dot = AddHalf(quants.of + 4 * half, vld1q_s8(q + 16 * half), dot);
      }
      acc[r] = Fold(block, part, dot, sum, in, at, acc[r]);
    }
  }
}

// Sixteen int16 inputs as bytes with a sign: x = 256 high + low + 128.
struct SplitInputs {
  int8x16_t low, high;
};
inline SplitInputs Split(const int16_t* q) {
  const int8x16x2_t bytes = vld2q_s8(reinterpret_cast<const int8_t*>(q));
  return {veorq_s8(bytes.val[0], vdupq_n_s8(-128)), bytes.val[1]};
}

// 128 times the sum of the quants of each part.
template <WeightType kType>
inline void SumQuants(const BlockQuants& quants, int32x4x2_t (&sums)[PartsOf(kType)]) {
  constexpr int kVectors = 8 / PartsOf(kType);
#pragma GCC unroll 2
  for (int part = 0; part < PartsOf(kType); ++part) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      int32x4_t sum = vdupq_n_s32(0);
#pragma GCC unroll 8
      for (int v = part * kVectors; v < (part + 1) * kVectors; ++v) {
        sum = vdotq_s32(sum, quants.of[v].val[i], vdupq_n_s8(1));
      }
      sums[part].val[i] = vshlq_n_s32(sum, 7);
    }
  }
}

// The same with int16 rows, as bytes: with q the quants, the sum of q x is 256 times that of
// q high, that of q low, and 128 times that of q. Each stays below 2^28.
template <WeightType kType>
[[gnu::always_inline]] inline void AddBlock(const Block<kType>& block,
                                            const RoundedRows<int16_t>& in, int n_in, int n_rows,
                                            float32x4x2_t* acc) {
  constexpr int kZero = FormatOf(kType).zero;
  constexpr int kHalves = 2 / PartsOf(kType);
  const BlockQuants quants = UnpackQuants<kType>(block.planes);
  int32x4x2_t sums[PartsOf(kType)];
  SumQuants<kType>(quants, sums);
  for (int r = 0; r < n_rows; ++r) {
    const int16_t* q = in.q + static_cast<size_t>(r) * n_in + block.at * kBlock;
    const int at = r * (n_in / kBlock) + block.at;
#pragma GCC unroll 2
    for (int part = 0; part < PartsOf(kType); ++part) {
      const int sum = SumOf<kType>(in, at, part);
      int32x4x2_t low = sums[part];
      int32x4x2_t high = Splat(0);
#pragma GCC unroll 2
      for (int half = part * kHalves; half < (part + 1) * kHalves; ++half) {
        const SplitInputs x = Split(q + 16 * half);
        low = AddHalf(quants.of + 4 * half, x.low, low);
        high = AddHalf(quants.of + 4 * half, x.high, high);
      }
      const int32x4_t zero = vdupq_n_s32(kZero * sum);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        low.val[i] = vaddq_s32(vsubq_s32(low.val[i], zero), vshlq_n_s32(high.val[i], 8));
      }
      acc[r] = Fold(block, part, low, sum, in, at, acc[r]);
    }
  }
}

// Adds inputs [begin, end) of one span to acc[n_rows].
template <WeightType kType, typename Quant>
[[gnu::always_inline]] inline void QuantizedSpan(const uint8_t* group, int begin, int end,
                                                 const RoundedRows<Quant>& in, int n_in, int n_rows,
                                                 float32x4x2_t* acc) {
  Scales<kType> scales;
  const auto load = [&](const uint8_t* header) { LoadScales<kType>(header, scales); };
  const auto add = [&](const uint8_t* planes, int b, int at) __attribute__((always_inline)) {
    AddBlock<kType>({planes, scales, b * PartsOf(kType), at}, in, n_in, n_rows, acc);
  };
  ForBlocks<kType>(group, begin, end, load, add, true);
}

template <WeightType kType>
inline float32x4x2_t LoadFloat8(const uint8_t* group, int k) {
  if constexpr (kType == WeightType::kF16) {
    return LoadHalf8(group + 16 * static_cast<size_t>(k));
  } else if constexpr (kType == WeightType::kBF16) {
    const uint16x8_t upper = vreinterpretq_u16_u8(vld1q_u8(group + 16 * static_cast<size_t>(k)));
    return {{vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(upper), 16)),
             vreinterpretq_f32_u32(vshll_high_n_u16(upper, 16))}};
  } else {
    const uint32x4x2_t words = LoadWords8(group + 32 * static_cast<size_t>(k));
    return {{vreinterpretq_f32_u32(words.val[0]), vreinterpretq_f32_u32(words.val[1])}};
  }
}

// Adds the same to acc[kRows], float weights; `x` is the first of kRows rows.
template <WeightType kType, int kRows>
inline void FloatSpan(const uint8_t* group, int begin, int end, const float* x, int n_in,
                      float32x4x2_t* acc) {
  for (int k = begin; k < end; ++k) {
    const float32x4x2_t w = LoadFloat8<kType>(group, k);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const float input = x[static_cast<size_t>(r) * n_in + k];
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) acc[r].val[i] = vfmaq_n_f32(acc[r].val[i], w.val[i], input);
    }
  }
}

void WriteOutputs(const LinearOutput& y, int row, int output, int n, const float32x4x2_t& total) {
  float* to = y.y + static_cast<size_t>(row) * y.stride + output;
  float values[kLanes];
  for (int i = 0; i < 2; ++i) vst1q_f32(values + 4 * i, total.val[i]);
  for (int i = 0; i < n; ++i) to[i] = y.add ? to[i] + values[i] : values[i];
}

// Outputs of group g of rows [row, row + n_rows), where add_span(begin, end, acc) adds a span of
// inputs to acc[n_rows]: rule 4's spans. At most kRows rows; one keeps its sums in registers.
template <int kRows, typename AddSpan>
inline void SumSpans(const PackedMatrix& w, int g, int row, int n_rows, const LinearOutput& y,
                     const AddSpan& add_span) {
  if constexpr (kRows == 1) n_rows = 1;
  float32x4x2_t total[kRows];
  for (int begin = 0; begin < w.n_in; begin += kSpan) {
    const int end = Least(begin + kSpan, w.n_in);
    float32x4x2_t acc[kRows];
    for (int r = 0; r < n_rows; ++r) acc[r] = {{vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)}};
    add_span(begin, end, acc);
    for (int r = 0; r < n_rows; ++r) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        total[r].val[i] = begin == 0 ? acc[r].val[i] : vaddq_f32(total[r].val[i], acc[r].val[i]);
      }
    }
  }
  for (int r = 0; r < n_rows; ++r) {
    WriteOutputs(y, row + r, g * kLanes, OutputsOf(w, g, 1), total[r]);
  }
}

template <WeightType kType, typename Quant>
void QuantizedLinear(const PackedMatrix& w, int group_begin, int group_end,
                     const RoundedRows<Quant>& x, int n_rows, const LinearOutput& y) {
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(g);
    for (int row = 0; row < n_rows; row += kQuantizedRows) {
      const int n = Least(n_rows - row, kQuantizedRows);
      const RoundedRows<Quant> in = x.From(static_cast<size_t>(row) * static_cast<size_t>(w.n_in));
      if (n == 1) {
        SumSpans<1>(w, g, row, 1, y, [&](int begin, int end, float32x4x2_t* acc) {
          QuantizedSpan<kType>(group, begin, end, in, w.n_in, 1, acc);
        });
      } else {
        SumSpans<kQuantizedRows>(w, g, row, n, y, [&](int begin, int end, float32x4x2_t* acc) {
          QuantizedSpan<kType>(group, begin, end, in, w.n_in, n, acc);
        });
      }
    }
  }
}

template <WeightType kType>
void FloatLinear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
                 const LinearOutput& y) {
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(g);
    ForTiles<kFloatRows>(x.n_rows, [&]<int kRows>(int row) {
      const float* rows = x.x + static_cast<size_t>(row) * static_cast<size_t>(w.n_in);
      SumSpans<kRows>(w, g, row, kRows, y, [&](int begin, int end, float32x4x2_t* acc) {
        FloatSpan<kType, kRows>(group, begin, end, rows, w.n_in, acc);
      });
    });
  }
}

}  // namespace

void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y) {
  WithTypesOf(w, [&]<WeightType kType, ActivationType kActivation>() {
    if constexpr (kActivation == ActivationType::kF32) {
      FloatLinear<kType>(w, group_begin, group_end, x, y);
    } else if constexpr (kActivation == ActivationType::kInt8) {
      QuantizedLinear<kType>(w, group_begin, group_end, x.narrow, x.n_rows, y);
    } else {
      QuantizedLinear<kType>(w, group_begin, group_end, x.wide, x.n_rows, y);
    }
  });
}

}  // namespace neon
}  // namespace mortar
