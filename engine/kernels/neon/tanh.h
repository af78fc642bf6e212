// tanh and gelu of four lanes: the operations of engine/kernels/tanh.h in the same order.
#pragma once

#include <arm_neon.h>

#include "engine/kernels/neon/exp.h"
#include "engine/kernels/tanh.h"

namespace mortar {

// Both forms are computed; each lane takes its own.
static inline float32x4_t Tanh4(float32x4_t x) {
  using C = TanhConstants;
  const float32x4_t one = vdupq_n_f32(1.0f);
  const float32x4_t a = vabsq_f32(x);
  const float32x4_t z = vmulq_f32(a, a);
  float32x4_t p = vdupq_n_f32(C::kC5);
  p = vfmaq_f32(vdupq_n_f32(C::kC4), p, z);
  p = vfmaq_f32(vdupq_n_f32(C::kC3), p, z);
  p = vfmaq_f32(vdupq_n_f32(C::kC2), p, z);
  p = vfmaq_f32(vdupq_n_f32(C::kC1), p, z);
  p = vfmaq_f32(vdupq_n_f32(C::kC0), p, z);
  const float32x4_t small = vfmaq_f32(a, vmulq_f32(a, z), p);
  const float32x4_t e = Exp4(vaddq_f32(a, a));
  const float32x4_t large = vsubq_f32(one, vdivq_f32(vdupq_n_f32(2.0f), vaddq_f32(e, one)));
  const float32x4_t tanh = vbslq_f32(vcltq_f32(a, vdupq_n_f32(C::kSmall)), small, large);
  const uint32x4_t sign = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x80000000u));
  return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(tanh), sign));
}

static inline float32x4_t SoftCap4(float32x4_t x, float32x4_t cap) {
  return vmulq_f32(cap, Tanh4(vdivq_f32(x, cap)));
}

static inline float32x4_t Gelu4(float32x4_t x) {
  using C = TanhConstants;
  const float32x4_t inner =
      vfmaq_f32(vdupq_n_f32(C::kGelu1), vdupq_n_f32(C::kGelu3), vmulq_f32(x, x));
  const float32x4_t twice_u = vmulq_f32(x, inner);
  return vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0f), Exp4(vnegq_f32(twice_u))));
}

}  // namespace mortar
