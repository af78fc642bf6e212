// One 32-input block of eight output rows times the same block of a panel's rows. Types differ in
// how quants come out of their planes, in what scales them, and in how many products fit a 16-bit
// sum, all known when it is compiled.
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "engine/kernels/avx2/panel.h"
#include "engine/kernels/avx2/weights.h"

namespace mortar {
namespace avx2 {

// Four bytes of a row, in every lane.
static inline __m256i Broadcast4(const int8_t* p) {
  int32_t v;
  std::memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}

// Four 16-bit values of a row, in every half lane.
static inline __m256i Broadcast8(const int16_t* p) {
  int64_t v;
  std::memcpy(&v, p, 8);
  return _mm256_set1_epi64x(v);
}

// The weights of one block of a group: its planes, and its scales from `first` on.
template <WeightType kType>
struct Block {
  const uint8_t* planes;
  const Scales<kType>& scales;
  int first;
};

// acc + dot * (d * the block's scale), and what the weights' offset adds: eight outputs of row r
// for the inputs of one scale.
template <WeightType kType, typename Inputs>
static inline __m256 Fold(const Block<kType>& block, int part, __m256i dot, const Inputs& x, int r,
                          __m256 acc) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  if constexpr (kFormat.zero != 0) {
    dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(x.template Zero<kType>(part, r)));
  }
  const int scale = block.first + part;
  acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot),
                        _mm256_mul_ps(block.scales.d[scale], _mm256_set1_ps(x.Scale(r))), acc);
  if constexpr (kFormat.minima) {
    acc = _mm256_fmadd_ps(block.scales.m[scale],
                          _mm256_set1_ps(x.template ScaledSum<kType>(part, r)), acc);
  }
  return acc;
}

// Products that fit one sum of 16 bits: each is of two inputs, 2 * 127 * the largest weight.
consteval int ProductsThatFit(WeightType type) { return 32767 / (2 * 127 * LargestStored(type)); }

// Inputs [4 v, 4 v + 8) in sums of 16 bits, of neighbouring inputs.
static inline __m256i MultiplyPair(const __m256i* weights, const int8_t* q, int v) {
  return _mm256_add_epi16(_mm256_maddubs_epi16(weights[v], Broadcast4(q + 4 * v)),
                          _mm256_maddubs_epi16(weights[v + 1], Broadcast4(q + 4 * v + 4)));
}

static inline __m256i Widen(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

// The dot product of inputs [4 v, 4 v + 16).
template <WeightType kType>
static inline __m256i MultiplyHalf(const __m256i* weights, const int8_t* q, int v) {
  static_assert(ProductsThatFit(kType) >= 2);
  const __m256i first = MultiplyPair(weights, q, v);
  const __m256i second = MultiplyPair(weights, q, v + 2);
  if constexpr (ProductsThatFit(kType) >= 4) return Widen(_mm256_add_epi16(first, second));
  return _mm256_add_epi32(Widen(first), Widen(second));
}

// The dot product of all 32 inputs.
template <WeightType kType>
static inline __m256i MultiplyWhole(const __m256i* weights, const int8_t* q) {
  if constexpr (ProductsThatFit(kType) >= 8) {
    const __m256i first =
        _mm256_add_epi16(MultiplyPair(weights, q, 0), MultiplyPair(weights, q, 2));
    const __m256i second =
        _mm256_add_epi16(MultiplyPair(weights, q, 4), MultiplyPair(weights, q, 6));
    return Widen(_mm256_add_epi16(first, second));
  }
  return _mm256_add_epi32(MultiplyHalf<kType>(weights, q, 0), MultiplyHalf<kType>(weights, q, 4));
}

// The dot product of all 32 inputs with weights that have a sign, which is moved to the rows: a
// product of two inputs is at most 2 * 127 * 127, and there is no room for another.
static inline __m256i MultiplySigned(const __m256i* weights, const int8_t* q) {
  __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) {
    const __m256i x = _mm256_sign_epi8(Broadcast4(q + 4 * v), weights[v]);
    const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(weights[v]), x);
    sum = _mm256_add_epi32(sum, Widen(products));
  }
  return sum;
}

// Adds a block to acc[n_rows], int8 rows.
template <WeightType kType, typename Inputs>
[[gnu::always_inline]] static inline void MultiplyNarrow(const Block<kType>& block, const Inputs& x,
                                                         int n_rows, __m256* acc) {
  __m256i weights[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) {
    if constexpr (FormatOf(kType).lookup) {
      weights[v] = LookedUpQuants<kType>(block.planes, v);
    } else {
      weights[v] = StoredQuants<kType>(block.planes, v);
    }
  }
  for (int r = 0; r < n_rows; ++r) {
    const int8_t* q = x.Quants(r);
    if constexpr (FormatOf(kType).lookup) {
      acc[r] = Fold(block, 0, MultiplySigned(weights, q), x, r, acc[r]);
    } else if constexpr (PartsOf(kType) == 1) {
      acc[r] = Fold(block, 0, MultiplyWhole<kType>(weights, q), x, r, acc[r]);
    } else {
      acc[r] = Fold(block, 0, MultiplyHalf<kType>(weights, q, 0), x, r, acc[r]);
      acc[r] = Fold(block, 1, MultiplyHalf<kType>(weights, q, 4), x, r, acc[r]);
    }
  }
}

// Four inputs of eight rows in 16 bits, in two vectors whose dot products JoinHalves puts in order.
struct WideWeights {
  __m256i low, high;
};
template <WeightType kType>
static inline WideWeights WidenWeights(const uint8_t* planes, int v) {
  const __m256i zero = _mm256_setzero_si256();
  if constexpr (kType == WeightType::kQ8_0) {
    const auto* quants = reinterpret_cast<const __m128i*>(planes + 32 * v);
    return {_mm256_cvtepi8_epi16(_mm_loadu_si128(quants)),
            _mm256_cvtepi8_epi16(_mm_loadu_si128(quants + 1))};
  } else if constexpr (FormatOf(kType).lookup) {  // into the upper bytes, and down with the sign
    const __m256i quants = LookedUpQuants<kType>(planes, v);
    return {_mm256_srai_epi16(_mm256_unpacklo_epi8(zero, quants), 8),
            _mm256_srai_epi16(_mm256_unpackhi_epi8(zero, quants), 8)};
  } else {
    const __m256i quants = StoredQuants<kType>(planes, v);
    return {_mm256_unpacklo_epi8(quants, zero), _mm256_unpackhi_epi8(quants, zero)};
  }
}

// Each row has two sums, in neighbouring lanes.
template <WeightType kType>
static inline __m256i JoinHalves(__m256i low, __m256i high) {
  const __m256i joined = _mm256_hadd_epi32(low, high);
  if constexpr (kType != WeightType::kQ8_0) return joined;
  return _mm256_permute4x64_epi64(joined, _MM_SHUFFLE(3, 1, 2, 0));  // was 0 1 4 5 | 2 3 6 7
}

// Rows [r, r + kAtOnce) of MultiplyWide, inputs of one part.
template <WeightType kType, int kAtOnce, typename Inputs>
[[gnu::always_inline]] static inline void MultiplyWidePart(const Block<kType>& block, int part,
                                                           const WideWeights* weights,
                                                           const Inputs& x, int r, __m256* acc) {
  constexpr int kVectors = 8 / PartsOf(kType);
  __m256i low[kAtOnce];
  __m256i high[kAtOnce];
  for (int i = 0; i < kAtOnce; ++i) low[i] = high[i] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int v = part * kVectors; v < (part + 1) * kVectors; ++v) {
    for (int i = 0; i < kAtOnce; ++i) {
      const __m256i q = Broadcast8(x.Quants(r + i) + 4 * v);
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(weights[v].low, q));
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(weights[v].high, q));
    }
  }
  for (int i = 0; i < kAtOnce; ++i) {
    const __m256i dot = JoinHalves<kType>(low[i], high[i]);
    acc[r + i] = Fold(block, part, dot, x, r + i, acc[r + i]);
  }
}

// The same with int16 rows. A product of two inputs is at most 2 * 128 * 32767, and the sum of all
// 32 stays below 2^28.
template <WeightType kType, typename Inputs>
[[gnu::always_inline]] static inline void MultiplyWide(const Block<kType>& block, const Inputs& x,
                                                       int n_rows, __m256* acc) {
  WideWeights weights[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) weights[v] = WidenWeights<kType>(block.planes, v);
  int r = 0;
  for (; r + 2 <= n_rows; r += 2) {
#pragma GCC unroll 2
    for (int part = 0; part < PartsOf(kType); ++part) {
      MultiplyWidePart<kType, 2>(block, part, weights, x, r, acc);
    }
  }
  if (r < n_rows) {
#pragma GCC unroll 2
    for (int part = 0; part < PartsOf(kType); ++part) {
      MultiplyWidePart<kType, 1>(block, part, weights, x, r, acc);
    }
  }
}

}  // namespace avx2
}  // namespace mortar
