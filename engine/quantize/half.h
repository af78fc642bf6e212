// binary16 and bfloat16.
#pragma once

#include <cstdint>

namespace mortar {

float FromHalf(uint16_t half);
float FromBfloat(uint16_t bits);
uint16_t ToHalf(float value);  // round to nearest even; beyond the range: infinity

}  // namespace mortar
