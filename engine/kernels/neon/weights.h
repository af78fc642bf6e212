// Reads packed weights into vectors: quants with one row's four inputs in each lane, scales with
// one row in each lane; the rows 0 to 3 of a group in the first of two vectors, 4 to 7 in the
// second. What lies where is in weight_types.h.
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include <arm_neon.h>

#include "engine/kernels/kernels.h"

namespace mortar {
namespace neon {

// Each byte moved left by kBits, or right by -kBits.
template <int kBits>
static inline uint8x16_t Shift(uint8x16_t v) {
  if constexpr (kBits > 0) {
    return vshlq_n_u8(v, kBits);
  } else if constexpr (kBits < 0) {
    return vshrq_n_u8(v, -kBits);
  } else {
    return v;
  }
}

// Rows 4 kHalf to 4 kHalf + 3 of vector `v` of a plane.
template <int kHalf>
static inline uint8x16_t LoadPlane(const uint8_t* plane, int v) {
  return vld1q_u8(plane + 32 * v + 16 * kHalf);
}

// Quants 4 kV to 4 kV + 3 of four rows as they are stored.
template <WeightType kType, int kV, int kHalf>
static inline uint8x16_t StoredQuants(const uint8_t* planes) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  uint8x16_t quants = vdupq_n_u8(0);
  if constexpr (kFormat.nibbles) {
    const uint8x16_t both = LoadPlane<kHalf>(planes, kV % 4);
    quants = kV < 4 ? vandq_u8(both, vdupq_n_u8(15)) : Shift<-4>(both);
    planes += 4 * 32;
  }
  if constexpr (kFormat.pairs_at >= 0) {
    const uint8x16_t pairs =
        Shift<kFormat.pairs_at - 2 * (kV % 4)>(LoadPlane<kHalf>(planes, kV / 4));
    quants = vorrq_u8(quants, vandq_u8(pairs, vdupq_n_u8(3 << kFormat.pairs_at)));
    planes += 2 * 32;
  }
  if constexpr (kFormat.bit_at >= 0) {
    const uint8x16_t bits = Shift<kFormat.bit_at - kV>(LoadPlane<kHalf>(planes, 0));
    quants = vorrq_u8(quants, vandq_u8(bits, vdupq_n_u8(1 << kFormat.bit_at)));
  }
  return quants;
}

// The same as a product takes them: looked up, or with the type's `zero` still to be taken off,
// which is done once for a row's sum.
template <WeightType kType, int kV, int kHalf>
static inline int8x16_t Quants(const uint8_t* planes) {
  if constexpr (kType == WeightType::kQ8_0) {
    return vreinterpretq_s8_u8(LoadPlane<kHalf>(planes, kV));
  } else if constexpr (FormatOf(kType).lookup) {
    return vqtbl1q_s8(vld1q_s8(kIq4Values), StoredQuants<kType, kV, kHalf>(planes));
  } else {
    return vreinterpretq_s8_u8(StoredQuants<kType, kV, kHalf>(planes));
  }
}

// The quants of 32 inputs and eight rows: quants 4 v to 4 v + 3 in of[v].
struct BlockQuants {
  int8x16x2_t of[8];
};
template <WeightType kType, int kV>
static inline int8x16x2_t QuantsOfRows(const uint8_t* planes) {
  return {{Quants<kType, kV, 0>(planes), Quants<kType, kV, 1>(planes)}};
}
// Always inline, here and in linear.cc: a call would pass the quants through memory.
template <WeightType kType>
[[gnu::always_inline]] static inline BlockQuants UnpackQuants(const uint8_t* planes) {
  return {{QuantsOfRows<kType, 0>(planes), QuantsOfRows<kType, 1>(planes),
           QuantsOfRows<kType, 2>(planes), QuantsOfRows<kType, 3>(planes),
           QuantsOfRows<kType, 4>(planes), QuantsOfRows<kType, 5>(planes),
           QuantsOfRows<kType, 6>(planes), QuantsOfRows<kType, 7>(planes)}};
}

// What scales the sub-blocks of one block of the file, eight rows.
template <WeightType kType>
struct Scales {
  float32x4x2_t d[ScalesOf(kType)];
  float32x4x2_t m[FormatOf(kType).minima ? ScalesOf(kType) : 1];
};

static inline float32x4x2_t LoadHalf8(const uint8_t* p) {
  const float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(p));
  return {{vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)}};
}

static inline float32x4x2_t Negated(float32x4x2_t v) {
  return {{vnegq_f32(v.val[0]), vnegq_f32(v.val[1])}};
}

static inline uint32x4x2_t LoadWords8(const uint8_t* p) {
  return {{vreinterpretq_u32_u8(vld1q_u8(p)), vreinterpretq_u32_u8(vld1q_u8(p + 16))}};
}

static inline uint32x4x2_t Widen8(uint16x8_t v) {
  return {{vmovl_u16(vget_low_u16(v)), vmovl_u16(vget_high_u16(v))}};
}

// d times an integer, which is exact.
static inline float32x4_t Scaled(float32x4_t d, int32x4_t scale) {
  return vmulq_f32(d, vcvtq_f32_s32(scale));
}

// `bits` bits of each lane, from bit `at` on, moved to bit `to`.
static inline int32x4_t Field(uint32x4_t v, int at, int bits, int to = 0) {
  const uint32x4_t field = vandq_u32(vshlq_u32(v, vdupq_n_s32(-at)), vdupq_n_u32((1u << bits) - 1));
  return vreinterpretq_s32_u32(vshlq_u32(field, vdupq_n_s32(to)));
}

// The eight scales and minima of Q4_K and Q5_K: docs/numerics.md, and LoadSixBitScale of shared.h.
template <WeightType kType>
static inline void LoadSixBitScales(const uint8_t* header, Scales<kType>& out) {
  const float32x4x2_t d = LoadHalf8(header);
  const float32x4x2_t m = Negated(LoadHalf8(header + 2 * kLanes));
  const uint32x4x2_t scales = LoadWords8(header + 4 * kLanes);
  const uint32x4x2_t minima = LoadWords8(header + 8 * kLanes);
  const uint32x4x2_t both = LoadWords8(header + 12 * kLanes);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    for (int b = 0; b < 4; ++b) {
      const int at = 8 * b;
      out.d[b].val[i] = Scaled(d.val[i], Field(scales.val[i], at, 6));
      out.m[b].val[i] = Scaled(m.val[i], Field(minima.val[i], at, 6));
      const int32x4_t scale =
          vorrq_s32(Field(both.val[i], at, 4), Field(scales.val[i], at + 6, 2, 4));
      const int32x4_t minimum =
          vorrq_s32(Field(both.val[i], at + 4, 4), Field(minima.val[i], at + 6, 2, 4));
      out.d[4 + b].val[i] = Scaled(d.val[i], scale);
      out.m[4 + b].val[i] = Scaled(m.val[i], minimum);
    }
  }
}

// The sixteen scales of Q3_K: docs/numerics.md, and SixBitScaleQ3 of shared.h.
static inline void LoadQ3Scales(const uint8_t* header, Scales<WeightType::kQ3_K>& out) {
  const float32x4x2_t d = LoadHalf8(header);
  const uint32x4x2_t lower[2] = {LoadWords8(header + 2 * kLanes), LoadWords8(header + 6 * kLanes)};
  const uint32x4x2_t upper = LoadWords8(header + 10 * kLanes);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    for (int s = 0; s < 16; ++s) {
      const int byte = 8 * (s % 4);
      const int32x4_t low = Field(lower[s / 4 % 2].val[i], byte + s / 8 * 4, 4);
      const int32x4_t high = Field(upper.val[i], byte + s / 4 * 2, 2, 4);
      out.d[s].val[i] = Scaled(d.val[i], vsubq_s32(vorrq_s32(low, high), vdupq_n_s32(32)));
    }
  }
}

// The eight scales of IQ4_XS: SixBitScaleIq4 of shared.h.
static inline void LoadIq4Scales(const uint8_t* header, Scales<WeightType::kIQ4_XS>& out) {
  const float32x4x2_t d = LoadHalf8(header);
  const uint32x4x2_t upper = Widen8(vreinterpretq_u16_u8(vld1q_u8(header + 2 * kLanes)));
  const uint32x4x2_t lower = LoadWords8(header + 4 * kLanes);
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    for (int b = 0; b < 8; ++b) {
      const int32x4_t scale =
          vorrq_s32(Field(lower.val[i], 4 * b, 4), Field(upper.val[i], 2 * b, 2, 4));
      out.d[b].val[i] = Scaled(d.val[i], vsubq_s32(scale, vdupq_n_s32(32)));
    }
  }
}

// The sixteen bytes of Q2_K, a scale below a minimum.
static inline void LoadQ2Scales(const uint8_t* header, Scales<WeightType::kQ2_K>& out) {
  const float32x4x2_t d = LoadHalf8(header);
  const float32x4x2_t m = Negated(LoadHalf8(header + 2 * kLanes));
  for (int s = 0; s < 16; ++s) {
    const uint32x4x2_t bytes = Widen8(vmovl_u8(vld1_u8(header + (4 + s) * kLanes)));
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      out.d[s].val[i] = Scaled(d.val[i], Field(bytes.val[i], 0, 4));
      out.m[s].val[i] = Scaled(m.val[i], Field(bytes.val[i], 4, 4));
    }
  }
}

// The sixteen bytes of Q6_K, which have a sign.
static inline void LoadQ6Scales(const uint8_t* header, Scales<WeightType::kQ6_K>& out) {
  const float32x4x2_t d = LoadHalf8(header);
  for (int s = 0; s < 16; ++s) {
    const int16x8_t bytes = vmovl_s8(vreinterpret_s8_u8(vld1_u8(header + (2 + s) * kLanes)));
    out.d[s].val[0] = Scaled(d.val[0], vmovl_s16(vget_low_s16(bytes)));
    out.d[s].val[1] = Scaled(d.val[1], vmovl_s16(vget_high_s16(bytes)));
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
    LoadQ6Scales(header, out);
  } else {
    out.d[0] = LoadHalf8(header);
    if constexpr (FormatOf(kType).minima) out.m[0] = LoadHalf8(header + 2 * kLanes);
  }
}

}  // namespace neon
}  // namespace mortar
