// tanh, and the gelu that is made with it, in binary32: one order of operations on every
// instruction set.
//
// tanh(a) of the magnitude a < 0.625 is a + a z P(z) with z = a^2; P is a polynomial of degree 5,
// fitted by Remez' algorithm so that tanh's relative error is below 2e-10 before rounding. Beyond,
// it is 1 - 2 / (exp(2 a) + 1). The sign is put back last. Error: below 2 ulp (tested). NaN stays
// NaN.
//
// gelu(x) = x / 2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel
// 2016). Since (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), it is x / (1 + exp(-2 u)), where
// nothing cancels.
#pragma once

#include "engine/kernels/exp.h"

namespace mortar {

struct TanhConstants {
  static constexpr float kSmall = 0.625f;
  static constexpr float kC5 = 0x1.197b7cp-9f;
  static constexpr float kC4 = -0x1.0c2146p-7f;
  static constexpr float kC3 = 0x1.6394dap-6f;
  static constexpr float kC2 = -0x1.b9ef7cp-5f;
  static constexpr float kC1 = 0x1.11106cp-3f;
  static constexpr float kC0 = -0x1.555554p-2f;
  // 2 u = x (kGelu1 + kGelu3 x^2): 2 sqrt(2 / pi), and 0.044715 times that.
  static constexpr float kGelu1 = 0x1.988454p+0f;
  static constexpr float kGelu3 = 0x1.2444f2p-4f;
};

static inline float TanhScalar(float x) {
  using C = TanhConstants;
  const uint32_t sign = std::bit_cast<uint32_t>(x) & 0x80000000u;
  const float a = std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu);
  float tanh = 0;  // of a
  if (a < C::kSmall) {
    const float z = a * a;
    float p = C::kC5;
    p = Fma(p, z, C::kC4);
    p = Fma(p, z, C::kC3);
    p = Fma(p, z, C::kC2);
    p = Fma(p, z, C::kC1);
    p = Fma(p, z, C::kC0);
    tanh = Fma(a * z, p, a);
  } else {
    tanh = 1.0f - 2.0f / (ExpScalar(a + a) + 1.0f);
  }
  return std::bit_cast<float>(std::bit_cast<uint32_t>(tanh) | sign);
}

static inline float SoftCapScalar(float x, float cap) { return cap * TanhScalar(x / cap); }

static inline float GeluScalar(float x) {
  using C = TanhConstants;
  const float twice_u = x * Fma(C::kGelu3, x * x, C::kGelu1);
  return x / (1.0f + ExpScalar(-twice_u));
}

}  // namespace mortar
