#include "tests/support/gguf_encode_k.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "tests/support/gguf_encode.h"

namespace mortar {
namespace {

void PutHalf(uint16_t bits, uint8_t* to) {
  to[0] = static_cast<uint8_t>(bits);
  to[1] = static_cast<uint8_t>(bits >> 8);
}

// x / step as an integer; nothing where there is no step.
int Quantum(float x, float step, int low, int high) {
  return step == 0 ? 0 : std::clamp(static_cast<int>(std::lround(x / step)), low, high);
}

// The shared scale of values whose integers reach `largest`, as it is stored.
uint16_t SharedScale(const std::vector<float>& values, int largest) {
  float top = 0;
  for (const float v : values) top = std::max(top, std::abs(v));
  return EncodeF16(top / static_cast<float>(largest));
}

struct Sub {
  int scale, minimum;  // integers
  float d, m;          // value = d * q - m
};

// Sub-blocks of `inputs` whose values lie between -m and -m + largest * d, with m at least 0.
std::vector<Sub> RangeScales(const float* x, int inputs, int largest, int largest_scale,
                             uint16_t* d_bits, uint16_t* m_bits) {
  std::vector<float> steps, minima;
  for (int at = 0; at < 256; at += inputs) {
    const auto [low, high] = std::minmax_element(x + at, x + at + inputs);
    const float minimum = std::max(0.0f, -*low);
    minima.push_back(minimum);
    steps.push_back(std::max(0.0f, *high + minimum) / static_cast<float>(largest));
  }
  *d_bits = SharedScale(steps, largest_scale);
  *m_bits = SharedScale(minima, largest_scale);
  const float d = DecodeF16(*d_bits), m = DecodeF16(*m_bits);
  std::vector<Sub> subs;
  for (size_t s = 0; s < steps.size(); ++s) {
    const int scale = Quantum(steps[s], d, 0, largest_scale);
    const int minimum = Quantum(minima[s], m, 0, largest_scale);
    subs.push_back(
        {scale, minimum, d * static_cast<float>(scale), m * static_cast<float>(minimum)});
  }
  return subs;
}

// Q4_K and Q5_K: d, scale of minima, 12 bytes of six-bit pairs, (32 bytes of fifth bits,) nibbles.
void EncodePairs(bool five, const float* x, uint8_t* b) {
  uint16_t d_bits = 0, m_bits = 0;
  const int largest = five ? 31 : 15;
  const std::vector<Sub> subs = RangeScales(x, 32, largest, 63, &d_bits, &m_bits);
  PutHalf(d_bits, b);
  PutHalf(m_bits, b + 2);
  uint8_t* bytes = b + 4;
  for (size_t s = 0; s < 4; ++s) {
    const Sub &first = subs[s], &later = subs[s + 4];
    bytes[s] = static_cast<uint8_t>(first.scale | later.scale >> 4 << 6);
    bytes[s + 4] = static_cast<uint8_t>(first.minimum | later.minimum >> 4 << 6);
    bytes[s + 8] = static_cast<uint8_t>((later.scale & 15) | (later.minimum & 15) << 4);
  }
  uint8_t* nibbles = b + (five ? 48 : 16);
  for (int i = 0; i < 256; ++i) {
    const int s = i / 32;
    const Sub& sub = subs[static_cast<size_t>(s)];
    const int q = Quantum(x[i] + sub.m, sub.d, 0, largest);
    nibbles[32 * (s / 2) + i % 32] |= static_cast<uint8_t>((q & 15) << (s % 2 * 4));
    if (five) b[16 + i % 32] |= static_cast<uint8_t>(q >> 4 << s);
  }
}

// The scale of each 16 values: the one of the greatest magnitude gets the quant -`largest`.
std::vector<float> SignedScales(const float* x, int inputs, int largest) {
  std::vector<float> steps;
  for (int at = 0; at < 256; at += inputs) {
    const float extreme = *std::max_element(
        x + at, x + at + inputs, [](float a, float b) { return std::abs(a) < std::abs(b); });
    steps.push_back(-extreme / static_cast<float>(largest));
  }
  return steps;
}

// Q6_K: nibbles, two upper bits, 16 signed scales, d.
void EncodeQ6_K(const float* x, uint8_t* b) {
  const std::vector<float> steps = SignedScales(x, 16, 32);
  const uint16_t d_bits = SharedScale(steps, 127);
  const float d = DecodeF16(d_bits);
  PutHalf(d_bits, b + 208);
  for (int i = 0; i < 256; ++i) {
    const int scale = Quantum(steps[static_cast<size_t>(i / 16)], d, -128, 127);
    b[192 + i / 16] = static_cast<uint8_t>(scale);
    const int q = Quantum(x[i], d * static_cast<float>(scale), -32, 31) + 32;
    const int half = i / 128, of_four = i / 32 % 4, part = i % 32;
    b[64 * half + 32 * (of_four % 2) + part] |= static_cast<uint8_t>((q & 15) << (of_four / 2 * 4));
    b[128 + 32 * half + part] |= static_cast<uint8_t>(q >> 4 << (2 * of_four));
  }
}

// Q2_K: 16 bytes of a scale and above it a minimum, pairs of bits, d, scale of minima.
void EncodeQ2_K(const float* x, uint8_t* b) {
  uint16_t d_bits = 0, m_bits = 0;
  const std::vector<Sub> subs = RangeScales(x, 16, 3, 15, &d_bits, &m_bits);
  PutHalf(d_bits, b + 80);
  PutHalf(m_bits, b + 82);
  for (int i = 0; i < 256; ++i) {
    const Sub& sub = subs[static_cast<size_t>(i / 16)];
    b[i / 16] = static_cast<uint8_t>(sub.scale | sub.minimum << 4);
    const int q = Quantum(x[i] + sub.m, sub.d, 0, 3);
    b[16 + i / 128 * 32 + i % 32] |= static_cast<uint8_t>(q << (i / 32 % 4 * 2));
  }
}

// Q3_K: third bits, pairs of bits, 16 scales of six bits with 32 added, d.
void EncodeQ3_K(const float* x, uint8_t* b) {
  const std::vector<float> steps = SignedScales(x, 16, 4);
  const uint16_t d_bits = SharedScale(steps, 31);
  const float d = DecodeF16(d_bits);
  PutHalf(d_bits, b + 108);
  uint8_t* bytes = b + 96;
  for (int s = 0; s < 16; ++s) {
    const int scale = Quantum(steps[static_cast<size_t>(s)], d, -32, 31);
    bytes[s % 8] |= static_cast<uint8_t>(((scale + 32) & 15) << (s / 8 * 4));
    bytes[8 + s % 4] |= static_cast<uint8_t>((scale + 32) >> 4 << (s / 4 * 2));
    for (int i = 16 * s; i < 16 * s + 16; ++i) {
      const int q = Quantum(x[i], d * static_cast<float>(scale), -4, 3) + 4;
      b[32 + i / 128 * 32 + i % 32] |= static_cast<uint8_t>((q & 3) << (i / 32 % 4 * 2));
      b[i % 32] |= static_cast<uint8_t>(q >> 2 << (i / 32));
    }
  }
}

// IQ4_XS: d, upper two bits of 8 scales with 32 added, lower four, nibbles.
void EncodeIQ4_XS(const float* x, uint8_t* b) {
  const std::vector<float> steps = SignedScales(x, 32, 127);
  const uint16_t d_bits = SharedScale(steps, 31);
  const float d = DecodeF16(d_bits);
  PutHalf(d_bits, b);
  for (int s = 0; s < 8; ++s) {
    const int scale = Quantum(steps[static_cast<size_t>(s)], d, -32, 31);
    b[2 + s / 4] |= static_cast<uint8_t>((scale + 32) >> 4 << (s % 4 * 2));
    b[4 + s / 2] |= static_cast<uint8_t>(((scale + 32) & 15) << (s % 2 * 4));
    for (int i = 0; i < 32; ++i) {
      const int q = NearestIq4(x[32 * s + i], d * static_cast<float>(scale));
      b[8 + 16 * s + i % 16] |= static_cast<uint8_t>(q << (i / 16 * 4));
    }
  }
}

}  // namespace

int NearestIq4(float x, float step) {
  const float wanted = step == 0 ? 0 : x / step;
  int best = 0;
  for (int i = 1; i < 16; ++i) {
    const auto distance = [&](int at) {
      return std::abs(wanted - static_cast<float>(kIq4Table[at]));
    };
    if (distance(i) < distance(best)) best = i;
  }
  return best;
}

void EncodeSuperBlock(TensorType type, const float* x, std::vector<uint8_t>& out) {
  std::vector<uint8_t> block(static_cast<size_t>(BlockBytes(type)));
  switch (type) {
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      EncodePairs(type == TensorType::kQ5_K, x, block.data());
      break;
    case TensorType::kQ6_K:
      EncodeQ6_K(x, block.data());
      break;
    case TensorType::kQ2_K:
      EncodeQ2_K(x, block.data());
      break;
    case TensorType::kQ3_K:
      EncodeQ3_K(x, block.data());
      break;
    case TensorType::kIQ4_XS:
      EncodeIQ4_XS(x, block.data());
      break;
    default:
      CHECK(!"a type without blocks of 256");
  }
  out.insert(out.end(), block.begin(), block.end());
}

}  // namespace mortar
