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

constexpr int kFloatRows = 4;
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

// Rows of floats: `x` is the first of kRows, each n_in long.
template <WeightType kType, int kRows>
void FloatTile(const uint8_t* group, const float* x, int n_in, __m256* total) {
  for (int begin = 0; begin < n_in; begin += kSpan) {
    const int end = Least(begin + kSpan, n_in);
    __m256 acc[kRows];
    for (int r = 0; r < kRows; ++r) acc[r] = _mm256_setzero_ps();
    for (int k = begin; k < end; ++k) {
      const __m256 weights = LoadFloat8<kType>(group, k);
      for (int r = 0; r < kRows; ++r) {
        const __m256 input = _mm256_set1_ps(x[static_cast<size_t>(r) * n_in + k]);
        acc[r] = _mm256_fmadd_ps(weights, input, acc[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      total[r] = begin == 0 ? acc[r] : _mm256_add_ps(total[r], acc[r]);
    }
  }
}

template <WeightType kType>
void FloatLinear(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
                 const LinearOutput& y) {
  for (int g = group_begin; g < group_end; ++g) {
    const uint8_t* group = w.data + w.group_bytes() * static_cast<size_t>(g);
    ForTiles<kFloatRows>(x.n_rows, [&]<int kRows>(int row) {
      __m256 total[kRows];
      FloatTile<kType, kRows>(group, x.x + static_cast<size_t>(row) * w.n_in, w.n_in, total);
      for (int r = 0; r < kRows; ++r) {
        WriteOutputs(y, row + r, g * kLanes, OutputsOf(w, g, 1), total[r]);
      }
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
