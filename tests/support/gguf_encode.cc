#include "tests/support/gguf_encode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "common/check.h"
#include "tests/support/gguf_encode_k.h"

namespace mortar {
namespace {

void Append16(uint16_t bits, std::vector<uint8_t>& out) {
  out.push_back(static_cast<uint8_t>(bits));
  out.push_back(static_cast<uint8_t>(bits >> 8));
}

// The quantum of a block as it is stored, and one over it, or zero for a block of zeros.
struct Scale {
  uint16_t bits;
  float inverse;
};

Scale MakeScale(float exact) {
  const uint16_t bits = EncodeF16(exact);
  const float stored = DecodeF16(bits);
  return {bits, stored == 0 ? 0 : 1 / stored};
}

int Quantum(float value, int low, int high) {
  return std::clamp(static_cast<int>(std::lround(value)), low, high);
}

// Element i in the low half of byte i, element i + 16 in the high half.
void AppendNibbles(const int (&quanta)[32], std::vector<uint8_t>& out) {
  for (int i = 0; i < 16; ++i) {
    out.push_back(static_cast<uint8_t>(quanta[i] | quanta[i + 16] << 4));
  }
}

// The scale with which the value of the greatest magnitude gets the quant -`largest`.
Scale SignedScale(const float* x, int largest) {
  const float extreme =
      *std::max_element(x, x + 32, [](float a, float b) { return std::abs(a) < std::abs(b); });
  return MakeScale(-extreme / static_cast<float>(largest));
}

// Q5_0 and Q5_1 keep the fifth bit of element i as bit i of four bytes before the nibbles.
void AppendQuanta(bool five, const int (&quanta)[32], std::vector<uint8_t>& out) {
  int low[32];
  uint32_t high = 0;
  for (int i = 0; i < 32; ++i) {
    low[i] = quanta[i] & 15;
    high |= static_cast<uint32_t>(quanta[i] >> 4) << i;
  }
  if (five) {
    Append16(static_cast<uint16_t>(high), out);
    Append16(static_cast<uint16_t>(high >> 16), out);
  }
  AppendNibbles(low, out);
}

// Q4_0 and Q5_0: value = d * (q - zero), zero half of the range.
void EncodeSigned(bool five, const float* x, std::vector<uint8_t>& out) {
  const int zero = five ? 16 : 8;
  const Scale scale = SignedScale(x, zero);
  int quanta[32];
  for (int i = 0; i < 32; ++i) quanta[i] = Quantum(x[i] * scale.inverse, -zero, zero - 1) + zero;
  Append16(scale.bits, out);
  AppendQuanta(five, quanta, out);
}

// Q4_1 and Q5_1: value = d * q + m
void EncodeWithMinimum(bool five, const float* x, std::vector<uint8_t>& out) {
  const int largest = five ? 31 : 15;
  const auto [low, high] = std::minmax_element(x, x + 32);
  const Scale scale = MakeScale((*high - *low) / static_cast<float>(largest));
  const uint16_t minimum = EncodeF16(*low);
  int quanta[32];
  for (int i = 0; i < 32; ++i) {
    quanta[i] = Quantum((x[i] - DecodeF16(minimum)) * scale.inverse, 0, largest);
  }
  Append16(scale.bits, out);
  Append16(minimum, out);
  AppendQuanta(five, quanta, out);
}

// value = d * q
void EncodeQ8_0(const float* x, std::vector<uint8_t>& out) {
  float amax = 0;
  for (int i = 0; i < 32; ++i) amax = std::max(amax, std::abs(x[i]));
  const Scale scale = MakeScale(amax / 127);
  Append16(scale.bits, out);
  for (int i = 0; i < 32; ++i) {
    out.push_back(static_cast<uint8_t>(Quantum(x[i] * scale.inverse, -127, 127)));
  }
}

// value = d * table[q]
void EncodeIQ4_NL(const float* x, std::vector<uint8_t>& out) {
  const Scale scale = SignedScale(x, 127);
  int quanta[32];
  for (int i = 0; i < 32; ++i) quanta[i] = NearestIq4(x[i], DecodeF16(scale.bits));
  Append16(scale.bits, out);
  AppendNibbles(quanta, out);
}

void AppendF32(float value, std::vector<uint8_t>& out) {
  const auto bits = std::bit_cast<uint32_t>(value);
  Append16(static_cast<uint16_t>(bits), out);
  Append16(static_cast<uint16_t>(bits >> 16), out);
}

}  // namespace

uint16_t EncodeF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  // Halfway between the greatest half and the next power of two.
  if (magnitude >= 65520.0f) return sign | 0x7c00;
  if (magnitude < 0x1p-14f) {
    // Subnormal: the sum with 2^-1 leaves multiples of 2^-24, rounded to even by the addition.
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(magnitude + 0.5f) - 0x3f000000u);
  }
  const uint32_t rebased = (bits & 0x7fffffff) - (uint32_t{112} << 23);
  const uint32_t odd = rebased >> 13 & 1;
  return sign | static_cast<uint16_t>((rebased + 0xfff + odd) >> 13);
}

float DecodeF16(uint16_t half) {
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  const int exponent = half >> 10 & 31;
  const int mantissa = half & 1023;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

uint16_t EncodeBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

std::vector<uint8_t> EncodeTensor(TensorType type, std::span<const float> values) {
  const auto block = static_cast<size_t>(BlockElements(type));
  CHECK(values.size() % block == 0);
  std::vector<uint8_t> out;
  out.reserve(values.size() / block * static_cast<size_t>(BlockBytes(type)));
  for (size_t i = 0; i < values.size(); i += block) {
    const float* const x = values.data() + i;
    switch (type) {
      case TensorType::kF32:
        AppendF32(*x, out);
        break;
      case TensorType::kF16:
        Append16(EncodeF16(*x), out);
        break;
      case TensorType::kBF16:
        Append16(EncodeBf16(*x), out);
        break;
      case TensorType::kQ4_0:
      case TensorType::kQ5_0:
        EncodeSigned(type == TensorType::kQ5_0, x, out);
        break;
      case TensorType::kQ4_1:
      case TensorType::kQ5_1:
        EncodeWithMinimum(type == TensorType::kQ5_1, x, out);
        break;
      case TensorType::kQ8_0:
        EncodeQ8_0(x, out);
        break;
      case TensorType::kIQ4_NL:
        EncodeIQ4_NL(x, out);
        break;
      case TensorType::kQ2_K:
      case TensorType::kQ3_K:
      case TensorType::kQ4_K:
      case TensorType::kQ5_K:
      case TensorType::kQ6_K:
      case TensorType::kIQ4_XS:
        EncodeSuperBlock(type, x, out);
        break;
    }
  }
  return out;
}

}  // namespace mortar
