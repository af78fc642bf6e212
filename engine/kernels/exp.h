// exp in binary32, one order of operations on every instruction set.
//
// exp(x) = 2^n p(r) with n = rne(x log2 e) and r = x - n ln 2 in two parts, so that r is good
// to the last bit; p is the Taylor polynomial of degree 7 (its remainder is below 6e-9 for
// |r| <= 0.347). The power of two is applied in two factors: no overflow on the way, and
// subnormal results are rounded once. Error: below 1.1 ulp over all normal results (tested).
// Below -104 the result is 0; above 89 it is infinity.
#pragma once

#include "engine/kernels/arith.h"

namespace mortar {

struct ExpConstants {
  static constexpr float kMin = -104.0f;
  static constexpr float kMax = 89.0f;
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kLn2High = 0x1.62e4p-1f;  // 15 bits: n times it is exact
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kMagic = 0x1.8p23f;
  // 1 / k! for k = 7 .. 2.
  static constexpr float kC7 = 0x1.a01a02p-13f;
  static constexpr float kC6 = 0x1.6c16c2p-10f;
  static constexpr float kC5 = 0x1.111112p-7f;
  static constexpr float kC4 = 0x1.555556p-5f;
  static constexpr float kC3 = 0x1.555556p-3f;
  static constexpr float kC2 = 0.5f;
};

static inline float PowerOfTwo(int32_t n) {
  return std::bit_cast<float>((static_cast<uint32_t>(n) + 127u) << 23);
}

static inline float ExpScalar(float x) {
  using C = ExpConstants;
  if (x < C::kMin) x = C::kMin;
  if (x > C::kMax) x = C::kMax;
  const float shifted = Fma(x, C::kLog2E, C::kMagic);
  const float n = shifted - C::kMagic;
  float r = Fma(-n, C::kLn2High, x);
  r = Fma(-n, C::kLn2Low, r);
  float p = C::kC7;
  p = Fma(p, r, C::kC6);
  p = Fma(p, r, C::kC5);
  p = Fma(p, r, C::kC4);
  p = Fma(p, r, C::kC3);
  p = Fma(p, r, C::kC2);
  p = Fma(p, r, 1.0f);
  p = Fma(p, r, 1.0f);
  // n as an integer, read off the bits: defined for NaN as well, which passes through p.
  const int32_t power =
      static_cast<int32_t>(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(C::kMagic));
  const int32_t half = power >> 1;
  const float first = PowerOfTwo(half);
  const float second = PowerOfTwo(power - half);
  return (p * first) * second;
}

static inline float SiluScalar(float x) { return x / (1.0f + ExpScalar(-x)); }

}  // namespace mortar
