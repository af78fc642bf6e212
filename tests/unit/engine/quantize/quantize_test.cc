// Goal: what is quantised at load reads back close to what it was, in the layouts that the engine
// reads, and no value brings a byte out of bounds.
#include "engine/quantize/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/random.h"
#include "engine/quantize/half.h"
#include "tests/support/gguf_decode.h"
#include "tests/support/gguf_encode.h"

namespace mortar {
namespace {

// Values about `mean`, a sum of uniform draws.
std::vector<float> Draws(size_t n, float mean, float deviation, uint64_t seed) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) {
    float sum = -6;
    for (uint32_t part = 0; part < 12; ++part) {
      sum += UniformDraw(seed, 3, static_cast<uint64_t>(i), part);
    }
    values[i] = mean + deviation * sum;
  }
  return values;
}

std::vector<uint8_t> Row(TensorType type, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(QuantizedRowBytes(type, values.size()));
  QuantizeRow(type, values, bytes.data());
  return bytes;
}

// Root mean square of the error, relative to the values.
double RelativeError(TensorType type, const std::vector<uint8_t>& bytes,
                     const std::vector<float>& values) {
  const std::vector<double> got = DecodeTensor(type, bytes);
  double error = 0, size = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(got[i] - static_cast<double>(values[i]), 2);
    size += std::pow(static_cast<double>(values[i]), 2);
  }
  return std::sqrt(error / size);
}

TEST(Quantize, ReadsBackCloseToWhatItWas) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    const std::vector<float> values = Draws(4096, 0, 0.05f, seed);
    // Steps of a 127th and of a 15th of a block's range, and uniform errors of a step's 1/sqrt(12).
    EXPECT_LT(RelativeError(TensorType::kQ8_0, Row(TensorType::kQ8_0, values), values), 0.008);
    EXPECT_LT(RelativeError(TensorType::kQ4_K, Row(TensorType::kQ4_K, values), values), 0.085);
  }
}

TEST(Quantize, SearchesForABetterQ4KThanTheRangeGives) {
  double plain = 0, searched = 0;
  for (const uint64_t seed : {1u, 2u, 3u, 4u}) {
    const std::vector<float> values = Draws(4096, 0.01f, 0.05f, seed);
    plain += RelativeError(TensorType::kQ4_K, EncodeTensor(TensorType::kQ4_K, values), values);
    searched += RelativeError(TensorType::kQ4_K, Row(TensorType::kQ4_K, values), values);
  }
  EXPECT_LT(searched, 0.97 * plain);
}

TEST(Quantize, HoldsConstantZeroAndOneSidedRows) {
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_K}) {
    const std::vector<float> zeros(256, 0);
    EXPECT_EQ(DecodeTensor(type, Row(type, zeros)), std::vector<double>(256, 0));
    for (const float value : {0.5f, -0.5f}) {
      const std::vector<float> constant(256, value);
      EXPECT_LT(RelativeError(type, Row(type, constant), constant), 0.02) << Name(type) << value;
    }
    const std::vector<float> positive = Draws(256, 1, 0.05f, 9);
    EXPECT_LT(RelativeError(type, Row(type, positive), positive), 0.06) << Name(type);
  }
}

TEST(Quantize, TakesAnyValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_K}) {
    for (const float odd : {infinity, -infinity, std::nanf(""), 3e38f, 1e-42f}) {
      std::vector<float> values = Draws(256, 0, 1, 4);
      values[100] = odd;
      EXPECT_EQ(Row(type, values).size(), QuantizedRowBytes(type, 256));
    }
  }
}

TEST(Quantize, ChoosesTypesByWidthAndPlace) {
  const TensorType bf16 = TensorType::kBF16;
  EXPECT_EQ(QuantizedType(Quantize::kNone, bf16, 256, false), bf16);
  EXPECT_EQ(QuantizedType(Quantize::kQ4_K, bf16, 512, false), TensorType::kQ4_K);
  EXPECT_EQ(QuantizedType(Quantize::kQ4_K, bf16, 512, true), TensorType::kQ8_0);
  EXPECT_EQ(QuantizedType(Quantize::kQ4_K, bf16, 96, false), TensorType::kQ8_0);
  EXPECT_EQ(QuantizedType(Quantize::kQ8_0, bf16, 512, false), TensorType::kQ8_0);
  EXPECT_EQ(QuantizedType(Quantize::kQ8_0, bf16, 33, false), bf16);
}

TEST(Quantize, ConvertsEveryHalfThereAndBack) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const auto bits = static_cast<uint16_t>(half);
    const float value = FromHalf(bits);
    if (std::isnan(value)) continue;
    ASSERT_EQ(ToHalf(value), bits);
    ASSERT_EQ(value, DecodeF16(bits));
  }
  for (const float value : {65519.9f, 65520.0f, 1e-7f, 2.98e-8f, 2.99e-8f, 1.0004883f, -0.1f}) {
    EXPECT_EQ(ToHalf(value), EncodeF16(value)) << value;
  }
}

}  // namespace
}  // namespace mortar
