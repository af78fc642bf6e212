// y = W x with AVX2: a lane is an output row, a tile is one group of eight rows by up to four
// positions, and the weights of a block are unpacked once for all positions of the tile.
//
// Decode (one position) is bound by memory, so what counts is that the instructions for a block
// take less time than its loads: a Q4_1 block of 8 x 32 weights is 160 bytes and about 62
// instructions for int8 rows. One kernel serves all types: they differ in how quants come out of
// their planes, in what scales them, and in how many products fit a 16-bit sum, all known when it
// is compiled.
#include <immintrin.h>

#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/weights.h"
#include "engine/kernels/linear_tile.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace avx2 {
namespace {

constexpr int kTileRows = 4;

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

// One 32-input block of a group: its planes, and where its scales and its inputs are.
template <WeightType kType>
struct Block {
  const uint8_t* planes;
  const Scales<kType>& scales;
  int first_scale;  // of its parts, in `scales`
  int at;           // the block's place in a row
};

// acc + dot * (d * the block's scale), and what the weights' offset adds: eight outputs of one
// row, whose block is `at`, for the inputs of one scale.
template <WeightType kType, typename Quant>
inline __m256 Fold(const Block<kType>& block, int part, __m256i dot, const RoundedRows<Quant>& in,
                   int at, __m256 acc) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  int sum = in.sum[at];
  if constexpr (PartsOf(kType) == 2) sum = part == 0 ? in.low[at] : sum - in.low[at];
  if constexpr (kFormat.zero != 0) {
    dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(kFormat.zero * sum));
  }
  const int scale = block.first_scale + part;
  acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot),
                        _mm256_mul_ps(block.scales.d[scale], _mm256_set1_ps(in.d[at])), acc);
  if constexpr (kFormat.minima) {
    const float s = PartsOf(kType) == 1 ? in.s[at] : in.d[at] * static_cast<float>(sum);
    acc = _mm256_fmadd_ps(block.scales.m[scale], _mm256_set1_ps(s), acc);
  }
  return acc;
}

// Products that fit one sum of 16 bits: each is of two inputs, 2 * 127 * the largest weight.
consteval int ProductsThatFit(WeightType type) { return 32767 / (2 * 127 * LargestStored(type)); }

// Inputs [4 v, 4 v + 8) in sums of 16 bits, of neighbouring inputs.
inline __m256i MultiplyPair(const __m256i* weights, const int8_t* q, int v) {
  return _mm256_add_epi16(_mm256_maddubs_epi16(weights[v], Broadcast4(q + 4 * v)),
                          _mm256_maddubs_epi16(weights[v + 1], Broadcast4(q + 4 * v + 4)));
}

inline __m256i Widen(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

// The dot product of inputs [4 v, 4 v + 16).
template <WeightType kType>
inline __m256i MultiplyHalf(const __m256i* weights, const int8_t* q, int v) {
  static_assert(ProductsThatFit(kType) >= 2);
  const __m256i first = MultiplyPair(weights, q, v);
  const __m256i second = MultiplyPair(weights, q, v + 2);
  if constexpr (ProductsThatFit(kType) >= 4) return Widen(_mm256_add_epi16(first, second));
  return _mm256_add_epi32(Widen(first), Widen(second));
}

// The dot product of all 32 inputs.
template <WeightType kType>
inline __m256i MultiplyWhole(const __m256i* weights, const int8_t* q) {
  if constexpr (ProductsThatFit(kType) >= 8) {
    const __m256i first =
        _mm256_add_epi16(MultiplyPair(weights, q, 0), MultiplyPair(weights, q, 2));
    const __m256i second =
        _mm256_add_epi16(MultiplyPair(weights, q, 4), MultiplyPair(weights, q, 6));
    return Widen(_mm256_add_epi16(first, second));
  }
  return _mm256_add_epi32(MultiplyHalf<kType>(weights, q, 0), MultiplyHalf<kType>(weights, q, 4));
}

// The dot product of all 32 inputs with weights that have a sign, which is moved to the rows: a
// product of two inputs is at most 2 * 127 * 127, and there is no room for another.
inline __m256i MultiplySigned(const __m256i* weights, const int8_t* q) {
  __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) {
    const __m256i x = _mm256_sign_epi8(Broadcast4(q + 4 * v), weights[v]);
    const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(weights[v]), x);
    sum = _mm256_add_epi32(sum, Widen(products));
  }
  return sum;
}

// Adds a block to acc[kRows], int8 rows.
template <WeightType kType, int kRows>
inline void NarrowBlock(const Block<kType>& block, const TileInput& in, __m256* acc) {
  const int n_blocks = in.n_in / kBlock;
  __m256i weights[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) {
    if constexpr (FormatOf(kType).lookup) {
      weights[v] = LookedUpQuants<kType>(block.planes, v);
    } else {
      weights[v] = StoredQuants<kType>(block.planes, v);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const int8_t* q = in.narrow.q + static_cast<size_t>(r) * in.n_in + block.at * kBlock;
    const int at = r * n_blocks + block.at;
    if constexpr (FormatOf(kType).lookup) {
      acc[r] = Fold(block, 0, MultiplySigned(weights, q), in.narrow, at, acc[r]);
    } else if constexpr (PartsOf(kType) == 1) {
      acc[r] = Fold(block, 0, MultiplyWhole<kType>(weights, q), in.narrow, at, acc[r]);
    } else {
      acc[r] = Fold(block, 0, MultiplyHalf<kType>(weights, q, 0), in.narrow, at, acc[r]);
      acc[r] = Fold(block, 1, MultiplyHalf<kType>(weights, q, 4), in.narrow, at, acc[r]);
    }
  }
}

// Four inputs of eight rows in 16 bits: rows 0 1 | 4 5 and rows 2 3 | 6 7.
struct WideWeights {
  __m256i low, high;
};
template <WeightType kType>
inline WideWeights WidenWeights(const uint8_t* planes, int v) {
  const __m256i zero = _mm256_setzero_si256();
  if constexpr (FormatOf(kType).lookup) {  // into the upper bytes, and down with the sign
    const __m256i quants = LookedUpQuants<kType>(planes, v);
    return {_mm256_srai_epi16(_mm256_unpacklo_epi8(zero, quants), 8),
            _mm256_srai_epi16(_mm256_unpackhi_epi8(zero, quants), 8)};
  } else {
    const __m256i quants = StoredQuants<kType>(planes, v);
    return {_mm256_unpacklo_epi8(quants, zero), _mm256_unpackhi_epi8(quants, zero)};
  }
}

// The same with int16 rows: each row has two sums, which hadd joins in order. A product of two
// inputs is at most 2 * 127 * 32767, and the sum of all 32 stays below 2^27.
template <WeightType kType, int kRows>
inline void WideBlock(const Block<kType>& block, const TileInput& in, __m256* acc) {
  constexpr int kVectors = 8 / PartsOf(kType);
  const int n_blocks = in.n_in / kBlock;
#pragma GCC unroll 2
  for (int part = 0; part < PartsOf(kType); ++part) {
    __m256i low[kRows];
    __m256i high[kRows];
    for (int r = 0; r < kRows; ++r) low[r] = high[r] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int v = part * kVectors; v < (part + 1) * kVectors; ++v) {
      const WideWeights weights = WidenWeights<kType>(block.planes, v);
      for (int r = 0; r < kRows; ++r) {
        const __m256i x =
            Broadcast8(in.wide.q + static_cast<size_t>(r) * in.n_in + block.at * kBlock + 4 * v);
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(weights.low, x));
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(weights.high, x));
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m256i dot = _mm256_hadd_epi32(low[r], high[r]);
      acc[r] = Fold(block, part, dot, in.wide, r * n_blocks + block.at, acc[r]);
    }
  }
}

// The same for Q8_0, whose weights have a sign. A pair of products is at most 2 * 128 * 32767, and
// the sum of all 32 stays below 2^28. Rows 0 to 3 and 4 to 7 are summed apart, each in two halves.
template <int kRows>
inline void Q8Block(const Block<WeightType::kQ8_0>& block, const TileInput& in, __m256* acc) {
  const int n_blocks = in.n_in / kBlock;
  __m256i low[kRows];
  __m256i high[kRows];
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = _mm256_setzero_si256();
  for (int v = 0; v < 8; ++v) {
    const auto* quants = reinterpret_cast<const __m128i*>(block.planes + 32 * v);
    const __m256i rows_low = _mm256_cvtepi8_epi16(_mm_loadu_si128(quants));
    const __m256i rows_high = _mm256_cvtepi8_epi16(_mm_loadu_si128(quants + 1));
    for (int r = 0; r < kRows; ++r) {
      const __m256i x =
          Broadcast8(in.wide.q + static_cast<size_t>(r) * in.n_in + block.at * kBlock + 4 * v);
      low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(rows_low, x));
      high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(rows_high, x));
    }
  }
  for (int r = 0; r < kRows; ++r) {
    // The halves joined: rows 0 1 4 5 | 2 3 6 7, then in order.
    const __m256i joined = _mm256_hadd_epi32(low[r], high[r]);
    const __m256i dot = _mm256_permute4x64_epi64(joined, _MM_SHUFFLE(3, 1, 2, 0));
    acc[r] = Fold(block, 0, dot, in.wide, r * n_blocks + block.at, acc[r]);
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

// Inputs [begin, end) of one span added to acc[kRows], quantised weights.
template <WeightType kType, ActivationType kActivation, int kRows>
inline void QuantizedSpan(const uint8_t* group, int begin, int end, const TileInput& in,
                          __m256* acc) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  constexpr int kBlocks = kFormat.inputs / kBlock;
  constexpr size_t kHeaderBytes = static_cast<size_t>(kFormat.header_bytes) * kLanes;
  constexpr size_t kQuantBytes = static_cast<size_t>(kFormat.quant_bytes) * kLanes;
  for (int at = begin / kFormat.inputs; at < end / kFormat.inputs; ++at) {
    const uint8_t* header =
        group + static_cast<size_t>(at) * (kHeaderBytes + kBlocks * kQuantBytes);
    Scales<kType> scales;
    LoadScales<kType>(header, scales);
    for (int b = 0; b < kBlocks; ++b) {
      const Block<kType> block = {header + kHeaderBytes + static_cast<size_t>(b) * kQuantBytes,
                                  scales, b * PartsOf(kType), at * kBlocks + b};
      if constexpr (kType == WeightType::kQ8_0) {
        Q8Block<kRows>(block, in, acc);
      } else if constexpr (kActivation == ActivationType::kInt8) {
        NarrowBlock<kType, kRows>(block, in, acc);
      } else {
        WideBlock<kType, kRows>(block, in, acc);
      }
    }
  }
}

// The same for any weights.
template <WeightType kType, ActivationType kActivation, int kRows>
inline void SpanOf(const uint8_t* group, int begin, int end, const TileInput& in, __m256* acc) {
  if constexpr (kActivation != ActivationType::kF32) {
    QuantizedSpan<kType, kActivation, kRows>(group, begin, end, in, acc);
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

template <WeightType kType, ActivationType kActivation>
void LinearOf(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
              const LinearOutput& y) {
  const size_t group_bytes = w.group_bytes();
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + group_bytes * static_cast<size_t>(g);
    const int output = g * kLanes;
    const int n = w.n_out - output < kLanes ? w.n_out - output : kLanes;
    ForTiles<kTileRows>(x.n_rows, [&]<int kRows>(int row) {
      __m256 total[kRows];
      Tile<kType, kActivation, kRows>(group, TileAt<kActivation>(x, w.n_in, row), total);
      for (int r = 0; r < kRows; ++r) WriteOutputs(y, row + r, output, n, total[r]);
    });
  }
}

static_assert(kSpan % kSuperBlock == 0);

}  // namespace

void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y) {
  WithTypesOf(w, [&]<WeightType kType, ActivationType kActivation>() {
    LinearOf<kType, kActivation>(w, group_begin, group_end, x, y);
  });
}

}  // namespace avx2
}  // namespace mortar
