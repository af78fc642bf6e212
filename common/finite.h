// Whether floats are numbers: what other machines, files and damaged weights give may not be.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace mortar {

// IEEE 754: an exponent of ones alone is an infinity or not a number.
inline bool IsFinite(float value) {
  constexpr uint32_t kExponent = 0x7f800000;
  return (std::bit_cast<uint32_t>(value) & kExponent) != kExponent;
}

// Counted without a branch, so that the compiler takes many values at a time.
inline bool AllFinite(std::span<const float> values) {
  uint32_t n_bad = 0;
  for (const float value : values) n_bad += IsFinite(value) ? 0 : 1;
  return n_bad == 0;
}

}  // namespace mortar
