// The arithmetic of the engine: one table of functions for each instruction set, all of them
// equal bit for bit (docs/numerics.md is the recipe that they follow).
//
// A matrix is packed at load time into groups of eight output rows, interleaved so that one
// SIMD lane holds one output row. Every sum then runs in ascending input order inside its
// lane, and no result depends on tiles, threads or how many rows stand in a batch.
//
// Functions here are total: shapes are checked once, when bricks are compiled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/status.h"
#include "engine/kernels/weight_types.h"

namespace mortar {

inline constexpr int kSpan = 512;  // inputs (and keys) folded into one partial sum
inline constexpr int kKvPagePositions = 64;

// W[n_out, n_in], packed. Group g holds rows [8 g, 8 g + 8); rows beyond n_out are zero. Inside a
// group, blocks of inputs follow one another as weight_types.h says.
struct PackedMatrix {
  WeightType type = WeightType::kF32;
  ActivationType activation = ActivationType::kF32;  // of the rows that it multiplies
  int n_out = 0;
  int n_in = 0;
  const uint8_t* data = nullptr;  // [n_groups][group_bytes], not owned

  int n_groups() const { return (n_out + kLanes - 1) / kLanes; }
  size_t group_bytes() const;
  size_t bytes() const { return group_bytes() * static_cast<size_t>(n_groups()); }
};

// Rows rounded to integers in blocks of 32: x = d q.
template <typename Quant>
struct RoundedRows {
  Quant* q = nullptr;      // [n_rows, n_in]
  float* d = nullptr;      // [n_rows, n_in / 32]
  float* s = nullptr;      // [n_rows, n_in / 32], d * float(sum)
  int32_t* sum = nullptr;  // [n_rows, n_in / 32], sum of q
  int32_t* low = nullptr;  // [n_rows, n_in / 32], sum of the first 16 q of each block

  // The rows from element `at` on, a multiple of 32.
  RoundedRows From(size_t at) const {
    return {q + at, d + at / kBlock, s + at / kBlock, sum + at / kBlock, low + at / kBlock};
  }
};

// Rows as a linear map reads them: that form is set that the matrix's activation names.
struct LinearInput {
  const float* x = nullptr;  // [n_rows, n_in], stride n_in
  RoundedRows<int8_t> narrow;
  RoundedRows<int16_t> wide;
  int n_rows = 0;
};

// Where results go: row i of output o is y[i * stride + o], written, or added to what is there.
struct LinearOutput {
  float* y = nullptr;
  int stride = 0;
  bool add = false;
};

enum class KvType { kF32, kF16, kQ8_0 };

// In q8_0 every 32 elements of a head are a scale in f16 and 32 int8: x = d q, which is exact.
inline constexpr int kKvBlockBytes = 2 + kBlock;

// The KV of one layer in one page: K as [n_kv_heads][positions / 8][head_dim][8], so that a
// lane holds a key, then V as [n_kv_heads][positions][head_dim]. In q8_0, whose head_dim 32
// divides, the blocks of eight keys stand together, as [head_dim / 32]{d[8], q[32][8]}; those of
// a value are the file format's, [head_dim / 32]{d, q[32]}.
struct KvShape {
  KvType type = KvType::kF16;
  int n_kv_heads = 0;
  int head_dim = 0;

  // Of so many elements: any number of values, or keys of eight positions.
  size_t bytes_of(size_t n) const {
    if (type == KvType::kQ8_0) return n / kBlock * kKvBlockBytes;
    return n * (type == KvType::kF16 ? 2 : 4);
  }
  size_t head_elements() const { return static_cast<size_t>(kKvPagePositions) * head_dim; }
  size_t k_bytes() const { return bytes_of(head_elements() * n_kv_heads); }
  size_t layer_bytes() const { return 2 * k_bytes(); }
};

// Attention of neighbouring query heads at one position; they share a KV head.
struct AttendArgs {
  KvShape shape;
  const uint8_t* const* pages = nullptr;  // page i holds positions [64 i, 64 i + 64)
  size_t layer_offset = 0;                // of this layer inside each page
  int kv_head = 0;
  int n_heads = 1;
  int first_key = 0;  // positions [first_key, n_keys) are seen, at least one
  int n_keys = 0;
  float scale = 0;           // of q . k
  float cap = 0;             // scores are cap * tanh(score / cap); 0: they are not
  const float* q = nullptr;  // [n_heads, head_dim], rotated
  float* out = nullptr;      // [n_heads, head_dim]
  float* scores = nullptr;   // scratch, [kHeadsAtOnce, kSpan]
};
inline constexpr int kHeadsAtOnce = 3;
inline constexpr int kHeadDimMax = 256;

struct KernelTable {
  const char* name;

  // Blocks of 32: d = amax / 127, q = rne(x * (127 / amax)), s = d * float(sum q); q = 0 and
  // d = 0 where amax < 2^-100.  x: [n], n % 32 == 0.
  void (*quantize)(const float* x, int n, const RoundedRows<int8_t>& to);

  // The same in 16 bits: d = amax / 32767, q = rne(x * (32767 / amax)).
  void (*quantize_wide)(const float* x, int n, const RoundedRows<int16_t>& to);

  // y = x / sqrt(mean(x^2) + eps) * w.  [n]; y may be x.
  void (*rms_norm)(const float* x, const float* w, int n, float eps, float* y);

  // y = (x - mean(x)) / sqrt(variance(x) + eps) * w + b.  [n]; y may be x.
  void (*layer_norm)(const float* x, const float* w, const float* b, int n, float eps, float* y);

  // y = silu(g) * u.  [n]; y may be g or u.
  void (*silu_mul)(const float* g, const float* u, int n, float* y);

  // y = gelu(g) * u with the tanh form of gelu.  [n]; y may be g or u.
  void (*gelu_mul)(const float* g, const float* u, int n, float* y);

  // x = gelu(x) by its definition, in place.  [n]
  void (*gelu)(float* x, int n);

  // x = cap * tanh(x / cap), in place.  [n]; cap > 0.
  void (*soft_cap)(float* x, int n, float cap);

  // Rotates pairs (2 i, 2 i + 1) of one head in place.  cos, sin: [n_pairs].
  void (*rope)(float* x, const float* cos, const float* sin, int n_pairs);

  // The same for pairs (i, n_pairs + i).
  void (*rope_halves)(float* x, const float* cos, const float* sin, int n_pairs);

  // Groups [group_begin, group_end) of y = W x, for all rows of `x`.
  void (*linear)(const PackedMatrix& w, int group_begin, int group_end, const LinearInput& x,
                 const LinearOutput& y);

  // Row `row` of a matrix in f32: y[n_in].
  void (*unpack_row)(const PackedMatrix& w, int row, float* y);

  // Stores k and v (all heads of one position, [n_kv_heads * head_dim] each) at `slot`, the
  // position within a page, of the layer whose bytes begin at `layer`.
  void (*store_kv)(const KvShape& shape, uint8_t* layer, int slot, const float* k, const float* v);

  void (*attend)(const AttendArgs& args);
};

// The kernels for an instruction set, "scalar", and on x86-64 "avx2" or "avx512", on ARM64 "neon";
// or the best that this CPU has for "". InvalidArgument when the name is unknown,
// FailedPrecondition when the CPU lacks it.
absl::StatusOr<const KernelTable*> SelectKernels(std::string_view isa);

}  // namespace mortar
