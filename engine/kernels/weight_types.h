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
  kIQ4_NL,
  kIQ4_XS,
  kQ2_K,
  kQ3_K,
};
inline constexpr int kWeightTypes = 15;

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
//     bytes    8 vectors: an int8, q[4 v + j] in vector v
//     nibbles  4 vectors: bits 0-3 of q[4 v + j], and above them those of q[16 + 4 v + j]
//     pairs    2 vectors: two bits, from `pairs_at` on, of q[16 v + 4 t + j] at bit 2 t
//     bits     1 vector: bit `bit_at` of q[4 t + j] at bit t
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
  bool lookup = false;        // a quant is what kIq4Values has at the stored one
  int scale_inputs = kBlock;  // inputs that share a scale: 32 or 16
  bool minima = false;        // a minimum beside each scale

  constexpr int blocks() const { return inputs == 1 ? 1 : inputs / kBlock; }  // of 32, or a float
  constexpr int bytes() const { return header_bytes + quant_bytes * blocks(); }
};
// Of a type whose blocks have 256 inputs.
constexpr BlockFormat SuperBlockFormat(WeightType type) {
  BlockFormat format = {.inputs = kSuperBlock};
  switch (type) {
    case WeightType::kQ5_K:
      format.bit_at = 4;
      [[fallthrough]];
    case WeightType::kQ4_K:
      format.header_bytes = 16;
      format.quant_bytes = type == WeightType::kQ4_K ? 16 : 20;
      format.nibbles = format.minima = true;
      return format;
    case WeightType::kQ6_K:
      format.header_bytes = 18;
      format.quant_bytes = 24;
      format.nibbles = true;
      format.pairs_at = 4;
      format.zero = 32;
      format.scale_inputs = 16;
      return format;
    case WeightType::kIQ4_XS:
      format.header_bytes = 8;
      format.quant_bytes = 16;
      format.nibbles = format.lookup = true;
      return format;
    case WeightType::kQ2_K:
      format.header_bytes = 20;
      format.quant_bytes = 8;
      format.pairs_at = 0;
      format.scale_inputs = 16;
      format.minima = true;
      return format;
    case WeightType::kQ3_K:
      format.header_bytes = 14;
      format.quant_bytes = 12;
      format.pairs_at = 0;
      format.bit_at = 2;
      format.zero = 4;
      format.scale_inputs = 16;
      return format;
    default:
      return {};  // FormatOf has no other
  }
}

constexpr BlockFormat FormatOf(WeightType type) {
  constexpr BlockFormat kFourBits = {
      .inputs = kBlock, .header_bytes = 2, .quant_bytes = 16, .nibbles = true};
  BlockFormat format = kFourBits;  // of the types of 32 inputs
  switch (type) {
    case WeightType::kF32:
      return {.quant_bytes = 4};
    case WeightType::kF16:
    case WeightType::kBF16:
      return {.quant_bytes = 2};
    case WeightType::kQ8_0:
      return {.inputs = kBlock, .header_bytes = 2, .quant_bytes = 32};
    case WeightType::kQ4_0:
      format.zero = 8;
      return format;
    case WeightType::kQ4_1:
      format.header_bytes = 4;
      format.minima = true;
      return format;
    case WeightType::kQ5_0:
      format.quant_bytes = 20;
      format.bit_at = 4;
      format.zero = 16;
      return format;
    case WeightType::kQ5_1:
      format.header_bytes = 4;
      format.quant_bytes = 20;
      format.bit_at = 4;
      format.minima = true;
      return format;
    case WeightType::kIQ4_NL:
      format.lookup = true;
      return format;
    case WeightType::kQ4_K:
    case WeightType::kQ5_K:
    case WeightType::kQ6_K:
    case WeightType::kIQ4_XS:
    case WeightType::kQ2_K:
    case WeightType::kQ3_K:
      return SuperBlockFormat(type);
  }
  return {};
}

// Sub-blocks of a file's block that have a scale of their own, and how many of them 32 inputs have.
consteval int ScalesOf(WeightType type) {
  return FormatOf(type).inputs / FormatOf(type).scale_inputs;
}
consteval int PartsOf(WeightType type) { return kBlock / FormatOf(type).scale_inputs; }

// What a nibble of IQ4_NL and IQ4_XS stands for: finer where weights are many.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

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
