#include "engine/quantize/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/check.h"
#include "engine/quantize/half.h"
#include "engine/quantize/q4_k.h"

namespace mortar {
namespace {

constexpr int kQ8Block = 32;

// A scale, and integers to 127 of the greatest magnitude.
void QuantizeQ8(const float* values, uint8_t* to) {
  float largest = 0;
  for (int i = 0; i < kQ8Block; ++i) largest = std::max(largest, std::abs(values[i]));
  const float step = largest / 127;
  const float inverse = step > 0 ? 1 / step : 0;
  const uint16_t scale = ToHalf(step);
  std::memcpy(to, &scale, sizeof(scale));
  for (int i = 0; i < kQ8Block; ++i) {
    // Also where a value is no number: neither comparison holds then.
    const float scaled = std::rint(values[i] * inverse);
    const float bounded = scaled >= 127 ? 127.0f : scaled > -127 ? scaled : -127.0f;
    to[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(bounded));
  }
}

}  // namespace

TensorType QuantizedType(Quantize quantize, TensorType stored, uint64_t n_columns, bool is_end) {
  if (quantize == Quantize::kNone || n_columns % kQ8Block != 0) return stored;
  const bool small = quantize == Quantize::kQ4_K && !is_end && n_columns % kSuperBlock == 0;
  return small ? TensorType::kQ4_K : TensorType::kQ8_0;
}

uint64_t QuantizedRowBytes(TensorType type, uint64_t n_columns) {
  return n_columns / static_cast<uint64_t>(BlockElements(type)) *
         static_cast<uint64_t>(BlockBytes(type));
}

void ReadFloats(TensorType type, const uint8_t* from, std::span<float> to) {
  CHECK(type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16);
  if (type == TensorType::kF32) {
    std::memcpy(to.data(), from, to.size_bytes());
    return;
  }
  for (size_t i = 0; i < to.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * i, sizeof(bits));
    to[i] = type == TensorType::kF16 ? FromHalf(bits) : FromBfloat(bits);
  }
}

void QuantizeRow(TensorType type, std::span<const float> values, uint8_t* to) {
  if (type == TensorType::kF32) {
    std::memcpy(to, values.data(), values.size_bytes());
    return;
  }
  CHECK(type == TensorType::kQ8_0 || type == TensorType::kQ4_K);
  const auto block = static_cast<size_t>(BlockElements(type));
  CHECK(values.size() % block == 0);
  for (size_t i = 0; i < values.size(); i += block, to += BlockBytes(type)) {
    if (type == TensorType::kQ8_0) {
      QuantizeQ8(values.data() + i, to);
    } else {
      QuantizeQ4K(values.data() + i, to);
    }
  }
}

}  // namespace mortar
