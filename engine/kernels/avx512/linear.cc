// y = W x with AVX-512 and its dot products of bytes (VNNI): a lane is an output row, a tile is two
// neighbouring groups of eight rows by up to eight positions, and the weights of a block are
// unpacked once for all positions of the tile.
//
// Each lane computes what its row computes everywhere: integer sums are exact, and the rest runs
// through the same operations in the same order as in avx2/linear.cc.
#include <immintrin.h>

#include <cstring>

#include "engine/kernels/avx512/avx512.h"
#include "engine/kernels/avx512/weights.h"
#include "engine/kernels/linear_tile.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace avx512 {
namespace {

constexpr int kTileRows = 8;

// Four bytes of a row, in every lane.
inline __m512i Broadcast4(const int8_t* p) {
  int32_t v;
  std::memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}

// Four 16-bit values of a row, in every half of a group's lanes.
inline __m512i Broadcast8(const int16_t* p) {
  int64_t v;
  std::memcpy(&v, p, 8);
  return _mm512_set1_epi64(v);
}

// One 32-input block of two groups: its planes, and where its scales and its inputs are.
template <WeightType kType>
struct Block {
  Pair planes;
  const Scales<kType>& scales;
  int first_scale;  // of its parts, in `scales`
  int at;           // the block's place in a row
};

// acc + dot * (d * the block's scale), and what the weights' offset adds: sixteen outputs of one
// row, whose block is `at`, for the inputs of one scale.
template <WeightType kType, typename Quant>
inline __m512 Fold(const Block<kType>& block, int part, __m512i dot, const RoundedRows<Quant>& in,
                   int at, __m512 acc) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  int sum = in.sum[at];
  if constexpr (PartsOf(kType) == 2) sum = part == 0 ? in.low[at] : sum - in.low[at];
  if constexpr (kFormat.zero != 0) {
    dot = _mm512_sub_epi32(dot, _mm512_set1_epi32(kFormat.zero * sum));
  }
  const int scale = block.first_scale + part;
  acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot),
                        _mm512_mul_ps(block.scales.d[scale], _mm512_set1_ps(in.d[at])), acc);
  if constexpr (kFormat.minima) {
    const float s = PartsOf(kType) == 1 ? in.s[at] : in.d[at] * static_cast<float>(sum);
    acc = _mm512_fmadd_ps(block.scales.m[scale], _mm512_set1_ps(s), acc);
  }
  return acc;
}

// Adds a block to acc[kRows], int8 rows. The instruction takes bytes without a sign times bytes
// with one. Weights with a sign are multiplied by x + 128, and 128 times their sum is taken off
// again.
template <WeightType kType, int kRows>
inline void NarrowBlock(const Block<kType>& block, const TileInput& in, __m512* acc) {
  constexpr int kVectors = 8 / PartsOf(kType);
  const int n_blocks = in.n_in / kBlock;
  __m512i weights[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) weights[v] = Quants<kType>(block.planes, v);
  __m512i sums = _mm512_setzero_si512();
  if constexpr (HasSign(kType)) {
    static_assert(PartsOf(kType) == 1);
    for (int v = 0; v < 8; ++v) {
      sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(static_cast<char>(128)), weights[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const int8_t* q = in.narrow.q + static_cast<size_t>(r) * in.n_in + block.at * kBlock;
#pragma GCC unroll 2
    for (int part = 0; part < PartsOf(kType); ++part) {
      __m512i dot = _mm512_setzero_si512();
#pragma GCC unroll 8
      for (int v = part * kVectors; v < (part + 1) * kVectors; ++v) {
        const __m512i x = Broadcast4(q + 4 * v);
        if constexpr (HasSign(kType)) {
          const __m512i raised = _mm512_xor_si512(x, _mm512_set1_epi8(static_cast<char>(128)));
          dot = _mm512_dpbusd_epi32(dot, raised, weights[v]);
        } else {
          dot = _mm512_dpbusd_epi32(dot, weights[v], x);
        }
      }
      if constexpr (HasSign(kType)) dot = _mm512_sub_epi32(dot, sums);
      acc[r] = Fold(block, part, dot, in.narrow, r * n_blocks + block.at, acc[r]);
    }
  }
}

// The sums of neighbouring lanes: of `first` in the lower half, of `second` in the upper.
inline __m512i AddNeighbours(__m512i first, __m512i second) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_add_epi32(_mm512_permutex2var_epi32(first, even, second),
                          _mm512_permutex2var_epi32(first, odd, second));
}

// The same with int16 rows: each group is widened to a vector, in which a row has two sums. A
// product of two inputs is at most 2 * 128 * 32767, and the sum of all 32 stays below 2^28.
template <WeightType kType, int kRows>
inline void WideBlock(const Block<kType>& block, const TileInput& in, __m512* acc) {
  constexpr int kVectors = 8 / PartsOf(kType);
  const int n_blocks = in.n_in / kBlock;
#pragma GCC unroll 2
  for (int part = 0; part < PartsOf(kType); ++part) {
    __m512i first[kRows];
    __m512i second[kRows];
    for (int r = 0; r < kRows; ++r) first[r] = second[r] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int v = part * kVectors; v < (part + 1) * kVectors; ++v) {
      const __m512i quants = Quants<kType>(block.planes, v);
      // No quant that is stored without a sign reaches 128.
      const __m512i of_first = _mm512_cvtepi8_epi16(_mm512_castsi512_si256(quants));
      const __m512i of_second = _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(quants, 1));
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m512i x =
            Broadcast8(in.wide.q + static_cast<size_t>(r) * in.n_in + block.at * kBlock + 4 * v);
        first[r] = _mm512_dpwssd_epi32(first[r], of_first, x);
        second[r] = _mm512_dpwssd_epi32(second[r], of_second, x);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      const __m512i dot = AddNeighbours(first[r], second[r]);
      acc[r] = Fold(block, part, dot, in.wide, r * n_blocks + block.at, acc[r]);
    }
  }
}

template <WeightType kType>
inline __m512 LoadFloats(Pair group, int k) {
  const auto at = static_cast<size_t>(k) * kLanes;
  if constexpr (kType == WeightType::kF16) {
    return LoadHalves(group + 2 * at);
  } else if constexpr (kType == WeightType::kBF16) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(Load16(group + 2 * at)), 16));
  } else {
    return _mm512_castsi512_ps(Load32(group + 4 * at));
  }
}

// Inputs [begin, end) of one span added to acc[kRows], quantised weights.
template <WeightType kType, ActivationType kActivation, int kRows>
inline void QuantizedSpan(Pair group, int begin, int end, const TileInput& in, __m512* acc) {
  Scales<kType> scales;
  const auto load = [&](Pair header) { LoadScales<kType>(header, scales); };
  const auto add = [&](Pair planes, int b, int at) __attribute__((always_inline)) {
    const Block<kType> block = {planes, scales, b * PartsOf(kType), at};
    if constexpr (kActivation == ActivationType::kInt8) {
      NarrowBlock<kType, kRows>(block, in, acc);
    } else {
      WideBlock<kType, kRows>(block, in, acc);
    }
  };
  ForBlocks<kType>(group, begin, end, load, add, true);
}

// The same for any weights.
template <WeightType kType, ActivationType kActivation, int kRows>
inline void SpanOf(Pair group, int begin, int end, const TileInput& in, __m512* acc) {
  if constexpr (kActivation != ActivationType::kF32) {
    QuantizedSpan<kType, kActivation, kRows>(group, begin, end, in, acc);
  } else {
    constexpr int kInputBytes = kLanes * (kType == WeightType::kF32 ? 4 : 2);
    constexpr int kInputsOfLine = static_cast<int>(kLineBytes) / kInputBytes;
    for (int k = begin; k < end; ++k) {
      if (k % kInputsOfLine == 0) {
        PrefetchAhead(group + static_cast<size_t>(k) * kInputBytes, kLineBytes);
      }
      const __m512 w = LoadFloats<kType>(group, k);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m512 x = _mm512_set1_ps(in.x[static_cast<size_t>(r) * in.n_in + k]);
        acc[r] = _mm512_fmadd_ps(w, x, acc[r]);
      }
    }
  }
}

// Where a tile's sums go: outputs [output, output + n) of rows from `row` on.
struct TileOutput {
  const LinearOutput& y;
  int row;
  int output;
  int n;
};

inline void Write(const TileOutput& to, int r, __m512 total) {
  float* y = to.y.y + static_cast<size_t>(to.row + r) * to.y.stride + to.output;
  const auto mask = static_cast<__mmask16>((1u << to.n) - 1);
  if (to.y.add) total = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y), total);
  _mm512_mask_storeu_ps(y, mask, total);
}

template <WeightType kType, ActivationType kActivation, int kRows>
void Tile(Pair group, const TileInput& in, const TileOutput& to) {
  __m512 total[kRows];
  for (int begin = 0; begin < in.n_in; begin += kSpan) {
    const int end = Least(begin + kSpan, in.n_in);
    __m512 acc[kRows];
    for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();
    SpanOf<kType, kActivation, kRows>(group, begin, end, in, acc);
    for (int r = 0; r < kRows; ++r) {
      total[r] = begin == 0 ? acc[r] : _mm512_add_ps(total[r], acc[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) Write(to, r, total[r]);
}

template <WeightType kType, ActivationType kActivation>
void LinearOf(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
              const LinearOutput& y) {
  const size_t group_bytes = w.group_bytes();
  for (int g = group_begin; g < group_end; g += 2) {
    const bool whole = g + 1 < group_end;  // else the last group stands for its neighbour too
    const uint8_t* first = w.data + group_bytes * static_cast<size_t>(g);
    const Pair group = {first, whole ? first + group_bytes : first};
    const int n = OutputsOf(w, g, whole ? 2 : 1);
    ForTiles<kTileRows>(x.n_rows, [&]<int kRows>(int row) {
      const TileInput in = TileAt<kActivation>(x, w.n_in, row);
      Tile<kType, kActivation, kRows>(group, in, {y, row, g * kLanes, n});
    });
  }
}

}  // namespace

void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y) {
  WithTypesOf(w, [&]<WeightType kType, ActivationType kActivation>() {
    LinearOf<kType, kActivation>(w, group_begin, group_end, x, y);
  });
}

}  // namespace avx512
}  // namespace mortar
