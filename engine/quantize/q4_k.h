// Q4_K: super-blocks of 256 values, each of eight blocks of 32 with a scale and a minimum of six
// bits. Inside engine/quantize only.
#pragma once

#include <cstdint>

namespace mortar {

inline constexpr int kSuperBlock = 256;
inline constexpr int kQ4KBytes = 144;

// 256 values as the 144 bytes of one super-block.
void QuantizeQ4K(const float* values, uint8_t* to);

}  // namespace mortar
