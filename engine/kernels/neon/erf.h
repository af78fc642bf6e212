// gelu by its definition, of four lanes: the operations of engine/kernels/erf.h in the same order.
#pragma once

#include <arm_neon.h>

#include "engine/kernels/erf.h"
#include "engine/kernels/neon/exp.h"

namespace mortar {

static inline float32x4_t Tail4(float32x4_t a) {
  using C = TailConstants;
  a = vminq_f32(a, vdupq_n_f32(C::kMax));  // of NaN too it is NaN
  const float32x4_t shift = vdupq_n_f32(C::kShift);
  const float32x4_t square = vmulq_f32(a, a);
  const float32x4_t lost = vfmaq_f32(vnegq_f32(square), a, a);
  const float32x4_t e = Exp4(vmulq_n_f32(square, -0.5f));
  const float32x4_t r = vdivq_f32(vdupq_n_f32(1.0f), vaddq_f32(a, shift));
  const float32x4_t t = vmulq_f32(vsubq_f32(a, shift), r);
  float32x4_t p = vdupq_n_f32(C::kC9);
  p = vfmaq_f32(vdupq_n_f32(C::kC8), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC7), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC6), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC5), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC4), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC3), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC2), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC1), p, t);
  p = vfmaq_f32(vdupq_n_f32(C::kC0), p, t);
  const float32x4_t scaled = vmulq_f32(p, r);
  return vmulq_f32(e, vfmaq_f32(scaled, vmulq_n_f32(lost, -0.5f), scaled));
}

static inline float32x4_t GeluExact4(float32x4_t x) {
  const float32x4_t tail = Tail4(vabsq_f32(x));
  const float32x4_t rest = vsubq_f32(vdupq_n_f32(1.0f), tail);
  return vmulq_f32(x, vbslq_f32(vcltzq_f32(x), tail, rest));
}

}  // namespace mortar
