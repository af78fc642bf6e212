#include "tests/support/gguf_decode.h"

#include <bit>

#include "common/check.h"
#include "tests/support/gguf_encode.h"

namespace mortar {
namespace {

double Half(const uint8_t* at) {
  return static_cast<double>(DecodeF16(static_cast<uint16_t>(at[0] | at[1] << 8)));
}

double Float(uint32_t bits) { return static_cast<double>(std::bit_cast<float>(bits)); }

// `count` bits from bit `first` on.
int Bits(uint8_t byte, int first, int count) { return byte >> first & ((1 << count) - 1); }

// Element i of a block of 32: the low half of its 16 bytes, then the high half.
int Nibble(const uint8_t* quants, int i) { return Bits(quants[i % 16], i < 16 ? 0 : 4, 4); }

// Bit i of four bytes.
int HighBit(const uint8_t* bytes, int i) { return Bits(bytes[i / 8], i % 8, 1); }

double OfThirtyTwo(TensorType type, const uint8_t* b, int i) {
  switch (type) {
    case TensorType::kQ4_0:
      return Half(b) * (Nibble(b + 2, i) - 8);
    case TensorType::kQ4_1:
      return Half(b) * Nibble(b + 4, i) + Half(b + 2);
    case TensorType::kQ5_0:
      return Half(b) * (Nibble(b + 6, i) + 16 * HighBit(b + 2, i) - 16);
    case TensorType::kQ5_1:
      return Half(b) * (Nibble(b + 8, i) + 16 * HighBit(b + 4, i)) + Half(b + 2);
    case TensorType::kQ8_0:
      return Half(b) * static_cast<int8_t>(b[2 + i]);
    case TensorType::kIQ4_NL:
      return Half(b) * kIq4Table[Nibble(b + 2, i)];
    default:
      CHECK(!"a type without blocks of 32");
  }
  return 0;
}

// Scale and minimum of sub-block s of Q4_K and Q5_K: the first four in the low six bits of their
// bytes, the others' lower four bits in bytes of their own and the upper two above the first four.
struct SixBits {
  int scale, minimum;
};
SixBits SixBitPair(const uint8_t* bytes, int s) {
  if (s < 4) return {Bits(bytes[s], 0, 6), Bits(bytes[4 + s], 0, 6)};
  return {Bits(bytes[4 + s], 0, 4) + 16 * Bits(bytes[s - 4], 6, 2),
          Bits(bytes[4 + s], 4, 4) + 16 * Bits(bytes[s], 6, 2)};
}

double OfSuperBlock(TensorType type, const uint8_t* b, int i) {
  const int s = i / 32;     // sub-block of 32
  const int part = i % 32;  // place in it
  const int of_four = s % 4, half = s / 4;
  switch (type) {
    case TensorType::kQ4_K:
    case TensorType::kQ5_K: {
      const bool five = type == TensorType::kQ5_K;
      const uint8_t* nibbles = b + (five ? 48 : 16);
      int q = Bits(nibbles[32 * (s / 2) + part], s % 2 * 4, 4);
      if (five) q += 16 * Bits(b[16 + part], s, 1);
      const SixBits pair = SixBitPair(b + 4, s);
      return Half(b) * pair.scale * q - Half(b + 2) * pair.minimum;
    }
    case TensorType::kQ6_K: {
      const int low = Bits(b[64 * half + 32 * (of_four % 2) + part], of_four / 2 * 4, 4);
      const int high = Bits(b[128 + 32 * half + part], 2 * of_four, 2);
      const auto scale = static_cast<int8_t>(b[192 + i / 16]);
      return Half(b + 208) * scale * (low + 16 * high - 32);
    }
    case TensorType::kQ2_K: {
      const int q = Bits(b[16 + 32 * half + part], 2 * of_four, 2);
      const uint8_t byte = b[i / 16];
      return Half(b + 80) * Bits(byte, 0, 4) * q - Half(b + 82) * Bits(byte, 4, 4);
    }
    case TensorType::kQ3_K: {
      const int q = Bits(b[32 + 32 * half + part], 2 * of_four, 2) + 4 * Bits(b[part], s, 1) - 4;
      const int scale_at = i / 16;
      const int low = Bits(b[96 + scale_at % 8], scale_at / 8 * 4, 4);
      const int high = Bits(b[104 + scale_at % 4], scale_at / 4 * 2, 2);
      return Half(b + 108) * (low + 16 * high - 32) * q;
    }
    case TensorType::kIQ4_XS: {
      const int low = Bits(b[4 + s / 2], s % 2 * 4, 4);
      const int high = Bits(b[2 + s / 4], 2 * (s % 4), 2);
      return Half(b) * (low + 16 * high - 32) * kIq4Table[Nibble(b + 8 + 16 * s, part)];
    }
    default:
      CHECK(!"a type without blocks of 256");
  }
  return 0;
}

}  // namespace

std::vector<double> DecodeTensor(TensorType type, std::span<const uint8_t> bytes) {
  const auto block_bytes = static_cast<size_t>(BlockBytes(type));
  CHECK(bytes.size() % block_bytes == 0);
  std::vector<double> values;
  for (size_t at = 0; at < bytes.size(); at += block_bytes) {
    const uint8_t* b = bytes.data() + at;
    switch (BlockElements(type)) {
      case 256:
        for (int i = 0; i < 256; ++i) values.push_back(OfSuperBlock(type, b, i));
        break;
      case 32:
        for (int i = 0; i < 32; ++i) values.push_back(OfThirtyTwo(type, b, i));
        break;
      default:
        if (type == TensorType::kF16) {
          values.push_back(Half(b));
        } else {  // BF16 is the upper half of F32
          uint32_t bits = 0;
          for (size_t i = 0; i < block_bytes; ++i) bits |= uint32_t{b[i]} << (8 * i);
          values.push_back(Float(type == TensorType::kBF16 ? bits << 16 : bits));
        }
    }
  }
  return values;
}

}  // namespace mortar
