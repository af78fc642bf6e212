// Reads packed weights into vectors: quants with one row's four inputs in each lane, scales with
// one row in each lane. What lies where is in weight_types.h.
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include <immintrin.h>

#include "engine/kernels/kernels.h"

namespace mortar {
namespace avx2 {

static inline __m256i Load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

static inline __m256 LoadHalf8(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// The largest quant as it is stored.
consteval int LargestStored(WeightType type) {
  const BlockFormat format = FormatOf(type);
  return (format.nibbles ? 15 : 0) | (format.pairs_at >= 0 ? 3 << format.pairs_at : 0) |
         (format.bit_at >= 0 ? 1 << format.bit_at : 0);
}

// Each byte moved left by n, or right by -n, with bits of its neighbour in those that it leaves.
static inline __m256i Shift(__m256i v, int n) {
  if (n == 0) return v;
  return n > 0 ? _mm256_slli_epi16(v, n) : _mm256_srli_epi16(v, -n);
}

// Quants 4 v to 4 v + 3 of eight rows as they are stored. v: known when this is compiled.
template <WeightType kType>
static inline __m256i StoredQuants(const uint8_t* planes, int v) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  __m256i quants = _mm256_setzero_si256();
  if constexpr (kFormat.nibbles) {
    const __m256i both = Load32(planes + 32 * (v % 4));
    quants = _mm256_and_si256(Shift(both, v < 4 ? 0 : -4), _mm256_set1_epi8(15));
    planes += 4 * 32;
  }
  if constexpr (kFormat.pairs_at >= 0) {
    const __m256i pairs = Shift(Load32(planes + 32 * (v / 4)), kFormat.pairs_at - 2 * (v % 4));
    const __m256i mask = _mm256_set1_epi8(static_cast<char>(3 << kFormat.pairs_at));
    quants = _mm256_or_si256(quants, _mm256_and_si256(pairs, mask));
    planes += 2 * 32;
  }
  if constexpr (kFormat.bit_at >= 0) {
    const __m256i bits = Shift(Load32(planes), kFormat.bit_at - v);
    const __m256i mask = _mm256_set1_epi8(static_cast<char>(1 << kFormat.bit_at));
    quants = _mm256_or_si256(quants, _mm256_and_si256(bits, mask));
  }
  return quants;
}

// The same with a sign, for types that look it up.
template <WeightType kType>
static inline __m256i LookedUpQuants(const uint8_t* planes, int v) {
  static_assert(FormatOf(kType).lookup);
  const __m256i values =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values)));
  return _mm256_shuffle_epi8(values, StoredQuants<kType>(planes, v));
}

// What scales the sub-blocks of one block of the file, eight rows.
template <WeightType kType>
struct Scales {
  __m256 d[ScalesOf(kType)];
  __m256 m[FormatOf(kType).minima ? ScalesOf(kType) : 1];
};

// Byte i of each lane as a float.
static inline __m256 ByteOfLane(__m256i v, int i) {
  const __m256i pick = _mm256_or_si256(_mm256_set1_epi32(static_cast<int>(0x80808000u) | i),
                                       _mm256_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12));
  return _mm256_cvtepi32_ps(_mm256_shuffle_epi8(v, pick));
}

// The eight scales and minima of Q4_K and Q5_K: docs/numerics.md, and LoadSixBitScale of shared.h.
template <WeightType kType>
static inline void LoadSixBitScales(const uint8_t* header, Scales<kType>& out) {
  const __m256 d = LoadHalf8(header);
  const __m256 m = _mm256_xor_ps(LoadHalf8(header + 2 * kLanes), _mm256_set1_ps(-0.0f));
  const __m256i scales = Load32(header + 4 * kLanes);
  const __m256i minima = Load32(header + 8 * kLanes);
  const __m256i both = Load32(header + 12 * kLanes);
  const __m256i six = _mm256_set1_epi8(0x3f);
  const __m256i low = _mm256_set1_epi8(0x0f);
  const __m256i high = _mm256_set1_epi8(0x30);
  const __m256i d_bytes[2] = {
      _mm256_and_si256(scales, six),
      _mm256_or_si256(_mm256_and_si256(both, low), _mm256_and_si256(Shift(scales, -2), high))};
  const __m256i m_bytes[2] = {_mm256_and_si256(minima, six),
                              _mm256_or_si256(_mm256_and_si256(Shift(both, -4), low),
                                              _mm256_and_si256(Shift(minima, -2), high))};
#pragma GCC unroll 8
  for (int b = 0; b < 8; ++b) {
    out.d[b] = _mm256_mul_ps(d, ByteOfLane(d_bytes[b / 4], b % 4));
    out.m[b] = _mm256_mul_ps(m, ByteOfLane(m_bytes[b / 4], b % 4));
  }
}

// The sixteen scales of Q3_K: docs/numerics.md, and SixBitScaleQ3 of shared.h.
static inline void LoadQ3Scales(const uint8_t* header, Scales<WeightType::kQ3_K>& out) {
  const __m256 d = LoadHalf8(header);
  const __m256i first = Load32(header + 2 * kLanes);
  const __m256i second = Load32(header + 6 * kLanes);
  const __m256i upper = Load32(header + 10 * kLanes);
  const __m256i low = _mm256_set1_epi8(0x0f);
  const __m256i high = _mm256_set1_epi8(0x30);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m256i nibbles = Shift(i % 2 == 0 ? first : second, i < 2 ? 0 : -4);
    const __m256i pairs = Shift(upper, 4 - 2 * i);
    const __m256i bytes =
        _mm256_or_si256(_mm256_and_si256(nibbles, low), _mm256_and_si256(pairs, high));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m256 scale = _mm256_sub_ps(ByteOfLane(bytes, j), _mm256_set1_ps(32.0f));
      out.d[4 * i + j] = _mm256_mul_ps(d, scale);
    }
  }
}

// The eight scales of IQ4_XS: SixBitScaleIq4 of shared.h.
static inline void LoadIq4Scales(const uint8_t* header, Scales<WeightType::kIQ4_XS>& out) {
  const __m256 d = LoadHalf8(header);
  const __m256i upper =
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(header + 2 * kLanes)));
  const __m256i lower = Load32(header + 4 * kLanes);
#pragma GCC unroll 8
  for (int b = 0; b < 8; ++b) {
    const __m256i low = _mm256_and_si256(_mm256_srli_epi32(lower, 4 * b), _mm256_set1_epi32(15));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(upper, 2 * b), _mm256_set1_epi32(3));
    const __m256i scale =
        _mm256_sub_epi32(_mm256_or_si256(low, _mm256_slli_epi32(high, 4)), _mm256_set1_epi32(32));
    out.d[b] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale));
  }
}

// The sixteen bytes of Q2_K, a scale below a minimum.
static inline void LoadQ2Scales(const uint8_t* header, Scales<WeightType::kQ2_K>& out) {
  const __m256 d = LoadHalf8(header);
  const __m256 m = _mm256_xor_ps(LoadHalf8(header + 2 * kLanes), _mm256_set1_ps(-0.0f));
  for (int i = 0; i < 16; ++i) {
    const __m256i bytes = _mm256_cvtepu8_epi32(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(header + (4 + i) * kLanes)));
    const __m256i scale = _mm256_and_si256(bytes, _mm256_set1_epi32(15));
    out.d[i] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(scale));
    out.m[i] = _mm256_mul_ps(m, _mm256_cvtepi32_ps(_mm256_srli_epi32(bytes, 4)));
  }
}

template <WeightType kType>
static inline void LoadScales(const uint8_t* header, Scales<kType>& out) {
  if constexpr (kType == WeightType::kQ4_K || kType == WeightType::kQ5_K) {
    LoadSixBitScales<kType>(header, out);
  } else if constexpr (kType == WeightType::kQ2_K) {
    LoadQ2Scales(header, out);
  } else if constexpr (kType == WeightType::kQ3_K) {
    LoadQ3Scales(header, out);
  } else if constexpr (kType == WeightType::kIQ4_XS) {
    LoadIq4Scales(header, out);
  } else if constexpr (kType == WeightType::kQ6_K) {
    const __m256 d = LoadHalf8(header);
    for (int i = 0; i < ScalesOf(kType); ++i) {
      const __m128i bytes =
          _mm_loadl_epi64(reinterpret_cast<const __m128i*>(header + (2 + i) * kLanes));
      out.d[i] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
    }
  } else {
    out.d[0] = LoadHalf8(header);
    if constexpr (FormatOf(kType).minima) out.m[0] = LoadHalf8(header + 2 * kLanes);
  }
}

}  // namespace avx2
}  // namespace mortar
