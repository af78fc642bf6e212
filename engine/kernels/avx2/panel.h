// What a 32-input block of weights is multiplied by: the block of one row where it lies, or those
// of a few rows laid side by side, so that one pointer serves all rows and a register is left for
// each vector of weights.
//
// Both forms answer the same questions about row r: its quants, their scale, and for each part of
// the block (inputs that share one scale of the weights) what is owed for the weights' offset.
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include <cstring>

#include "engine/kernels/kernels.h"

namespace mortar {
namespace avx2 {

// Block `at` of one row.
template <typename Quant>
struct RowBlock {
  const RoundedRows<Quant>& in;
  size_t at;

  const Quant* Quants(int) const { return in.q + at * kBlock; }
  float Scale(int) const { return in.d[at]; }
  template <WeightType kType>
  int32_t SumOf(int part) const {
    if constexpr (PartsOf(kType) == 1) return in.sum[at];
    return part == 0 ? in.low[at] : in.sum[at] - in.low[at];
  }
  // The type's zero times the sum of the part's quants.
  template <WeightType kType>
  int32_t Zero(int part, int) const {
    return FormatOf(kType).zero * SumOf<kType>(part);
  }
  // The scale times that sum: what a minimum is multiplied by.
  template <WeightType kType>
  float ScaledSum(int part, int) const {
    if constexpr (PartsOf(kType) == 1) return in.s[at];
    return in.d[at] * static_cast<float>(SumOf<kType>(part));
  }
};

// A block of kRows rows.
template <typename Quant, int kRows>
struct PanelBlock {
  Quant q[kRows][kBlock];
  float d[kRows];
  int32_t zeros[2][kRows];      // where the weights have a zero
  float scaled_sums[2][kRows];  // where they have minima

  const Quant* Quants(int r) const { return q[r]; }
  float Scale(int r) const { return d[r]; }
  template <WeightType>
  int32_t Zero(int part, int r) const {
    return zeros[part][r];
  }
  template <WeightType>
  float ScaledSum(int part, int r) const {
    return scaled_sums[part][r];
  }
};

template <WeightType kType, typename Quant, int kRows>
static inline void PackBlock(const RowBlock<Quant>& from, int r, PanelBlock<Quant, kRows>& to) {
  std::memcpy(to.q[r], from.Quants(0), sizeof to.q[r]);
  to.d[r] = from.Scale(0);
  for (int part = 0; part < PartsOf(kType); ++part) {
    if constexpr (FormatOf(kType).zero != 0) {
      to.zeros[part][r] = from.template Zero<kType>(part, 0);
    }
    if constexpr (FormatOf(kType).minima) {
      to.scaled_sums[part][r] = from.template ScaledSum<kType>(part, 0);
    }
  }
}

// Inputs [begin, end) of the first `n_rows` rows of `in`, each n_in long, to `blocks` from 0 on.
template <WeightType kType, typename Quant, int kRows>
static inline void Pack(const RoundedRows<Quant>& in, int n_in, int n_rows, int begin, int end,
                        PanelBlock<Quant, kRows>* blocks) {
  for (int r = 0; r < n_rows; ++r) {
    const size_t first = (static_cast<size_t>(r) * n_in + begin) / kBlock;
    for (int b = 0; b < (end - begin) / kBlock; ++b) {
      PackBlock<kType>(RowBlock<Quant>{in, first + static_cast<size_t>(b)}, r, blocks[b]);
    }
  }
}

}  // namespace avx2
}  // namespace mortar
