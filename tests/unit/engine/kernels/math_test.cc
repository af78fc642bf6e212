// Goal: the smallest pieces of arithmetic are right: fma, halves, exp, the table functions.
// The references here are libm's binary64 functions and exact reasoning, never our own code.
#include "engine/kernels/math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/random.h"
#include "engine/kernels/arith.h"
#include "engine/kernels/erf.h"
#include "engine/kernels/float_environment.h"
#include "engine/kernels/tanh.h"

namespace mortar {
namespace {

float AnyFloat(uint64_t seed, uint64_t i, uint32_t draw) {
  const std::array<uint32_t, 4> bits =
      Philox({static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), draw, 0}, seed);
  const float f = std::bit_cast<float>(bits[0]);
  return std::isfinite(f) ? f : 1.0f;
}

TEST(Fma, RoundsOnceForAnyFiniteInputs) {
  for (uint64_t i = 0; i < 2'000'000; ++i) {
    const float a = AnyFloat(1, i, 0);
    const float b = AnyFloat(1, i, 1);
    float c = AnyFloat(1, i, 2);
    // Every other case nearly cancels, where a second rounding would show.
    if (i % 2 == 0) c = -(a * b) * (1.0f + static_cast<float>(i % 7) * 0x1p-23f);
    if (!std::isfinite(c)) c = 0.0f;
    const float want = std::fma(a, b, c);
    const float got = Fma(a, b, c);
    ASSERT_TRUE(std::bit_cast<uint32_t>(want) == std::bit_cast<uint32_t>(got) ||
                (std::isnan(want) && std::isnan(got)))
        << "case " << i << ": " << a << " * " << b << " + " << c;
  }
}

TEST(Fma, PassesInfinitiesOn) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kMax = std::numeric_limits<float>::max();
  for (const float a : {1.5f, -1.5f, 0.0f, kMax, -kMax, kInf, -kInf}) {
    for (const float b : {1.0f, -3.0f, 0.0f, kMax, -kMax, kInf, -kInf}) {
      for (const float c : {0.0f, 7.0f, -7.0f, kMax, -kMax, kInf, -kInf}) {
        const float want = std::fma(a, b, c);
        const float got = Fma(a, b, c);
        EXPECT_TRUE(want == got || (std::isnan(want) && std::isnan(got)))
            << a << " * " << b << " + " << c << " gives " << got << ", not " << want;
      }
    }
  }
}

TEST(Half, EveryHalfSurvivesARoundTrip) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = HalfToFloat(static_cast<uint16_t>(h));
    if (std::isnan(f)) continue;
    ASSERT_EQ(FloatToHalf(f), h);
  }
}

TEST(Half, RoundsToNearestEvenBetweenNeighbours) {
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const double low = static_cast<double>(HalfToFloat(static_cast<uint16_t>(h)));
    const double high = static_cast<double>(HalfToFloat(static_cast<uint16_t>(h + 1)));
    const auto middle = static_cast<float>((low + high) / 2);  // exact in f32
    const uint32_t even = h % 2 == 0 ? h : h + 1;
    ASSERT_EQ(FloatToHalf(middle), even) << h;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), h + 1) << h;
  }
  EXPECT_EQ(FloatToHalf(65519.996f), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-1e30f), 0xfc00);
}

// Distance in units of the last place of the right result. Infinity for what is no number, which
// the largest of several would pass over.
double Ulps(float got, double want) {
  if (std::isnan(got)) return std::numeric_limits<double>::infinity();
  int exponent;
  std::frexp(want, &exponent);
  const int last = exponent - 24 < -149 ? -149 : exponent - 24;
  return std::abs(static_cast<double>(got) - want) / std::ldexp(1.0, last);
}

TEST(Exp, StaysWithinItsStatedError) {
  double worst = 0;
  for (int i = 0; i <= 4'000'000; ++i) {
    const float x = -103.0f + 191.7f * (static_cast<float>(i) / 4e6f);
    worst = std::max(worst, Ulps(Exp(x), std::exp(static_cast<double>(x))));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 1.1);
}

TEST(Exp, HasRightLimits) {
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(-200.0f), 0.0f);
  EXPECT_EQ(Exp(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_EQ(Exp(89.0f), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Tanh, StaysWithinItsStatedError) {
  double worst = 0;
  for (int i = 1; i <= 4'000'000; ++i) {
    const float x = 9.5f * (static_cast<float>(i) / 4e6f);
    worst = std::max(worst, Ulps(TanhScalar(x), std::tanh(static_cast<double>(x))));
    ASSERT_EQ(TanhScalar(-x), -TanhScalar(x)) << x;
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 2.0);
}

TEST(Tanh, HasRightLimits) {
  EXPECT_EQ(TanhScalar(0.0f), 0.0f);
  EXPECT_TRUE(std::signbit(TanhScalar(-0.0f)));
  EXPECT_EQ(TanhScalar(1e-40f), 1e-40f);
  EXPECT_EQ(TanhScalar(30.0f), 1.0f);
  EXPECT_EQ(TanhScalar(-std::numeric_limits<float>::infinity()), -1.0f);
  EXPECT_TRUE(std::isnan(TanhScalar(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Erf, TheTailStaysWithinItsStatedError) {
  double worst = 0;
  for (int i = 0; i <= 4'000'000; ++i) {
    const float a = 13.0f * (static_cast<float>(i) / 4e6f);  // beyond, the tail is subnormal
    const double want = std::erfc(static_cast<double>(a) / std::sqrt(2.0)) / 2;
    if (want < 0x1p-126) break;
    worst = std::max(worst, Ulps(TailScalar(a), want));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 6.0);
}

TEST(Erf, GeluStaysWithinItsStatedError) {
  double worst = 0;
  for (int i = 0; i <= 4'000'000; ++i) {
    const float x = -12.9f + 25.8f * (static_cast<float>(i) / 4e6f);
    const double want = x * std::erfc(-static_cast<double>(x) / std::sqrt(2.0)) / 2;
    worst = std::max(worst, Ulps(GeluExactScalar(x), want));
  }
  RecordProperty("worst_ulp", std::to_string(worst));
  EXPECT_LT(worst, 6.0);
}

TEST(Tables, AgreeWithLibmInBinary64) {
  for (int i = 0; i < 1'000'000; ++i) {
    const double x = static_cast<double>(i) * 1.04858;  // to 2^20
    ASSERT_NEAR(SinTable(x), std::sin(x), 1e-14) << x;
    ASSERT_NEAR(CosTable(x), std::cos(x), 1e-14) << x;
    ASSERT_NEAR(LogTable(x + 1e-3), std::log(x + 1e-3), 1e-14 * 16) << x;
    const double y = -30.0 + 6e-5 * i;
    ASSERT_NEAR(ExpTable(y) / std::exp(y), 1.0, 1e-14) << y;
  }
}

TEST(FloatEnvironment, FlushToZeroIsNoticedAndMended) {
  EXPECT_TRUE(FloatEnvironmentHolds());
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);  // FTZ and DAZ
  EXPECT_FALSE(FloatEnvironmentHolds());
#elif defined(__aarch64__)
  // FZ; RMode, rounding up, down and to zero; AHP, another format of halves.
  for (const uint64_t bits : {1u << 24, 1u << 22, 2u << 22, 3u << 22, 1u << 26}) {
    __asm__ __volatile__("msr fpcr, %0" : : "r"(bits));
    EXPECT_FALSE(FloatEnvironmentHolds()) << bits;
    SetFloatEnvironment();
    EXPECT_TRUE(FloatEnvironmentHolds()) << bits;
  }
#endif
  SetFloatEnvironment();
  EXPECT_TRUE(FloatEnvironmentHolds());
}

}  // namespace
}  // namespace mortar
