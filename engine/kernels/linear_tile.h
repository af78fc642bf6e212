// What the products of every instruction set share: the rows of a tile, the walk over a group's
// blocks, and which kernel a matrix takes.
//
// Everything is `static`, as in shared.h: no copy of it may serve another file.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/prefetch.h"

namespace mortar {

// The rows of a tile: pointers to the first of several consecutive rows, in the form that the
// product reads.
struct TileInput {
  const float* x;
  RoundedRows<int8_t> narrow;
  RoundedRows<int16_t> wide;
  int n_in;
};

template <ActivationType kActivation>
static inline TileInput TileAt(const LinearInput& x, int n_in, int row) {
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

// Calls tile<kRows>(row) for tiles that cover rows [0, n_rows): of kRowsMax rows, and of what is
// left the largest that fit. kRowsMax: 4 or 8.
template <int kRowsMax, typename TileCall>
static inline void ForTiles(int n_rows, const TileCall& tile) {
  int row = 0;
  for (; n_rows - row >= kRowsMax; row += kRowsMax) tile.template operator()<kRowsMax>(row);
  if constexpr (kRowsMax > 4) {
    if (n_rows - row >= 4) {
      tile.template operator()<4>(row);
      row += 4;
    }
  }
  switch (n_rows - row) {
    case 3:
      return tile.template operator()<3>(row);
    case 2:
      return tile.template operator()<2>(row);
    case 1:
      return tile.template operator()<1>(row);
    default:
      return;
  }
}

static inline int Least(int a, int b) { return a < b ? a : b; }

// Outputs that `groups` groups from `group` on have.
static inline int OutputsOf(const PackedMatrix& w, int group, int groups) {
  return Least(w.n_out - group * kLanes, groups * kLanes);
}

// The blocks of inputs [begin, end), which are part of one span: calls on_header(header) for each
// of the file's blocks, whose scales follow for on_block(planes, b, at) of each 32 inputs in it:
// the b-th of the file's block, the at-th of the row. `group` is a pointer, or several that are
// moved together. ahead: whether the weights come from memory, not from a cache that rows before
// these have filled.
template <WeightType kType, typename Pointer, typename OnHeader, typename OnBlock>
[[gnu::always_inline]] static inline void ForBlocks(Pointer group, int begin, int end,
                                                    const OnHeader& on_header,
                                                    const OnBlock& on_block, bool ahead) {
  constexpr BlockFormat kFormat = FormatOf(kType);
  constexpr int kBlocks = kFormat.inputs / kBlock;
  constexpr size_t kHeaderBytes = static_cast<size_t>(kFormat.header_bytes) * kLanes;
  constexpr size_t kQuantBytes = static_cast<size_t>(kFormat.quant_bytes) * kLanes;
  constexpr size_t kBytes = kHeaderBytes / kBlocks + kQuantBytes;  // of 32 inputs, on average
  for (int at = begin / kFormat.inputs; at < end / kFormat.inputs; ++at) {
    const Pointer header = group + static_cast<size_t>(at) * (kHeaderBytes + kBlocks * kQuantBytes);
    on_header(header);
    for (int b = 0; b < kBlocks; ++b) {
      if (ahead) PrefetchAhead(header + static_cast<size_t>(b) * kBytes, kBytes);
      on_block(header + (kHeaderBytes + static_cast<size_t>(b) * kQuantBytes), b, at * kBlocks + b);
    }
  }
}

// Calls product<type, activation>() for quantised weights that take rows of either width.
template <WeightType kType, typename Product>
static inline void WithActivationOf(const PackedMatrix& w, const Product& product) {
  if (w.activation == ActivationType::kInt16) {
    return product.template operator()<kType, ActivationType::kInt16>();
  }
  product.template operator()<kType, ActivationType::kInt8>();
}

// The same for all weights. `Product`: a lambda of the caller's own, so that what is made here is
// its file's alone.
template <typename Product>
static inline void WithTypesOf(const PackedMatrix& w, const Product& product) {
  switch (w.type) {
    case WeightType::kF32:
      return product.template operator()<WeightType::kF32, ActivationType::kF32>();
    case WeightType::kF16:
      return product.template operator()<WeightType::kF16, ActivationType::kF32>();
    case WeightType::kBF16:
      return product.template operator()<WeightType::kBF16, ActivationType::kF32>();
    case WeightType::kQ8_0:
      return product.template operator()<WeightType::kQ8_0, ActivationType::kInt16>();
    case WeightType::kQ4_0:
      return WithActivationOf<WeightType::kQ4_0>(w, product);
    case WeightType::kQ4_1:
      return WithActivationOf<WeightType::kQ4_1>(w, product);
    case WeightType::kQ5_0:
      return WithActivationOf<WeightType::kQ5_0>(w, product);
    case WeightType::kQ5_1:
      return WithActivationOf<WeightType::kQ5_1>(w, product);
    case WeightType::kQ4_K:
      return WithActivationOf<WeightType::kQ4_K>(w, product);
    case WeightType::kQ5_K:
      return WithActivationOf<WeightType::kQ5_K>(w, product);
    case WeightType::kQ6_K:
      return WithActivationOf<WeightType::kQ6_K>(w, product);
    case WeightType::kIQ4_NL:
      return WithActivationOf<WeightType::kIQ4_NL>(w, product);
    case WeightType::kIQ4_XS:
      return WithActivationOf<WeightType::kIQ4_XS>(w, product);
    case WeightType::kQ2_K:
      return WithActivationOf<WeightType::kQ2_K>(w, product);
    case WeightType::kQ3_K:
      return WithActivationOf<WeightType::kQ3_K>(w, product);
  }
}

static_assert(kSpan % kSuperBlock == 0);  // a span ends where a file's block does

}  // namespace mortar
