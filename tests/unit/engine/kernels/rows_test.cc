// Goal: kernels over one row follow the contract, and every instruction set gives the scalar
// reference's bits.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {
namespace {

template <typename Quant>
void ExpectSameRounding(const KernelTable& other, const std::vector<float>& x) {
  const Rounded<Quant> a(Scalar(), x);
  const Rounded<Quant> b(other, x);
  EXPECT_TRUE(SameBits(a.q, b.q) && SameBits(a.d, b.d) && SameBits(a.s, b.s) &&
              SameBits(a.sum, b.sum) && SameBits(a.low, b.low))
      << sizeof(Quant) << " bytes";
}

TEST(Quantize, IsWithinHalfAStepOfTheInput) {
  const std::vector<float> x = RandomRow(32 * 50, 11, 3.0f);
  const Rounded<int8_t> z(Scalar(), x);
  for (size_t i = 0; i < x.size(); ++i) {
    // Half a step, and a little for the roundings of d and of 127 / amax.
    ASSERT_NEAR(z.d[i / 32] * static_cast<float>(z.q[i]), x[i], 0.5001f * z.d[i / 32]);
  }
}

TEST(Quantize, TiesGoToEvenAndTheSumIsExact) {
  std::vector<float> x(32, 0.0f);
  x[0] = 127.0f;  // d = 1: inputs are their own quants
  x[1] = 0.5f;
  x[2] = 1.5f;
  x[3] = -2.5f;
  const Rounded<int8_t> z(Scalar(), x);
  EXPECT_EQ(z.d[0], 1.0f);
  EXPECT_EQ(z.q[1], 0);
  EXPECT_EQ(z.q[2], 2);
  EXPECT_EQ(z.q[3], -2);
  x[16] = 1.0f;
  const Rounded<int8_t> halves(Scalar(), x);
  EXPECT_EQ(z.sum[0], 127);
  EXPECT_EQ(halves.sum[0], 128);
  EXPECT_EQ(halves.low[0], 127);  // inputs 0 to 15
  EXPECT_EQ(z.s[0], 127.0f);
}

TEST(Quantize, BlocksBelowTwoToMinusHundredAreZero) {
  const Rounded<int8_t> z(Scalar(), std::vector<float>(32, 0x1p-101f));
  EXPECT_EQ(z.d[0], 0.0f);
  EXPECT_EQ(z.q, std::vector<int8_t>(32, 0));
}

TEST(QuantizeWide, IsWithinHalfAStepAndUsesAllSixteenBits) {
  const std::vector<float> x = RandomRow(32 * 50, 12, 3.0f);
  const Rounded<int16_t> z(Scalar(), x);
  int largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<int>(z.q[i])));
    // Half a step, and the roundings of d and of the product, which weigh 2^-9 of a step here.
    ASSERT_NEAR(z.d[i / 32] * static_cast<float>(z.q[i]), x[i], 0.51f * z.d[i / 32]);
  }
  EXPECT_EQ(largest, 32767);
}

TEST(Quantize, NotANumberDoesNotVanishInIntegers) {
  std::vector<const KernelTable*> tables = OtherKernels();
  tables.push_back(&Scalar());
  for (const KernelTable* kernels : tables) {
    for (const size_t place : {size_t{0}, size_t{13}, size_t{31}}) {
      for (const float rest : {0.0f, 1.0f}) {
        std::vector<float> x(64, rest);
        x[place] = NAN;
        const Rounded<int8_t> narrow(*kernels, x);
        const Rounded<int16_t> wide(*kernels, x);
        EXPECT_TRUE(std::isnan(narrow.d[0]) && std::isnan(wide.d[0])) << kernels->name;
        EXPECT_TRUE(std::isfinite(narrow.d[1]) && std::isfinite(wide.d[1])) << kernels->name;
      }
    }
  }
}

TEST(QuantizeWide, TheSumIsExactAtItsLargest) {
  const Rounded<int16_t> z(Scalar(), std::vector<float>(32, 32767.0f));
  EXPECT_EQ(z.d[0], 1.0f);
  EXPECT_EQ(z.sum[0], 32 * 32767);
  EXPECT_EQ(z.low[0], 16 * 32767);
  EXPECT_EQ(z.s[0], 32.0f * 32767.0f);  // below 2^24: float holds it
}

TEST(RmsNorm, AgreesWithItsDefinition) {
  const std::vector<float> x = RandomRow(576, 3, 2.0f);
  const std::vector<float> w = RandomRow(576, 4);
  std::vector<float> y(576);
  Scalar().rms_norm(x.data(), w.data(), 576, 1e-5f, y.data());
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  for (size_t i = 0; i < 576; ++i) {
    const double want = x[i] / std::sqrt(sum / 576 + 1e-5) * w[i];
    // Sum, mean, root, quotient and two products: a dozen roundings of 2^-24.
    ASSERT_NEAR(y[i], want, std::abs(want) * 12 * 0x1p-24);
  }
}

TEST(LayerNorm, AgreesWithItsDefinition) {
  std::vector<float> x = RandomRow(384, 31, 2.0f);
  for (float& v : x) v += 3;  // a mean that is not nearly 0
  const std::vector<float> w = RandomRow(384, 32);
  const std::vector<float> b = RandomRow(384, 33);
  std::vector<float> y(384);
  Scalar().layer_norm(x.data(), w.data(), b.data(), 384, 1e-12f, y.data());
  double mean = 0, variance = 0;
  for (const float v : x) mean += static_cast<double>(v) / 384;
  for (const float v : x) variance += (v - mean) * (v - mean) / 384;
  for (size_t i = 0; i < 384; ++i) {
    const double scale = w[i] / std::sqrt(variance + 1e-12);
    // The mean's error, some roundings of 3 over 2 in a deviation's units, shifts every element;
    // the other roundings are of the addends.
    const double addends = std::abs(scale) * (std::abs(x[i] - mean) + 8) + std::abs(b[i]);
    ASSERT_NEAR(y[i], (x[i] - mean) * scale + b[i], addends * 12 * 0x1p-24);
  }
}

TEST(LayerNorm, ARowOfOneValueIsTheBias) {
  const std::vector<float> x(40, 7.0f), w(40, 3.0f), b = RandomRow(40, 34);
  std::vector<float> y(40);
  Scalar().layer_norm(x.data(), w.data(), b.data(), 40, 1e-12f, y.data());
  EXPECT_EQ(y, b);
}

TEST(SiluMul, AgreesWithItsDefinition) {
  std::vector<float> g = RandomRow(1000, 5, 10.0f);
  g[0] = -200;
  g[1] = 200;
  const std::vector<float> u = RandomRow(1000, 6);
  std::vector<float> y(1000);
  Scalar().silu_mul(g.data(), u.data(), 1000, y.data());
  for (size_t i = 0; i < 1000; ++i) {
    const double want = g[i] / (1 + std::exp(-static_cast<double>(g[i]))) * u[i];
    // Eight roundings. Beyond g = -88.7 exp(-g) is infinite and silu 0; it is below 1e-36 there.
    ASSERT_NEAR(y[i], want, std::abs(want) * 8 * 0x1p-24 + 1e-35) << g[i];
  }
}

TEST(GeluMul, AgreesWithItsDefinition) {
  std::vector<float> g = RandomRow(1000, 15, 4.0f);
  g[0] = -200;
  g[1] = 200;
  g[2] = -1e30f;
  g[3] = -0.0f;
  const std::vector<float> u = RandomRow(1000, 16);
  std::vector<float> y(1000);
  Scalar().gelu_mul(g.data(), u.data(), 1000, y.data());
  for (size_t i = 0; i < 1000; ++i) {
    const double x = static_cast<double>(g[i]);
    const double twice = 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    const double want = x / (1 + std::exp(-twice)) * u[i];
    // A dozen roundings; those of exp's argument, at most 88 here, are multiplied by it.
    const double roundings = 12 + 4 * std::min(88.0, std::abs(twice));
    ASSERT_NEAR(y[i], want, std::abs(want) * roundings * 0x1p-24 + 1e-35) << g[i];
  }
}

TEST(Gelu, HasRightLimits) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  std::vector<float> x = {0.0f, -0.0f, 30.0f, -30.0f, 1e30f, -1e30f, kInf, NAN, 1e-40f};
  Scalar().gelu(x.data(), static_cast<int>(x.size()));
  EXPECT_EQ(x[0], 0.0f);
  EXPECT_TRUE(std::signbit(x[1]));
  EXPECT_EQ(x[2], 30.0f);
  EXPECT_EQ(x[3], 0.0f);
  EXPECT_EQ(x[4], 1e30f);
  EXPECT_EQ(x[5], 0.0f);
  EXPECT_EQ(x[6], kInf);
  EXPECT_TRUE(std::isnan(x[7]));
  EXPECT_EQ(x[8], 5e-41f);
}

TEST(SoftCap, AgreesWithItsDefinitionAndStaysBelowTheCap) {
  std::vector<float> x = RandomRow(2000, 17, 60.0f);
  x[0] = 1e30f;
  x[1] = -1e30f;
  x[2] = 1e-30f;
  x[3] = -0.0f;
  std::vector<float> y = x;
  Scalar().soft_cap(y.data(), 2000, 50);
  for (size_t i = 0; i < 2000; ++i) {
    const double want = 50 * std::tanh(static_cast<double>(x[i]) / 50);
    // The quotient, two units of the last place of tanh, and the product.
    ASSERT_NEAR(y[i], want, std::abs(want) * 6 * 0x1p-24) << x[i];
    ASSERT_LE(std::abs(y[i]), 50.0f);
  }
  EXPECT_TRUE(std::signbit(y[3]));
}

TEST(RopeHalves, RotatesElementsHalfARotationApart) {
  std::vector<float> x = {1, 3, 0, 4, 5};
  const std::vector<float> cos = {0, 1};
  const std::vector<float> sin = {1, 0};
  Scalar().rope_halves(x.data(), cos.data(), sin.data(), 2);
  EXPECT_EQ(x, (std::vector<float>{0, 3, 1, 4, 5}));
}

TEST(Rope, RotatesNeighbouringPairs) {
  std::vector<float> x = {1, 0, 3, 4};
  const std::vector<float> cos = {0, 1};
  const std::vector<float> sin = {1, 0};
  Scalar().rope(x.data(), cos.data(), sin.data(), 2);
  EXPECT_EQ(x, (std::vector<float>{0, 1, 3, 4}));
}

TEST(RowKernels, EveryInstructionSetGivesTheScalarBits) {
  for (const KernelTable* other : OtherKernels()) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      SCOPED_TRACE(std::string(other->name) + ", seed " + std::to_string(seed));
      const int n = 32 * (1 + static_cast<int>(seed) * 3);
      const std::vector<float> x = seed % 2 ? ExtremeRow(n, seed) : RandomRow(n, seed, 4.0f);
      const std::vector<float> w = RandomRow(n, seed + 1000);
      ExpectSameRounding<int8_t>(*other, x);
      ExpectSameRounding<int16_t>(*other, x);
      // Lengths that no vector divides as well.
      for (const int length : {n, n - 1, n - 7, 13}) {
        std::vector<float> y(static_cast<size_t>(length)), z(y);
        Scalar().rms_norm(x.data(), w.data(), length, 1e-5f, y.data());
        other->rms_norm(x.data(), w.data(), length, 1e-5f, z.data());
        ASSERT_TRUE(SameBits(y, z)) << "rms_norm of " << length;
        Scalar().silu_mul(x.data(), w.data(), length, y.data());
        other->silu_mul(x.data(), w.data(), length, z.data());
        ASSERT_TRUE(SameBits(y, z)) << "silu_mul of " << length;
        Scalar().gelu_mul(x.data(), w.data(), length, y.data());
        other->gelu_mul(x.data(), w.data(), length, z.data());
        ASSERT_TRUE(SameBits(y, z)) << "gelu_mul of " << length;
        Scalar().layer_norm(x.data(), w.data(), w.data() + 1, length - 1, 1e-5f, y.data());
        other->layer_norm(x.data(), w.data(), w.data() + 1, length - 1, 1e-5f, z.data());
        ASSERT_TRUE(SameBits(y, z)) << "layer_norm of " << length - 1;
        y.assign(x.begin(), x.begin() + length);
        z = y;
        Scalar().gelu(y.data(), length);
        other->gelu(z.data(), length);
        ASSERT_TRUE(SameBits(y, z)) << "gelu of " << length;
        for (const float cap : {1.0f, 30.0f}) {
          y.assign(x.begin(), x.begin() + length);
          z = y;
          Scalar().soft_cap(y.data(), length, cap);
          other->soft_cap(z.data(), length, cap);
          ASSERT_TRUE(SameBits(y, z)) << "soft_cap of " << length << " by " << cap;
        }
      }
      std::vector<float> y = x, z = x;
      const std::vector<float> cos = RandomRow(n / 2, seed + 7), sin = RandomRow(n / 2, seed + 8);
      Scalar().rope(y.data(), cos.data(), sin.data(), n / 2);
      other->rope(z.data(), cos.data(), sin.data(), n / 2);
      ASSERT_TRUE(SameBits(y, z)) << "rope";
      Scalar().rope_halves(y.data(), cos.data(), sin.data(), n / 2);
      other->rope_halves(z.data(), cos.data(), sin.data(), n / 2);
      ASSERT_TRUE(SameBits(y, z)) << "rope_halves";
    }
  }
}

}  // namespace
}  // namespace mortar
