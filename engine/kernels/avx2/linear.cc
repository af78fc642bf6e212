// y = W x with AVX2: a lane is an output row. Quantised weights meet a panel of up to eight rows,
// for which the weights of a block are unpacked once; float weights tiles of up to four.
//
// Decode (one row) is bound by memory, so what counts is that the instructions for a block take
// less time than its loads: a Q4_1 block of 8 x 32 weights is 160 bytes and about 62 instructions
// for int8 rows. In prefill a row and block take about 35, of which eight multiply.
#include <immintrin.h>

#include "engine/kernels/avx2/avx2.h"
#include "engine/kernels/avx2/panel.h"
#include "engine/kernels/avx2/products.h"
#include "engine/kernels/avx2/weights.h"
#include "engine/kernels/linear_tile.h"
#include "engine/kernels/shared.h"

namespace mortar {
namespace avx2 {
namespace {

// Weights of floats: rows and groups that are multiplied side by side. A sum waits four cycles for
// the one before it, and two may begin in each.
constexpr int kFloatRows = 4;
constexpr int kFloatGroups = 2;
constexpr int kPanelRows = 8;
// Inputs of a panel: as many as stay in the first cache, so that a group's weights are read in one
// go where they have no more.
constexpr int kPanelInputs = 4 * kSpan;
// Groups that share a panel: enough that laying it out costs little beside them.
constexpr int kPanelGroups = 16;

inline void WriteOutputs(const LinearOutput& y, int row, int output, int n, __m256 total) {
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

// Adds inputs [begin, end) of one span to acc[n_rows]. inputs(b): what block b of a row is
// multiplied by. ahead: as ForBlocks says.
template <WeightType kType, typename Quant, typename InputsAt>
[[gnu::always_inline]] inline void MultiplySpan(const uint8_t* group, int begin, int end,
                                                const InputsAt& inputs, int n_rows, bool ahead,
                                                __m256* acc) {
  Scales<kType> scales;
  const auto load = [&](const uint8_t* header) { LoadScales<kType>(header, scales); };
  const auto multiply = [&](const uint8_t* planes, int b, int at) __attribute__((always_inline)) {
    const Block<kType> block = {planes, scales, b * PartsOf(kType)};
    if constexpr (sizeof(Quant) == 1) {
      MultiplyNarrow(block, inputs(at), n_rows, acc);
    } else {
      MultiplyWide(block, inputs(at), n_rows, acc);
    }
  };
  ForBlocks<kType>(group, begin, end, load, multiply, ahead);
}

// One row: its sums stay in registers, and weights are read in their order.
template <WeightType kType, typename Quant>
void OneRow(const PackedMatrix& w, int group_begin, int group_end, const RoundedRows<Quant>& in,
            int row, const LinearOutput& y) {
  const auto block = [&](int at) { return RowBlock<Quant>{in, static_cast<size_t>(at)}; };
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(g);
    __m256 total;
    for (int begin = 0; begin < w.n_in; begin += kSpan) {
      __m256 acc = _mm256_setzero_ps();
      MultiplySpan<kType, Quant>(group, begin, Least(begin + kSpan, w.n_in), block, 1, true, &acc);
      total = begin == 0 ? acc : _mm256_add_ps(total, acc);
    }
    WriteOutputs(y, row, g * kLanes, OutputsOf(w, g, 1), total);
  }
}

// Groups [group_begin, group_end), at most kPanelGroups, for rows [row, row + n_rows), at most
// kPanelRows, which are the first of `in`.
template <WeightType kType, typename Quant>
void FewRows(const PackedMatrix& w, int group_begin, int group_end, const RoundedRows<Quant>& in,
             int row, int n_rows, const LinearOutput& y) {
  PanelBlock<Quant, kPanelRows> panel[kPanelInputs / kBlock];
  __m256 total[kPanelGroups][kPanelRows];
  for (int first = 0; first < w.n_in; first += kPanelInputs) {
    const int last = Least(first + kPanelInputs, w.n_in);
    Pack<kType>(in, w.n_in, n_rows, first, last, panel);
    const auto block = [&](int at) -> const auto& { return panel[at - first / kBlock]; };
    for (int g = group_begin; g < group_end; ++g) {
      const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(g);
      __m256* sum = total[g - group_begin];
      for (int begin = first; begin < last; begin += kSpan) {
        __m256 acc[kPanelRows];
        for (int r = 0; r < n_rows; ++r) acc[r] = _mm256_setzero_ps();
        MultiplySpan<kType, Quant>(group, begin, Least(begin + kSpan, last), block, n_rows,
                                   row == 0, acc);
        for (int r = 0; r < n_rows; ++r) {
          sum[r] = begin == 0 ? acc[r] : _mm256_add_ps(sum[r], acc[r]);
        }
      }
    }
  }
  for (int r = 0; r < n_rows; ++r) {
    for (int g = group_begin; g < group_end; ++g) {
      WriteOutputs(y, row + r, g * kLanes, OutputsOf(w, g, 1), total[g - group_begin][r]);
    }
  }
}

template <WeightType kType, typename Quant>
void QuantizedLinear(const PackedMatrix& w, int group_begin, int group_end,
                     const RoundedRows<Quant>& in, int n_rows, const LinearOutput& y) {
  const auto rows_from = [&](int row) {
    return in.From(static_cast<size_t>(row) * static_cast<size_t>(w.n_in));
  };
  const int in_panels = n_rows % kPanelRows == 1 ? n_rows - 1 : n_rows;
  for (int g = group_begin; g < group_end; g += kPanelGroups) {
    for (int row = 0; row < in_panels; row += kPanelRows) {
      FewRows<kType>(w, g, Least(g + kPanelGroups, group_end), rows_from(row), row,
                     Least(kPanelRows, in_panels - row), y);
    }
  }
  if (in_panels < n_rows)
    OneRow<kType>(w, group_begin, group_end, rows_from(in_panels), in_panels, y);
}

template <WeightType kType>
inline __m256 LoadFloat8(const uint8_t* at) {
  if constexpr (kType == WeightType::kF16) {
    return LoadHalf8(at);
  } else if constexpr (kType == WeightType::kBF16) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  } else {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(at));
  }
}

// Some groups of eight outputs that follow one another, weights of floats.
template <WeightType kType, int kGroups>
struct FloatGroups {
  static constexpr size_t kInputBytes = kLanes * (kType == WeightType::kF32 ? 4 : 2);
  static constexpr int kInputsOfLine = static_cast<int>(kLineBytes / kInputBytes);

  const uint8_t* first;
  int n_in;

  size_t Offset(int g, int k) const {
    return kInputBytes *
           (static_cast<size_t>(g) * static_cast<size_t>(n_in) + static_cast<size_t>(k));
  }
  const uint8_t* At(int g, int k) const { return first + Offset(g, k); }
  // Asks for the line that each group reads kAheadBytes / kGroups after that of k, so that together
  // they are as far ahead as one would be; behind a group's end, the group that follows in its
  // place.
  void Ahead(int k) const {
    int ahead = k + static_cast<int>(kAheadBytes / kInputBytes) / kGroups;
    const int group = ahead < n_in ? 0 : kGroups;
    ahead = ahead < n_in ? ahead : ahead - n_in;
    for (int g = 0; g < kGroups; ++g) {
      PrefetchAt(reinterpret_cast<uintptr_t>(first) + Offset(group + g, ahead), kLineBytes);
    }
  }
};

// Adds one input of kRows rows, each n_in long, to the sums of kGroups groups.
template <WeightType kType, int kRows, int kGroups>
[[gnu::always_inline]] inline void AddInput(const FloatGroups<kType, kGroups>& groups, int k,
                                            const float* x, __m256 (&acc)[kGroups][kRows]) {
  __m256 weights[kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) weights[g] = LoadFloat8<kType>(groups.At(g, k));
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const __m256 input =
        _mm256_set1_ps(x[static_cast<size_t>(r) * static_cast<size_t>(groups.n_in) + k]);
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) acc[g][r] = _mm256_fmadd_ps(weights[g], input, acc[g][r]);
  }
}

// Inputs [begin, end) of one span.
template <WeightType kType, int kRows, int kGroups>
[[gnu::always_inline]] inline void FloatSpan(const FloatGroups<kType, kGroups>& groups, int begin,
                                             int end, const float* x, bool ahead,
                                             __m256 (&acc)[kGroups][kRows]) {
  constexpr int kStep = FloatGroups<kType, kGroups>::kInputsOfLine;
  int k = begin;
  for (; k + kStep <= end; k += kStep) {
    if (ahead) groups.Ahead(k);
#pragma GCC unroll 4
    for (int i = 0; i < kStep; ++i) AddInput<kType, kRows, kGroups>(groups, k + i, x, acc);
  }
  for (; k < end; ++k) AddInput<kType, kRows, kGroups>(groups, k, x, acc);
}

// Outputs of groups [g, g + kGroups) of rows [row, row + kRows).
template <WeightType kType, int kRows, int kGroups>
void FloatTile(const PackedMatrix& w, int g, const LinearInput& x, int row, const LinearOutput& y) {
  const FloatGroups<kType, kGroups> groups = {w.data + w.group_bytes() * static_cast<size_t>(g),
                                              w.n_in};
  const float* rows = x.x + static_cast<size_t>(row) * static_cast<size_t>(w.n_in);
  __m256 total[kGroups][kRows];
  for (int begin = 0; begin < w.n_in; begin += kSpan) {
    __m256 acc[kGroups][kRows];
#pragma GCC unroll 16
    for (int i = 0; i < kGroups * kRows; ++i) acc[i / kRows][i % kRows] = _mm256_setzero_ps();
    FloatSpan<kType, kRows, kGroups>(groups, begin, Least(begin + kSpan, w.n_in), rows, row == 0,
                                     acc);
#pragma GCC unroll 16
    for (int i = 0; i < kGroups * kRows; ++i) {
      __m256& sum = total[i / kRows][i % kRows];
      const __m256 part = acc[i / kRows][i % kRows];
      sum = begin == 0 ? part : _mm256_add_ps(sum, part);
    }
  }
  for (int i = 0; i < kGroups; ++i) {
    for (int r = 0; r < kRows; ++r) {
      WriteOutputs(y, row + r, (g + i) * kLanes, OutputsOf(w, g + i, 1), total[i][r]);
    }
  }
}

template <WeightType kType>
void FloatLinear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
                 const LinearOutput& y) {
  for (int g = group_begin; g < group_end; g += kFloatGroups) {
    const bool whole = g + kFloatGroups <= group_end;
    ForTiles<kFloatRows>(x.n_rows, [&]<int kRows>(int row) {
      if (whole) return FloatTile<kType, kRows, kFloatGroups>(w, g, x, row, y);
      for (int i = g; i < group_end; ++i) FloatTile<kType, kRows, 1>(w, i, x, row, y);
    });
  }
}

}  // namespace

void Linear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
            const LinearOutput& y) {
  WithTypesOf(w, [&]<WeightType kType, ActivationType kActivation>() {
    if constexpr (kActivation == ActivationType::kF32) {
      FloatLinear<kType>(w, group_begin, group_end, x, y);
    } else if constexpr (kActivation == ActivationType::kInt8) {
      QuantizedLinear<kType>(w, group_begin, group_end, x.narrow, x.n_rows, y);
    } else {
      QuantizedLinear<kType>(w, group_begin, group_end, x.wide, x.n_rows, y);
    }
  });
}

}  // namespace avx2
}  // namespace mortar
