// KV and attention with NEON: scores hold one key in a lane, values one element of the head. What
// is read of the KV serves several heads, and each of their sums still runs in its own order.
#include <arm_neon.h>

#include "engine/kernels/attention_spans.h"
#include "engine/kernels/neon/exp.h"
#include "engine/kernels/neon/neon.h"
#include "engine/kernels/neon/tanh.h"

namespace mortar {
namespace neon {
namespace {

template <KvType kType>
inline float32x4_t LoadKv4(const uint8_t* base, size_t at) {
  if constexpr (kType == KvType::kF16) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(base + 2 * at)));
  } else {
    return vreinterpretq_f32_u8(vld1q_u8(base + 4 * at));
  }
}

// Four quants of q8_0, not yet scaled.
inline float32x4_t LoadQuants4(const uint8_t* quants) {
  int32_t four;
  std::memcpy(&four, quants, 4);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

// Fours of keys that are taken at once, a multiple of the two that a block of eight has; with
// kHeadsAtOnce heads their sums take most of the registers.
constexpr int kFours = 8;

// dot[h][i] += q of head h times elements [begin, end) of the i-th four keys; load(i, d) gives
// element d of them.
template <int kHeads, int kCount, typename Load>
inline void AddDotProducts(const AttendArgs& a, int begin, int end, const Load& load,
                           float32x4_t (&dot)[kHeads][kCount]) {
  for (int d = begin; d < end; ++d) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      const float32x4_t key = load(i, d);

#pragma GCC unroll 3
      for (int h = 0; h < kHeads; ++h) {
        dot[h][i] = vfmaq_n_f32(dot[h][i], key, a.q[h * a.shape.head_dim + d]);
      }
    }
  }
}

// dot[h][i] = q of head h times the keys [p + 4 i, p + 4 i + 4).  p: a multiple of 8.
template <KvType kType, int kHeads, int kCount>
inline void DotProducts(const AttendArgs& a, int p, float32x4_t (&dot)[kHeads][kCount]) {
  const int head_dim = a.shape.head_dim;
  const uint8_t* eights[kCount];  // the eight keys that a four is half of

#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    const int at = p + i / 2 * 8;
    eights[i] = a.pages[at / kKvPagePositions] + a.layer_offset +
                KeysAt(a.shape, a.kv_head, at % kKvPagePositions);

#pragma GCC unroll 3
    for (int h = 0; h < kHeads; ++h) dot[h][i] = vdupq_n_f32(0.0f);
  }
  if constexpr (kType == KvType::kQ8_0) {
    for (int first = 0; first < head_dim; first += kBlock) {
      float32x4_t scale[kCount];
      const size_t block = static_cast<size_t>(first) / kBlock * 8 * kKvBlockBytes;
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
        scale[i] = LoadKv4<KvType::kF16>(eights[i] + block, static_cast<size_t>(i % 2) * 4);
      }
      const auto load = [&](int i, int d) {
        const uint8_t* quants = eights[i] + block + 16 + static_cast<size_t>(d - first) * 8;
        return vmulq_f32(scale[i], LoadQuants4(quants + i % 2 * 4));
      };
      AddDotProducts(a, first, first + kBlock, load, dot);
    }
  } else {
    const auto load = [&](int i, int d) {
      return LoadKv4<kType>(eights[i], static_cast<size_t>(d) * 8 + static_cast<size_t>(i % 2) * 4);
    };
    AddDotProducts(a, 0, head_dim, load, dot);
  }
}

// The scores of four keys from `p` on; -infinity where one is not seen.
inline float32x4_t ScoresOf(const AttendArgs& a, const SpanKeys& keys, int p, float32x4_t dot) {
  static constexpr int32_t kLane[4] = {0, 1, 2, 3};
  dot = vmulq_n_f32(dot, a.scale);
  if (a.cap > 0) dot = SoftCap4(dot, vdupq_n_f32(a.cap));
  const int32x4_t position = vaddq_s32(vdupq_n_s32(p), vld1q_s32(kLane));
  const uint32x4_t seen = vandq_u32(vcltq_s32(position, vdupq_n_s32(keys.end)),
                                    vcgeq_s32(position, vdupq_n_s32(keys.from)));
  return vbslq_f32(seen, dot, vdupq_n_f32(-__builtin_inff()));
}

// The same of kCount fours and all heads, stored, and taken into `max`, where NaN counts for
// nothing.
template <KvType kType, int kHeads, int kCount>
inline void ScoreFours(const AttendArgs& a, const SpanKeys& keys, int p,
                       float32x4_t (&max)[kHeads]) {
  float32x4_t dot[kHeads][kCount];
  DotProducts<kType>(a, p, dot);

#pragma GCC unroll 3
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      const float32x4_t scores = ScoresOf(a, keys, p + 4 * i, dot[h][i]);
      vst1q_f32(a.scores + h * kSpan + (p + 4 * i - keys.begin), scores);
      max[h] = vmaxnmq_f32(max[h], scores);
    }
  }
}

// What the walks of attention_spans.h ask of an instruction set.
struct Vectors {
  static constexpr int kWidth = 4;  // floats of a vector
  // Vectors of a head's values whose sums are held at once.
  static constexpr int AtOnce(int n_heads) { return n_heads == 1 ? 16 : 8; }

  // Scores of keys [aligned, end) of each head, and the largest; those that are not seen, and the
  // rest of the last block of 8, are -infinity.
  template <KvType kType, int kHeads>
  static void Scores(const AttendArgs& a, const SpanKeys& keys, float (&largest)[kHeads]) {
    float32x4_t max[kHeads];
    for (int h = 0; h < kHeads; ++h) max[h] = vdupq_n_f32(-__builtin_inff());
    int p = keys.aligned;
    for (; p + 4 * (kFours - 2) < keys.end; p += 4 * kFours) {
      ScoreFours<kType, kHeads, kFours>(a, keys, p, max);
    }
    for (; p < keys.end; p += 8) ScoreFours<kType, kHeads, 2>(a, keys, p, max);
    for (int h = 0; h < kHeads; ++h) largest[h] = vmaxnmvq_f32(max[h]);
  }

  // scores := exp(scores - max); their sum by rule 5. Those that are not seen hold -infinity and
  // become exactly 0, which adds nothing.
  static float ExpAndSum(float* scores, int n, float max) {
    float32x4_t partial[4];
    for (float32x4_t& sum : partial) sum = vdupq_n_f32(0.0f);
    for (int i = 0; i < n; i += 16) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        float* four = scores + i + 4 * j;
        if (i + 4 * j >= n) break;
        const float32x4_t e = Exp4(vsubq_f32(vld1q_f32(four), vdupq_n_f32(max)));
        vst1q_f32(four, e);
        partial[j] = vaddq_f32(partial[j], e);
      }
    }
    float folded[16];
    for (int i = 0; i < 4; ++i) vst1q_f32(folded + 4 * i, partial[i]);
    return FoldSixteen(folded);
  }

  // out[h][first + kVectors * 4] = sum of e v over the keys seen, of each head. In q8_0 eight
  // vectors share a scale: `first` is a multiple of 32, or kVectors is 1.
  template <KvType kType, int kHeads, int kVectors>
  static void WeighValues(const AttendArgs& a, const SpanKeys& keys, int first, float* out) {
    const int head_dim = a.shape.head_dim;
    float32x4_t acc[kHeads][kVectors];

#pragma GCC unroll 3
    for (auto& of_head : acc) {
#pragma GCC unroll 16
      for (float32x4_t& sum : of_head) sum = vdupq_n_f32(0.0f);
    }
    for (int p = keys.from; p < keys.end; ++p) {
      const uint8_t* v = ValueOf(a, p);
      [[maybe_unused]] float32x4_t scale = vdupq_n_f32(0.0f);

#pragma GCC unroll 16
      for (int i = 0; i < kVectors; ++i) {
        const auto at = static_cast<size_t>(first + 4 * i);
        float32x4_t value;
        if constexpr (kType == KvType::kQ8_0) {
          const uint8_t* block = v + at / kBlock * kKvBlockBytes;
          if (i % 8 == 0) scale = vdupq_n_f32(HalfToFloat(LoadU16(block)));
          value = vmulq_f32(scale, LoadQuants4(block + 2 + at % kBlock));
        } else {
          value = LoadKv4<kType>(v, at);
        }

#pragma GCC unroll 3
        for (int h = 0; h < kHeads; ++h) {
          acc[h][i] = vfmaq_n_f32(acc[h][i], value, a.scores[h * kSpan + p - keys.begin]);
        }
      }
    }

#pragma GCC unroll 3
    for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 16
      for (int i = 0; i < kVectors; ++i) vst1q_f32(out + h * head_dim + first + 4 * i, acc[h][i]);
    }
  }

  // Four values as they are stored.
  template <KvType kType>
  static void StoreVector(uint8_t* base, size_t at, const float* values) {
    const float32x4_t v = vld1q_f32(values);
    if constexpr (kType == KvType::kF16) {
      vst1_u8(base + 2 * at, vreinterpret_u8_f16(vcvt_f16_f32(v)));
    } else {
      vst1q_u8(base + 4 * at, vreinterpretq_u8_f32(v));
    }
  }

  template <KvType kType>
  static void StoreOne(uint8_t* base, size_t at, float v) {
    if constexpr (kType == KvType::kF16) {
      const uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(v)));
      const uint16_t half = vget_lane_u16(halves, 0);
      std::memcpy(base + 2 * at, &half, 2);
    } else {
      std::memcpy(base + 4 * at, &v, 4);
    }
  }
};

}  // namespace

void StoreKv(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v) {
  StoreKvWith<Vectors>(shape, layer, slot, k, v, Quantize);
}

void Attend(const AttendArgs& args) { AttendWith<Vectors>(args); }

}  // namespace neon
}  // namespace mortar
