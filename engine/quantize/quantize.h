// Floats as the blocks of a GGUF tensor, when a model is loaded.
//
// The bytes of a row depend on its values alone, with arithmetic that every machine does alike: two
// nodes that quantise the same folder hold the same bricks.
// Source: the layouts of ggml-org/ggml's Q8_0 and Q4_K.
#pragma once

#include <cstdint>
#include <span>

#include "engine/gguf/gguf.h"

namespace mortar {

enum class Quantize { kNone, kQ8_0, kQ4_K };

// What a matrix with rows of `n_columns` becomes. With kQ4_K: Q8_0 for the embedding and the head
// (`is_end`), to which small errors matter most, and where 256 does not divide the columns. A row
// that 32 does not divide stays as it is.
TensorType QuantizedType(Quantize quantize, TensorType stored, uint64_t n_columns, bool is_end);

uint64_t QuantizedRowBytes(TensorType type, uint64_t n_columns);

// A row of kF32, kF16 or kBF16 as floats. Exact.
void ReadFloats(TensorType type, const uint8_t* from, std::span<float> to);

// A row as kF32, kQ8_0 or kQ4_K. Needs: whole blocks. What is not finite becomes what it may, in
// bounds.
void QuantizeRow(TensorType type, std::span<const float> values, uint8_t* to);

}  // namespace mortar
