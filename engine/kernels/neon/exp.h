// exp of four lanes: the operations of engine/kernels/exp.h in the same order.
#pragma once

#include <arm_neon.h>

#include "engine/kernels/exp.h"

namespace mortar {

static inline float32x4_t PowerOfTwo4(int32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

static inline float32x4_t Exp4(float32x4_t x) {
  using C = ExpConstants;
  // Of a number and NaN both give NaN, as comparisons that do not hold leave it.
  x = vmaxq_f32(x, vdupq_n_f32(C::kMin));
  x = vminq_f32(x, vdupq_n_f32(C::kMax));
  const float32x4_t magic = vdupq_n_f32(C::kMagic);
  const float32x4_t shifted = vfmaq_f32(magic, x, vdupq_n_f32(C::kLog2E));
  const float32x4_t n = vsubq_f32(shifted, magic);
  float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(C::kLn2High));
  r = vfmsq_f32(r, n, vdupq_n_f32(C::kLn2Low));
  float32x4_t p = vdupq_n_f32(C::kC7);
  p = vfmaq_f32(vdupq_n_f32(C::kC6), p, r);
  p = vfmaq_f32(vdupq_n_f32(C::kC5), p, r);
  p = vfmaq_f32(vdupq_n_f32(C::kC4), p, r);
  p = vfmaq_f32(vdupq_n_f32(C::kC3), p, r);
  p = vfmaq_f32(vdupq_n_f32(C::kC2), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  const int32x4_t power = vsubq_s32(vreinterpretq_s32_f32(shifted), vreinterpretq_s32_f32(magic));
  const int32x4_t half = vshrq_n_s32(power, 1);
  p = vmulq_f32(p, PowerOfTwo4(half));
  return vmulq_f32(p, PowerOfTwo4(vsubq_s32(power, half)));
}

}  // namespace mortar
