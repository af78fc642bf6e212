// The smallest pieces of the numeric contract, for scalar code.
//
// Everything is `static`: this header is compiled into files with different instruction-set
// flags, and a shared inline copy could be one that this CPU cannot run.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace mortar {

// a * b + c, rounded once. Without an fma instruction it is computed in binary64: the product
// of two 24-bit significands is exact there, the sum is rounded to odd (its last bit records
// that something was lost), and 53 bits are enough for the final rounding to be right.
// Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008).
static inline float Fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = static_cast<double>(c);
  const double sum = product + addend;
  // Infinite, or no number, only where an input is: nothing is lost then, and what is computed
  // below would be inf - inf.
  if (!(sum - sum == 0)) return static_cast<float>(sum);
  const double back = sum - product;
  const double lost = (product - (sum - back)) + (addend - back);
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  if (lost != 0 && (bits & 1) == 0) {
    // Towards the lost part: away from zero when both have one sign.
    bits += ((lost > 0) == (sum > 0)) ? 1 : -1;
  }
  return static_cast<float>(std::bit_cast<double>(bits));
#endif
}

static inline float HalfToFloat(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t rest = static_cast<uint32_t>(h & 0x7fff);
  if (rest >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000u | ((rest & 0x3ff) << 13));
  if (rest >= 0x0400) return std::bit_cast<float>(sign | ((rest << 13) + (112u << 23)));
  const float subnormal = static_cast<float>(rest) * 0x1p-24f;  // exact
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(subnormal));
}

// Round to nearest even; beyond 65520 it is infinity.
static inline uint16_t FloatToHalf(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (rest >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (rest < 0x38800000) {  // below 2^-14: the sum's last bit stands for 2^-24
    const float rounded = std::bit_cast<float>(rest) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000u));
  }
  const uint32_t odd = (rest >> 13) & 1;
  return static_cast<uint16_t>(sign | ((rest - (112u << 23) + 0xfff + odd) >> 13));
}

static inline float Bf16ToFloat(uint16_t b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b) << 16);
}

static inline uint16_t LoadU16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}

static inline float LoadF32(const uint8_t* p) {
  float v;
  std::memcpy(&v, p, 4);
  return v;
}

// The partial sums of rule 5, folded by halves: 8, 4, 2, 1.
static inline float FoldSixteen(float* p) {
  for (int half = 8; half >= 1; half /= 2) {
    for (int i = 0; i < half; ++i) p[i] += p[i + half];
  }
  return p[0];
}

}  // namespace mortar
