// y = W x with AVX2: a lane is an output row, a tile is one group of eight rows by up to four
// positions, and the weights of a block are unpacked once for all positions of the tile.
//
// Decode (one position) is bound by memory: a Q4_1 block of 8 x 32 weights is 160 bytes and
// about 62 instructions for int8 rows, less than the time its loads take.
#include <immintrin.h>

#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace avx2 {
namespace {

constexpr int kTileRows = 4;
constexpr int kSpanBlocks = kSpan / kBlock;

// The rows of a tile: pointers to the first of kRows consecutive rows.
struct TileInput {
  const float* x;
  RoundedRows<int8_t> narrow;
  RoundedRows<int16_t> wide;
  int n_in;
};

__m256i Load32(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

// Four bytes of a row, in every lane.
__m256i Broadcast4(const int8_t* p) {
  int32_t v;
  std::memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}

// Four 16-bit values of a row, in every half lane.
__m256i Broadcast8(const int16_t* p) {
  int64_t v;
  std::memcpy(&v, p, 8);
  return _mm256_set1_epi64x(v);
}

__m256 LoadHalf8(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// acc + dot * (d * the block's scale), and what the weights' offset adds: eight outputs of one
// row, whose block `at` is met.
template <WeightType kType, typename Quant>
inline __m256 FoldBlock(const uint8_t* block, __m256i dot, const RoundedRows<Quant>& in, int at,
                        __m256 acc) {
  if constexpr (kType == WeightType::kQ4_0) {  // stored with 8 added to each weight
    dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(8 * in.sum[at]));
  }
  const __m256 scale = _mm256_mul_ps(LoadHalf8(block), _mm256_set1_ps(in.d[at]));
  acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, acc);
  if constexpr (kType == WeightType::kQ4_1) {
    acc = _mm256_fmadd_ps(LoadHalf8(block + 16), _mm256_set1_ps(in.s[at]), acc);
  }
  return acc;
}

// Adds block `b` of a Q4 group to acc[kRows]. A product of a nibble and an int8 is at most
// 15 * 127, so the 16-bit lanes hold the sum of all 16 products that meet in one: 30,480.
template <WeightType kType, int kRows>
inline void Q4Block(const uint8_t* block, int b, const TileInput& in, __m256* acc) {
  const int n_blocks = in.n_in / kBlock;
  const __m256i mask = _mm256_set1_epi8(15);
  const uint8_t* quants = block + HeaderBytesOf<kType>();
  __m256i weights[8];
  for (int v = 0; v < 4; ++v) {
    const __m256i both = Load32(quants + 32 * v);
    weights[v] = _mm256_and_si256(both, mask);
    weights[v + 4] = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
  }
  for (int r = 0; r < kRows; ++r) {
    const int8_t* q = in.narrow.q + static_cast<size_t>(r) * in.n_in + b * kBlock;
    __m256i even = _mm256_maddubs_epi16(weights[0], Broadcast4(q));
    __m256i odd = _mm256_maddubs_epi16(weights[1], Broadcast4(q + 4));
    for (int v = 2; v < 8; v += 2) {
      even = _mm256_add_epi16(even, _mm256_maddubs_epi16(weights[v], Broadcast4(q + 4 * v)));
      odd = _mm256_add_epi16(odd, _mm256_maddubs_epi16(weights[v + 1], Broadcast4(q + 4 * v + 4)));
    }
    const __m256i dot = _mm256_madd_epi16(_mm256_add_epi16(even, odd), _mm256_set1_epi16(1));
    acc[r] = FoldBlock<kType>(block, dot, in.narrow, r * n_blocks + b, acc[r]);
  }
}

// The same with int16 rows. Nibbles are widened by pairing them with zeros inside each half of
// the vector: rows 0 1 | 4 5 and 2 3 | 6 7, each row in two sums, which hadd joins in order.
template <WeightType kType, int kRows>
inline void Q4WideBlock(const uint8_t* block, int b, const TileInput& in, __m256* acc) {
  const int n_blocks = in.n_in / kBlock;
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i zero = _mm256_setzero_si256();
  __m256i low[kRows];
  __m256i high[kRows];
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = zero;
  for (int v = 0; v < 8; ++v) {
    const __m256i both = Load32(block + HeaderBytesOf<kType>() + 32 * (v % 4));
    const __m256i nibbles = _mm256_and_si256(v < 4 ? both : _mm256_srli_epi16(both, 4), mask);
    const __m256i rows_low = _mm256_unpacklo_epi8(nibbles, zero);
    const __m256i rows_high = _mm256_unpackhi_epi8(nibbles, zero);
    for (int r = 0; r < kRows; ++r) {
      const __m256i x =
          Broadcast8(in.wide.q + static_cast<size_t>(r) * in.n_in + b * kBlock + 4 * v);
      low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(rows_low, x));
      high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(rows_high, x));
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const __m256i dot = _mm256_hadd_epi32(low[r], high[r]);
    acc[r] = FoldBlock<kType>(block, dot, in.wide, r * n_blocks + b, acc[r]);
  }
}

// Adds block `b` of a Q8_0 group. Weights are widened to 16 bits; a pair of products is at
// most 2 * 128 * 32767, and the sum of all 32 stays below 2^28. A vector of 32 bytes holds four
// inputs of eight rows, so that rows 0 to 3 and 4 to 7 are summed apart, each in two halves.
template <int kRows>
inline void Q8Block(const uint8_t* block, int b, const TileInput& in, __m256* acc) {
  const int n_blocks = in.n_in / kBlock;
  __m256i low[kRows];
  __m256i high[kRows];
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = _mm256_setzero_si256();
  for (int v = 0; v < 8; ++v) {
    const auto* quants =
        reinterpret_cast<const __m128i*>(block + HeaderBytesOf<WeightType::kQ8_0>() + 32 * v);
    const __m256i rows_low = _mm256_cvtepi8_epi16(_mm_loadu_si128(quants));
    const __m256i rows_high = _mm256_cvtepi8_epi16(_mm_loadu_si128(quants + 1));
    for (int r = 0; r < kRows; ++r) {
      const __m256i x =
          Broadcast8(in.wide.q + static_cast<size_t>(r) * in.n_in + b * kBlock + 4 * v);
      low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(rows_low, x));
      high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(rows_high, x));
    }
  }
  for (int r = 0; r < kRows; ++r) {
    // The halves joined: rows 0 1 4 5 | 2 3 6 7, then in order.
    const __m256i joined = _mm256_hadd_epi32(low[r], high[r]);
    const __m256i dot = _mm256_permute4x64_epi64(joined, _MM_SHUFFLE(3, 1, 2, 0));
    acc[r] = FoldBlock<WeightType::kQ8_0>(block, dot, in.wide, r * n_blocks + b, acc[r]);
  }
}

template <WeightType kType>
inline __m256 LoadFloat8(const uint8_t* group, int k) {
  if constexpr (kType == WeightType::kF16) {
    return LoadHalf8(group + 16 * static_cast<size_t>(k));
  } else if constexpr (kType == WeightType::kBF16) {
    const __m128i half =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(group + 16 * static_cast<size_t>(k)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  } else {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(group) + 8 * static_cast<size_t>(k));
  }
}

// Inputs [begin, end) of one span added to acc[kRows].
template <WeightType kType, ActivationType kActivation, int kRows>
inline void SpanOf(const uint8_t* group, int begin, int end, const TileInput& in, __m256* acc) {
  if constexpr (kType == WeightType::kQ4_0 || kType == WeightType::kQ4_1) {
    for (int b = begin / kBlock; b < end / kBlock; ++b) {
      const uint8_t* block = group + static_cast<size_t>(b) * BlockBytesOf<kType>();
      if constexpr (kActivation == ActivationType::kInt8) {
        Q4Block<kType, kRows>(block, b, in, acc);
      } else {
        Q4WideBlock<kType, kRows>(block, b, in, acc);
      }
    }
  } else if constexpr (kType == WeightType::kQ8_0) {
    for (int b = begin / kBlock; b < end / kBlock; ++b) {
      Q8Block<kRows>(group + static_cast<size_t>(b) * BlockBytesOf<kType>(), b, in, acc);
    }
  } else {
    for (int k = begin; k < end; ++k) {
      const __m256 w = LoadFloat8<kType>(group, k);
      for (int r = 0; r < kRows; ++r) {
        const __m256 x = _mm256_set1_ps(in.x[static_cast<size_t>(r) * in.n_in + k]);
        acc[r] = _mm256_fmadd_ps(w, x, acc[r]);
      }
    }
  }
}

template <WeightType kType, ActivationType kActivation, int kRows>
void Tile(const uint8_t* group, const TileInput& in, __m256* total) {
  for (int begin = 0; begin < in.n_in; begin += kSpan) {
    const int end = begin + kSpan < in.n_in ? begin + kSpan : in.n_in;
    __m256 acc[kRows];
    for (int r = 0; r < kRows; ++r) acc[r] = _mm256_setzero_ps();
    SpanOf<kType, kActivation, kRows>(group, begin, end, in, acc);
    for (int r = 0; r < kRows; ++r) {
      total[r] = begin == 0 ? acc[r] : _mm256_add_ps(total[r], acc[r]);
    }
  }
}

void WriteOutputs(const LinearOutput& y, int row, int output, int n, __m256 total) {
  float* to = y.y + static_cast<size_t>(row) * y.stride + output;
  if (n == kLanes) {
    if (y.add) total = _mm256_add_ps(_mm256_loadu_ps(to), total);
    _mm256_storeu_ps(to, total);
    return;
  }
  float values[kLanes];
  _mm256_storeu_ps(values, total);
  for (int i = 0; i < n; ++i) to[i] = y.add ? to[i] + values[i] : values[i];
}

// Only the form that this product reads is there.
template <ActivationType kActivation>
TileInput TileAt(const LinearInput& x, int n_in, int row) {
  const size_t at = static_cast<size_t>(row) * static_cast<size_t>(n_in);
  switch (kActivation) {
    case ActivationType::kF32:
      return {x.x + at, {}, {}, n_in};
    case ActivationType::kInt8:
      return {nullptr, x.narrow.From(at), {}, n_in};
    case ActivationType::kInt16:
      return {nullptr, {}, x.wide.From(at), n_in};
  }
}

template <WeightType kType, ActivationType kActivation>
void LinearOf(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
              const LinearOutput& y) {
  const size_t group_bytes = w.group_bytes();
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + group_bytes * static_cast<size_t>(g);
    const int output = g * kLanes;
    const int n = w.n_out - output < kLanes ? w.n_out - output : kLanes;
    for (int row = 0; row < x.n_rows; row += kTileRows) {
      const TileInput in = TileAt<kActivation>(x, w.n_in, row);
      const int n_tile = x.n_rows - row < kTileRows ? x.n_rows - row : kTileRows;
      __m256 total[kTileRows];
      switch (n_tile) {
        case 4:
          Tile<kType, kActivation, 4>(group, in, total);
          break;
        case 3:
          Tile<kType, kActivation, 3>(group, in, total);
          break;
        case 2:
          Tile<kType, kActivation, 2>(group, in, total);
          break;
        default:
          Tile<kType, kActivation, 1>(group, in, total);
          break;
      }
      for (int r = 0; r < n_tile; ++r) WriteOutputs(y, row + r, output, n, total[r]);
    }
  }
}

static_assert(kSpan % kBlock == 0 && kSpanBlocks == 16);

template <WeightType kType>
void FourBitLinear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
                   const LinearOutput& y) {
  if (w.activation == ActivationType::kInt16) {
    return LinearOf<kType, ActivationType::kInt16>(w, group_begin, group_end, x, y);
  }
  LinearOf<kType, ActivationType::kInt8>(w, group_begin, group_end, x, y);
}

}  // namespace

void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y) {
  switch (w.type) {
    case WeightType::kF32:
      return LinearOf<WeightType::kF32, ActivationType::kF32>(w, group_begin, group_end, x, y);
    case WeightType::kF16:
      return LinearOf<WeightType::kF16, ActivationType::kF32>(w, group_begin, group_end, x, y);
    case WeightType::kBF16:
      return LinearOf<WeightType::kBF16, ActivationType::kF32>(w, group_begin, group_end, x, y);
    case WeightType::kQ4_0:
      return FourBitLinear<WeightType::kQ4_0>(w, group_begin, group_end, x, y);
    case WeightType::kQ4_1:
      return FourBitLinear<WeightType::kQ4_1>(w, group_begin, group_end, x, y);
    case WeightType::kQ8_0:
      return LinearOf<WeightType::kQ8_0, ActivationType::kInt16>(w, group_begin, group_end, x, y);
  }
}

}  // namespace avx2
}  // namespace mortar
