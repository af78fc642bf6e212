// Kernels over the elements of one row.
#include <arm_neon.h>

#include "engine/kernels/neon/erf.h"
#include "engine/kernels/neon/exp.h"
#include "engine/kernels/neon/neon.h"
#include "engine/kernels/neon/tanh.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace neon {
namespace {

constexpr int kVectors = kBlock / 4;

// The 32 values of a block, and their largest magnitude: NaN where one of them is.
inline float LoadBlock(const float* x, float32x4_t (&v)[kVectors]) {
  float32x4_t magnitude = vdupq_n_f32(0.0f);
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) {
    v[i] = vld1q_f32(x + 4 * i);
    magnitude = vmaxq_f32(magnitude, vabsq_f32(v[i]));
  }
  const float largest = vmaxvq_f32(magnitude);
  return largest != largest ? __builtin_nanf("") : largest;
}

// Eight values as integers, in 16 bits. The same shift by 1.5 * 2^23 as the reference: the low bits
// are the nearest integer.
inline int16x8_t Round8(const float32x4_t* v, float inverse) {
  const float32x4_t magic = vdupq_n_f32(0x1.8p23f);
  const int32x4_t low = vreinterpretq_s32_f32(vaddq_f32(vmulq_n_f32(v[0], inverse), magic));
  const int32x4_t high = vreinterpretq_s32_f32(vaddq_f32(vmulq_n_f32(v[1], inverse), magic));
  return vcombine_s16(vmovn_s32(low), vmovn_s32(high));
}

// Stores sixteen quants; returns their sum.
inline int StoreHalf(const float32x4_t* v, float inverse, int8_t* q) {
  const int16x8_t first = Round8(v, inverse);
  const int16x8_t second = Round8(v + 2, inverse);
  const int8x16_t bytes = vcombine_s8(vmovn_s16(first), vmovn_s16(second));
  vst1q_s8(q, bytes);
  return vaddlvq_s8(bytes);
}

inline int StoreHalf(const float32x4_t* v, float inverse, int16_t* q) {
  const int16x8_t first = Round8(v, inverse);
  const int16x8_t second = Round8(v + 2, inverse);
  vst1q_s16(q, first);
  vst1q_s16(q + 8, second);
  return vaddlvq_s16(first) + vaddlvq_s16(second);
}

template <typename Quant>
void QuantizeTo(const float* x, int n, const RoundedRows<Quant>& to) {
  constexpr float kLargest = sizeof(Quant) == 1 ? 127.0f : 32767.0f;
  for (int b = 0; b < n / kBlock; ++b) {
    float32x4_t v[kVectors];
    const float amax = LoadBlock(x + b * kBlock, v);
    const bool tiny = amax < 0x1p-100f;
    const float inverse = tiny ? 0.0f : kLargest / amax;
    Quant* q = to.q + b * kBlock;
    to.d[b] = tiny ? 0.0f : amax / kLargest;
    to.low[b] = StoreHalf(v, inverse, q);
    to.sum[b] = to.low[b] + StoreHalf(v + kVectors / 2, inverse, q + kBlock / 2);
    to.s[b] = to.d[b] * static_cast<float>(to.sum[b]);
  }
}

void QuantizeWide(const float* x, int n, const RoundedRows<int16_t>& to) { QuantizeTo(x, n, to); }

// The partial sums of rule 5 of whole sixteens: `of(i)` gives addends i to i + 3.
template <typename Of>
void SumSixteen(int n, float* partial, const Of& of) {
  float32x4_t sums[4];
  for (float32x4_t& sum : sums) sum = vdupq_n_f32(0.0f);
  for (int i = 0; i + 16 <= n; i += 16) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sums[j] = vaddq_f32(sums[j], of(i + 4 * j));
  }
  for (int j = 0; j < 4; ++j) vst1q_f32(partial + 4 * j, sums[j]);
}

void LayerNorm(const float* x, const float* w, const float* b, int n, float eps, float* y) {
  float partial[16];
  SumSixteen(n, partial, [x](int i) { return vld1q_f32(x + i); });
  for (int i = n / 16 * 16; i < n; ++i) partial[i % 16] += x[i];
  const float mean = FoldSixteen(partial) / static_cast<float>(n);
  const float32x4_t means = vdupq_n_f32(mean);
  SumSixteen(n, partial, [x, means](int i) {
    const float32x4_t d = vsubq_f32(vld1q_f32(x + i), means);
    return vmulq_f32(d, d);
  });
  for (int i = n / 16 * 16; i < n; ++i) partial[i % 16] += (x[i] - mean) * (x[i] - mean);
  const float variance = FoldSixteen(partial) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(variance + eps);
  for (int j = 0; j < n; ++j) y[j] = ((x[j] - mean) * scale) * w[j] + b[j];
}

void Gelu(float* x, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(x + i, GeluExact4(vld1q_f32(x + i)));
  for (; i < n; ++i) x[i] = GeluExactScalar(x[i]);
}

void RmsNorm(const float* x, const float* w, int n, float eps, float* y) {
  float partial[16];
  SumSixteen(n, partial, [x](int i) {
    const float32x4_t v = vld1q_f32(x + i);
    return vmulq_f32(v, v);
  });
  for (int i = n / 16 * 16; i < n; ++i) partial[i % 16] += x[i] * x[i];
  const float mean = FoldSixteen(partial) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(mean + eps);
  for (int j = 0; j < n; ++j) y[j] = (x[j] * scale) * w[j];
}

void SiluMul(const float* g, const float* u, int n, float* y) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    const float32x4_t x = vld1q_f32(g + i);
    const float32x4_t silu = vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0f), Exp4(vnegq_f32(x))));
    vst1q_f32(y + i, vmulq_f32(silu, vld1q_f32(u + i)));
  }
  for (; i < n; ++i) y[i] = SiluScalar(g[i]) * u[i];
}

void GeluMul(const float* g, const float* u, int n, float* y) {
  int i = 0;
  for (; i + 4 <= n; i += 4) {
    vst1q_f32(y + i, vmulq_f32(Gelu4(vld1q_f32(g + i)), vld1q_f32(u + i)));
  }
  for (; i < n; ++i) y[i] = GeluScalar(g[i]) * u[i];
}

void SoftCap(float* x, int n, float cap) {
  const float32x4_t caps = vdupq_n_f32(cap);
  int i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(x + i, SoftCap4(vld1q_f32(x + i), caps));
  for (; i < n; ++i) x[i] = SoftCapScalar(x[i], cap);
}

}  // namespace

void Quantize(const float* x, int n, const RoundedRows<int8_t>& to) { QuantizeTo(x, n, to); }

}  // namespace neon

const KernelTable& NeonKernels() {
  static constexpr KernelTable kTable = {
      .name = "neon",
      .quantize = neon::Quantize,
      .quantize_wide = neon::QuantizeWide,
      .rms_norm = neon::RmsNorm,
      .layer_norm = neon::LayerNorm,
      .silu_mul = neon::SiluMul,
      .gelu_mul = neon::GeluMul,
      .gelu = neon::Gelu,
      .soft_cap = neon::SoftCap,
      .rope = RopeLoop,
      .rope_halves = RopeHalvesLoop,
      .linear = neon::Linear,
      .unpack_row = UnpackRowLoop,
      .store_kv = neon::StoreKv,
      .attend = neon::Attend,
  };
  return kTable;
}

}  // namespace mortar
