#include "engine/kernels/pack.h"

#include <array>
#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

// A piece of a block's header: where it begins in the file's block, and its bytes. In the order in
// which they are packed: the scale of the whole block, its minimum, then those of sub-blocks.
struct Piece {
  int at;
  int bytes;
};

template <WeightType kType>
constexpr auto HeaderPieces() {
  if constexpr (kType == WeightType::kQ4_1 || kType == WeightType::kQ5_1) {
    return std::array<Piece, 2>{{{0, 2}, {2, 2}}};
  } else if constexpr (kType == WeightType::kQ4_K || kType == WeightType::kQ5_K) {
    return std::array<Piece, 5>{{{0, 2}, {2, 2}, {4, 4}, {8, 4}, {12, 4}}};
  } else if constexpr (kType == WeightType::kQ6_K) {
    std::array<Piece, 17> pieces{{{208, 2}}};
    for (int i = 0; i < 16; ++i) pieces[static_cast<size_t>(i) + 1] = {192 + i, 1};
    return pieces;
  } else if constexpr (kType == WeightType::kQ2_K) {
    std::array<Piece, 18> pieces{{{80, 2}, {82, 2}}};
    for (int i = 0; i < 16; ++i) pieces[static_cast<size_t>(i) + 2] = {i, 1};
    return pieces;
  } else if constexpr (kType == WeightType::kQ3_K) {
    return std::array<Piece, 4>{{{108, 2}, {96, 4}, {100, 4}, {104, 4}}};
  } else if constexpr (kType == WeightType::kIQ4_XS) {
    return std::array<Piece, 3>{{{0, 2}, {2, 2}, {4, 4}}};
  } else {
    return std::array<Piece, 1>{{{0, 2}}};
  }
}

template <WeightType kType>
void PackHeader(const uint8_t* src, int lane, uint8_t* dst) {
  constexpr auto kPieces = HeaderPieces<kType>();
  for (const Piece& piece : kPieces) {
    std::memcpy(dst + lane * piece.bytes, src + piece.at, static_cast<size_t>(piece.bytes));
    dst += kLanes * piece.bytes;
  }
}

// Element i and element i + 16 share a byte.
void ReadNibbles(const uint8_t* from, uint8_t* q) {
  for (int i = 0; i < kBlock / 2; ++i) {
    q[i] = from[i] & 15;
    q[i + kBlock / 2] = from[i] >> 4;
  }
}

// The 32 quants of sub-block b of a file's block, as they are stored: unsigned, but for Q8_0.
template <WeightType kType>
void ReadQuants(const uint8_t* src, int b, uint8_t* q) {
  if constexpr (kType == WeightType::kQ8_0) {
    std::memcpy(q, src + 2, kBlock);
  } else if constexpr (kType == WeightType::kQ4_0 || kType == WeightType::kQ4_1 ||
                       kType == WeightType::kIQ4_NL || kType == WeightType::kIQ4_XS) {
    ReadNibbles(src + FormatOf(kType).header_bytes + 16 * b, q);
  } else if constexpr (kType == WeightType::kQ5_0 || kType == WeightType::kQ5_1) {
    const uint8_t* high = src + FormatOf(kType).header_bytes;
    ReadNibbles(high + 4, q);
    for (int i = 0; i < kBlock; ++i) q[i] |= ((high[i / 8] >> (i % 8)) & 1) << 4;
  } else if constexpr (kType == WeightType::kQ4_K || kType == WeightType::kQ5_K) {
    // Two sub-blocks share 32 bytes of nibbles; a byte of high bits holds all eight's.
    const uint8_t* low = src + (kType == WeightType::kQ4_K ? 16 : 48) + 32 * (b / 2);
    const int shift = 4 * (b % 2);
    for (int i = 0; i < kBlock; ++i) q[i] = (low[i] >> shift) & 15;
    if constexpr (kType == WeightType::kQ5_K) {
      for (int i = 0; i < kBlock; ++i) q[i] |= ((src[16 + i] >> b) & 1) << 4;
    }
  } else if constexpr (kType == WeightType::kQ2_K || kType == WeightType::kQ3_K) {
    // In halves of 128: a byte holds two bits of four sub-blocks. The third bits of Q3_K stand
    // before them, those of all eight sub-blocks in a byte.
    const uint8_t* low = src + (kType == WeightType::kQ2_K ? 16 : 32) + 32 * (b / 4);
    for (int i = 0; i < kBlock; ++i) q[i] = (low[i] >> (2 * (b % 4))) & 3;
    if constexpr (kType == WeightType::kQ3_K) {
      for (int i = 0; i < kBlock; ++i) q[i] |= ((src[i] >> b) & 1) << 2;
    }
  } else {
    // Q6_K, in halves of 128: nibbles of sub-blocks 0 and 2, 1 and 3 share 32 bytes, and a byte of
    // high bits holds two bits of all four.
    const int part = b % 4;
    const uint8_t* low = src + 64 * (b / 4) + 32 * (part % 2);
    const uint8_t* high = src + 128 + 32 * (b / 4);
    for (int i = 0; i < kBlock; ++i) {
      q[i] = static_cast<uint8_t>(((low[i] >> (4 * (part / 2))) & 15) |
                                  (((high[i] >> (2 * part)) & 3) << 4));
    }
  }
}

void StoreWord(uint32_t word, uint8_t* to) { std::memcpy(to, &word, sizeof(word)); }

// The planes of 32 quants into lane `lane`. A word holds four neighbouring inputs.
template <WeightType kType>
void WriteQuants(const uint8_t* q, int lane, uint8_t* dst) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  uint32_t word[kBlock / 4];
  std::memcpy(word, q, kBlock);
  uint8_t* to = dst + 4 * lane;
  if constexpr (kFormat.nibbles) {
    for (int v = 0; v < 4; ++v, to += 4 * kLanes) {
      StoreWord((word[v] & 0x0f0f0f0f) | (word[v + 4] & 0x0f0f0f0f) << 4, to);
    }
  }
  if constexpr (kFormat.pairs_at >= 0) {
    for (int u = 0; u < 2; ++u, to += 4 * kLanes) {
      uint32_t pairs = 0;
      for (int t = 0; t < 4; ++t) {
        pairs |= ((word[4 * u + t] >> kFormat.pairs_at) & 0x03030303) << (2 * t);
      }
      StoreWord(pairs, to);
    }
  }
  if constexpr (kFormat.bit_at >= 0) {
    uint32_t bits = 0;
    for (int v = 0; v < 8; ++v) bits |= ((word[v] >> kFormat.bit_at) & 0x01010101) << v;
    StoreWord(bits, to);
  }
  if constexpr (kType == WeightType::kQ8_0) {
    for (int v = 0; v < 8; ++v, to += 4 * kLanes) StoreWord(word[v], to);
  }
}

// One row into lane `lane` of its group. A row beyond the matrix has no source and is zero.
template <WeightType kType>
void PackRow(const uint8_t* src, int n_in, int lane, uint8_t* group) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  static constexpr uint8_t kZero[kFormat.bytes()] = {};
  for (int at = 0; at < n_in / kFormat.inputs; ++at, group += kFormat.bytes() * kLanes) {
    const uint8_t* block = src == nullptr ? kZero : src + static_cast<size_t>(at) * kFormat.bytes();
    if constexpr (!IsQuantized(kType)) {
      std::memcpy(group + lane * kFormat.quant_bytes, block, kFormat.quant_bytes);
    } else {
      PackHeader<kType>(block, lane, group);
      uint8_t* quants = group + kFormat.header_bytes * kLanes;
      for (int b = 0; b < kFormat.blocks(); ++b) {
        uint8_t q[kBlock];
        ReadQuants<kType>(block, b, q);
        WriteQuants<kType>(q, lane, quants + b * kFormat.quant_bytes * kLanes);
      }
    }
  }
}

using PackRowFunction = void (*)(const uint8_t* src, int n_in, int lane, uint8_t* group);

PackRowFunction PackRowOf(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return PackRow<WeightType::kF32>;
    case WeightType::kF16:
      return PackRow<WeightType::kF16>;
    case WeightType::kBF16:
      return PackRow<WeightType::kBF16>;
    case WeightType::kQ4_0:
      return PackRow<WeightType::kQ4_0>;
    case WeightType::kQ4_1:
      return PackRow<WeightType::kQ4_1>;
    case WeightType::kQ8_0:
      return PackRow<WeightType::kQ8_0>;
    case WeightType::kQ5_0:
      return PackRow<WeightType::kQ5_0>;
    case WeightType::kQ5_1:
      return PackRow<WeightType::kQ5_1>;
    case WeightType::kQ4_K:
      return PackRow<WeightType::kQ4_K>;
    case WeightType::kQ5_K:
      return PackRow<WeightType::kQ5_K>;
    case WeightType::kQ6_K:
      return PackRow<WeightType::kQ6_K>;
    case WeightType::kIQ4_NL:
      return PackRow<WeightType::kIQ4_NL>;
    case WeightType::kIQ4_XS:
      return PackRow<WeightType::kIQ4_XS>;
    case WeightType::kQ2_K:
      return PackRow<WeightType::kQ2_K>;
    case WeightType::kQ3_K:
      return PackRow<WeightType::kQ3_K>;
  }
  CHECK(false);
}

}  // namespace

size_t PackedMatrix::group_bytes() const {
  const BlockFormat format = FormatOf(type);
  return static_cast<size_t>(n_in / format.inputs) * format.bytes() * kLanes;
}

size_t FileRowBytes(WeightType type, int n_in) {
  const BlockFormat format = FormatOf(type);
  return static_cast<size_t>(n_in / format.inputs) * format.bytes();
}

void PackGroups(const PackedMatrix& w, const uint8_t* src, int group_begin, int group_end,
                uint8_t* dst) {
  CHECK(w.n_in % FormatOf(w.type).inputs == 0);
  const PackRowFunction pack_row = PackRowOf(w.type);
  const size_t row_bytes = FileRowBytes(w.type, w.n_in);
  for (int g = group_begin; g < group_end; ++g) {
    uint8_t* group = dst + w.group_bytes() * static_cast<size_t>(g);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int row = g * kLanes + lane;
      const uint8_t* from = row < w.n_out ? src + row_bytes * static_cast<size_t>(row) : nullptr;
      pack_row(from, w.n_in, lane, group);
    }
  }
}

}  // namespace mortar
