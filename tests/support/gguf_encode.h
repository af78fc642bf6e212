// Floats as the bytes of a GGUF tensor, for writing test models. Plain and slow on purpose: it
// stands apart from the engine, so that the engine's readers are checked against other code.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/gguf/gguf.h"

namespace mortar {

// All types that tensors can have here.
inline constexpr TensorType kTensorTypes[] = {
    TensorType::kF32,  TensorType::kF16,    TensorType::kBF16,  TensorType::kQ4_0,
    TensorType::kQ4_1, TensorType::kQ5_0,   TensorType::kQ5_1,  TensorType::kQ8_0,
    TensorType::kQ4_K, TensorType::kQ5_K,   TensorType::kQ6_K,  TensorType::kQ2_K,
    TensorType::kQ3_K, TensorType::kIQ4_NL, TensorType::kIQ4_XS};

// What a nibble of the IQ4 types stands for.
inline constexpr int kIq4Table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

// The 16 bits of the nearest half, ties to even; beyond its range, infinity.
uint16_t EncodeF16(float value);
float DecodeF16(uint16_t half);
// The 16 bits of the nearest bfloat16, ties to even. Needs: no NaN.
uint16_t EncodeBf16(float value);

// The bytes of `values` as `type`. Needs: whole blocks, finite values.
std::vector<uint8_t> EncodeTensor(TensorType type, std::span<const float> values);

}  // namespace mortar
