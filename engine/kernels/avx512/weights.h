// Reads packed weights of two groups into one vector, the first group in its lower half: quants
// with one row's four inputs in each lane, scales with one row in each lane. What lies where is in
// weight_types.h.
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include <immintrin.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/prefetch.h"

namespace mortar {
namespace avx512 {

// The same place in two groups.
struct Pair {
  const uint8_t* first;
  const uint8_t* second;

  Pair operator+(size_t bytes) const { return {first + bytes, second + bytes}; }
};

static inline __m256i Load256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Found by ForBlocks (linear_tile.h).
static inline void PrefetchAhead(Pair p, size_t bytes) {
  mortar::PrefetchAhead(p.first, bytes);
  mortar::PrefetchAhead(p.second, bytes);
}

static inline __m512i Load32(Pair p) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(Load256(p.first)), Load256(p.second), 1);
}

// 16 bytes of each group.
static inline __m256i Load16(Pair p) {
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p.first));
  const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p.second));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

// 8 bytes of each group.
static inline __m128i Load8(Pair p) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p.first)),
                            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p.second)));
}

static inline __m512 LoadHalves(Pair p) { return _mm512_cvtph_ps(Load16(p)); }

// Each byte moved left by n, or right by -n, with bits of its neighbour in those that it leaves.
static inline __m512i Shift(__m512i v, int n) {
  if (n == 0) return v;
  return n > 0 ? _mm512_slli_epi16(v, static_cast<unsigned>(n))
               : _mm512_srli_epi16(v, static_cast<unsigned>(-n));
}

static inline __m512i And(__m512i v, int byte) {
  return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(byte)));
}

// Quants 4 v to 4 v + 3 of sixteen rows as they are stored. v: known when this is compiled.
template <WeightType kType>
static inline __m512i StoredQuants(Pair planes, int v) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  __m512i quants = _mm512_setzero_si512();
  if constexpr (kFormat.nibbles) {
    quants = And(Shift(Load32(planes + 32 * (static_cast<size_t>(v) % 4)), v < 4 ? 0 : -4), 15);
    planes = planes + 4 * 32;
  }
  if constexpr (kFormat.pairs_at >= 0) {
    const __m512i pairs = Load32(planes + 32 * (static_cast<size_t>(v) / 4));
    quants = _mm512_or_si512(
        quants, And(Shift(pairs, kFormat.pairs_at - 2 * (v % 4)), 3 << kFormat.pairs_at));
    planes = planes + 2 * 32;
  }
  if constexpr (kFormat.bit_at >= 0) {
    const __m512i bits = Shift(Load32(planes), kFormat.bit_at - v);
    quants = _mm512_or_si512(quants, And(bits, 1 << kFormat.bit_at));
  }
  return quants;
}

// Whether the quants of a type have a sign once they are read.
consteval bool HasSign(WeightType type) {
  return type == WeightType::kQ8_0 || FormatOf(type).lookup;
}

// Quants 4 v to 4 v + 3 of sixteen rows, looked up where the type says so.
template <WeightType kType>
static inline __m512i Quants(Pair planes, int v) {
  if constexpr (kType == WeightType::kQ8_0) {
    return Load32(planes + 32 * static_cast<size_t>(v));
  } else if constexpr (FormatOf(kType).lookup) {
    const __m512i values =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values)));
    return _mm512_shuffle_epi8(values, StoredQuants<kType>(planes, v));
  } else {
    return StoredQuants<kType>(planes, v);
  }
}

// What scales the sub-blocks of one block of the file, sixteen rows.
template <WeightType kType>
struct Scales {
  __m512 d[ScalesOf(kType)];
  __m512 m[FormatOf(kType).minima ? ScalesOf(kType) : 1];
};

static inline __m512 Negative(__m512 v) { return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f)); }

// Byte i of each lane as a float.
static inline __m512 ByteOfLane(__m512i v, int i) {
  const __m512i byte = _mm512_srli_epi32(v, static_cast<unsigned>(8 * i));
  return _mm512_cvtepi32_ps(_mm512_and_si512(byte, _mm512_set1_epi32(255)));
}

// The eight scales and minima of Q4_K and Q5_K: docs/numerics.md, and LoadSixBitScale of shared.h.
template <WeightType kType>
static inline void LoadSixBitScales(Pair header, Scales<kType>& out) {
  const __m512 d = LoadHalves(header);
  const __m512 m = Negative(LoadHalves(header + 2 * kLanes));
  const __m512i scales = Load32(header + 4 * kLanes);
  const __m512i minima = Load32(header + 8 * kLanes);
  const __m512i both = Load32(header + 12 * kLanes);
  const __m512i d_bytes[2] = {And(scales, 0x3f),
                              _mm512_or_si512(And(both, 0x0f), And(Shift(scales, -2), 0x30))};
  const __m512i m_bytes[2] = {
      And(minima, 0x3f), _mm512_or_si512(And(Shift(both, -4), 0x0f), And(Shift(minima, -2), 0x30))};
#pragma GCC unroll 8
  for (int b = 0; b < 8; ++b) {
    out.d[b] = _mm512_mul_ps(d, ByteOfLane(d_bytes[b / 4], b % 4));
    out.m[b] = _mm512_mul_ps(m, ByteOfLane(m_bytes[b / 4], b % 4));
  }
}

// The sixteen scales of Q3_K: docs/numerics.md, and SixBitScaleQ3 of shared.h.
static inline void LoadQ3Scales(Pair header, Scales<WeightType::kQ3_K>& out) {
  const __m512 d = LoadHalves(header);
  const __m512i lower[2] = {Load32(header + 2 * kLanes), Load32(header + 6 * kLanes)};
  const __m512i upper = Load32(header + 10 * kLanes);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i bytes = _mm512_or_si512(And(Shift(lower[i % 2], i < 2 ? 0 : -4), 0x0f),
                                          And(Shift(upper, 4 - 2 * i), 0x30));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512 scale = _mm512_sub_ps(ByteOfLane(bytes, j), _mm512_set1_ps(32.0f));
      out.d[4 * i + j] = _mm512_mul_ps(d, scale);
    }
  }
}

// The eight scales of IQ4_XS: SixBitScaleIq4 of shared.h.
static inline void LoadIq4Scales(Pair header, Scales<WeightType::kIQ4_XS>& out) {
  const __m512 d = LoadHalves(header);
  const __m512i upper = _mm512_cvtepu16_epi32(Load16(header + 2 * kLanes));
  const __m512i lower = Load32(header + 4 * kLanes);
#pragma GCC unroll 8
  for (int b = 0; b < 8; ++b) {
    const __m512i low = _mm512_and_si512(_mm512_srli_epi32(lower, static_cast<unsigned>(4 * b)),
                                         _mm512_set1_epi32(15));
    const __m512i high = _mm512_and_si512(_mm512_srli_epi32(upper, static_cast<unsigned>(2 * b)),
                                          _mm512_set1_epi32(3));
    const __m512i scale =
        _mm512_sub_epi32(_mm512_or_si512(low, _mm512_slli_epi32(high, 4)), _mm512_set1_epi32(32));
    out.d[b] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale));
  }
}

// The sixteen bytes of Q2_K, a scale below a minimum.
static inline void LoadQ2Scales(Pair header, Scales<WeightType::kQ2_K>& out) {
  const __m512 d = LoadHalves(header);
  const __m512 m = Negative(LoadHalves(header + 2 * kLanes));
  for (int i = 0; i < 16; ++i) {
    const __m512i bytes = _mm512_cvtepu8_epi32(Load8(header + static_cast<size_t>(4 + i) * kLanes));
    const __m512i scale = _mm512_and_si512(bytes, _mm512_set1_epi32(15));
    out.d[i] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale));
    out.m[i] = _mm512_mul_ps(m, _mm512_cvtepi32_ps(_mm512_srli_epi32(bytes, 4)));
  }
}

template <WeightType kType>
static inline void LoadScales(Pair header, Scales<kType>& out) {
  if constexpr (kType == WeightType::kQ4_K || kType == WeightType::kQ5_K) {
    LoadSixBitScales<kType>(header, out);
  } else if constexpr (kType == WeightType::kQ2_K) {
    LoadQ2Scales(header, out);
  } else if constexpr (kType == WeightType::kQ3_K) {
    LoadQ3Scales(header, out);
  } else if constexpr (kType == WeightType::kIQ4_XS) {
    LoadIq4Scales(header, out);
  } else if constexpr (kType == WeightType::kQ6_K) {
    const __m512 d = LoadHalves(header);
    for (int i = 0; i < ScalesOf(kType); ++i) {
      const __m128i bytes = Load8(header + static_cast<size_t>(2 + i) * kLanes);
      out.d[i] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
    }
  } else {
    out.d[0] = LoadHalves(header);
    if constexpr (FormatOf(kType).minima) out.m[0] = LoadHalves(header + 2 * kLanes);
  }
}

}  // namespace avx512
}  // namespace mortar
