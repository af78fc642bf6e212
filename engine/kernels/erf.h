// gelu by its definition, x Phi(x) = x / 2 (1 + erf(x / sqrt(2))) (Hendrycks and Gimpel 2016), in
// binary32: one order of operations on every instruction set.
//
// What is computed is the tail of the bell curve, Q(a) = erfc(a / sqrt(2)) / 2 of a = |x|; then
// gelu is x Q(a) below zero and x (1 - Q(a)) above, and nothing cancels, as 1 + erf would.
//
// Q(a) = exp(-a^2 / 2) P(t) / (a + 4), t = (a - 4) / (a + 4), which maps all a to [-1, 1); P is a
// polynomial of degree 9, fitted by Remez' algorithm for a up to 14.6, so that the relative error
// is below 6e-8 before rounding. What a^2 loses in rounding is put back to first order: the error
// of an exponent is one of the result. Error of Q and of gelu: below 6 ulp over all normal results
// (tested). Beyond 14.5 Q is 0. NaN stays NaN.
#pragma once

#include "engine/kernels/exp.h"

namespace mortar {

struct TailConstants {
  static constexpr float kMax = 14.5f;  // exp(-kMax^2 / 2) is 0
  static constexpr float kShift = 4.0f;
  static constexpr float kC9 = -0x1.15bfa4p-13f;
  static constexpr float kC8 = 0x1.760af6p-13f;
  static constexpr float kC7 = 0x1.9b754cp-10f;
  static constexpr float kC6 = -0x1.cc557cp-9f;
  static constexpr float kC5 = -0x1.ed2892p-8f;
  static constexpr float kC4 = 0x1.eed3ep-5f;
  static constexpr float kC3 = -0x1.7e0006p-3f;
  static constexpr float kC2 = 0x1.8c6d9ep-2f;
  static constexpr float kC1 = -0x1.373e38p-1f;
  static constexpr float kC0 = 0x1.82b4bcp-1f;
};

// Needs: a >= 0, or NaN.
static inline float TailScalar(float a) {
  using C = TailConstants;
  if (a > C::kMax) a = C::kMax;
  const float square = a * a;
  const float lost = Fma(a, a, -square);
  const float e = ExpScalar(-0.5f * square);
  const float r = 1.0f / (a + C::kShift);
  const float t = (a - C::kShift) * r;
  float p = C::kC9;
  p = Fma(p, t, C::kC8);
  p = Fma(p, t, C::kC7);
  p = Fma(p, t, C::kC6);
  p = Fma(p, t, C::kC5);
  p = Fma(p, t, C::kC4);
  p = Fma(p, t, C::kC3);
  p = Fma(p, t, C::kC2);
  p = Fma(p, t, C::kC1);
  p = Fma(p, t, C::kC0);
  const float scaled = p * r;
  return e * Fma(-0.5f * lost, scaled, scaled);
}

static inline float GeluExactScalar(float x) {
  const float tail = TailScalar(std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu));
  return x * (x < 0 ? tail : 1.0f - tail);
}

}  // namespace mortar
