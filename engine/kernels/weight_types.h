// The types of weights that the kernels take, and how a block of each lies in memory once eight
// rows are interleaved.
//
// Source of the types: the GGUF format's blocks (ggml-org/ggml, src/ggml-common.h and
// ggml-quants.c, where `dequantize_row_*` defines their values).
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar {

inline constexpr int kLanes = 8;         // output rows of a group
inline constexpr int kBlock = 32;        // inputs that meet in one integer product
inline constexpr int kSuperBlock = 256;  // inputs of a block of a K type in the file

enum class WeightType {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ8_0,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};
inline constexpr int kWeightTypes = 11;

// What the rows of a product are rounded to: float weights take f32, weights of up to six bits
// int8, and eight-bit weights int16 (rule 3 of the numeric contract, which says why). Rows in which
// few values are far larger than the rest, `outliers`, take int16 with any quantised weights.
enum class ActivationType { kF32, kInt8, kInt16 };
constexpr bool IsQuantized(WeightType type) { return type >= WeightType::kQ4_0; }
constexpr ActivationType ActivationOf(WeightType type, bool outliers) {
  if (!IsQuantized(type)) return ActivationType::kF32;
  return type == WeightType::kQ8_0 || outliers ? ActivationType::kInt16 : ActivationType::kInt8;
}

// What one row keeps for one block of the file. Packed, eight rows lie side by side:
//
//   header   scales and minima, in the pieces of the table in pack.cc: each piece (an f16, a byte,
//            or four bytes) is stored for row 0, row 1, ... row 7 before the next one
//   quants   for each 32 inputs the planes that the type has, in this order, where byte 4 r + j of
//            a vector of 32 bytes belongs to row r:
//     bytes    8 vectors: vector v holds q[4 v + j], an int8
//     nibbles  4 vectors: vector v holds bits 0-3 of q[4 v + j], above them those of q[16 + 4 v +
//     j] pairs    2 vectors: vector u holds two bits, from `pairs_at` on, of q[16 u + 4 t + j] at 2
//     t bits     1 vector: bit `bit_at` of q[4 v + j] at bit v
//
// and a float matrix has for each input 8 values, one for each row. Nothing takes more bytes than
// in the file.
struct BlockFormat {
  int inputs = 1;             // 32 or 256; 1 for a float type
  int header_bytes = 0;       // of a block of the file
  int quant_bytes = 0;        // of 32 inputs, or of one float
  bool nibbles = false;       // a plane of nibbles
  int pairs_at = -1;          // a plane of pairs
  int bit_at = -1;            // a plane of bits
  int zero = 0;               // what is taken off a stored quant
  int scale_inputs = kBlock;  // inputs that share a scale: 32 or 16
  bool minima = false;        // a minimum beside each scale

  constexpr int blocks() const { return inputs == 1 ? 1 : inputs / kBlock; }  // of 32, or a float
  constexpr int bytes() const { return header_bytes + quant_bytes * blocks(); }
};
constexpr BlockFormat FormatOf(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return {.quant_bytes = 4};
    case WeightType::kF16:
    case WeightType::kBF16:
      return {.quant_bytes = 2};
    case WeightType::kQ4_0:
      return {.inputs = 32, .header_bytes = 2, .quant_bytes = 16, .nibbles = true, .zero = 8};
    case WeightType::kQ4_1:
      return {.inputs = 32, .header_bytes = 4, .quant_bytes = 16, .nibbles = true, .minima = true};
    case WeightType::kQ8_0:
      return {.inputs = 32, .header_bytes = 2, .quant_bytes = 32};
    case WeightType::kQ5_0:
      return {.inputs = 32,
              .header_bytes = 2,
              .quant_bytes = 20,
              .nibbles = true,
              .bit_at = 4,
              .zero = 16};
    case WeightType::kQ5_1:
      return {.inputs = 32,
              .header_bytes = 4,
              .quant_bytes = 20,
              .nibbles = true,
              .bit_at = 4,
              .minima = true};
    case WeightType::kQ4_K:
      return {.inputs = kSuperBlock,
              .header_bytes = 16,
              .quant_bytes = 16,
              .nibbles = true,
              .minima = true};
    case WeightType::kQ5_K:
      return {.inputs = kSuperBlock,
              .header_bytes = 16,
              .quant_bytes = 20,
              .nibbles = true,
              .bit_at = 4,
              .minima = true};
    case WeightType::kQ6_K:
      return {.inputs = kSuperBlock,
              .header_bytes = 18,
              .quant_bytes = 24,
              .nibbles = true,
              .pairs_at = 4,
              .zero = 32,
              .scale_inputs = 16};
  }
  return {};
}

// The same as data. Files with instructions of their own read this, or evaluate FormatOf when they
// are compiled: a call would leave a copy of it there that other files could share.
struct BlockFormats {
  BlockFormat of[kWeightTypes];
};
consteval BlockFormats AllBlockFormats() {
  BlockFormats all{};
  for (int i = 0; i < kWeightTypes; ++i) all.of[i] = FormatOf(static_cast<WeightType>(i));
  return all;
}
inline constexpr BlockFormats kBlockFormats = AllBlockFormats();

}  // namespace mortar
