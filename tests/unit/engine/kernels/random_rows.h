// Inputs for kernel tests: seeded, and hostile to arithmetic where asked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "tests/support/compare.h"

namespace mortar {

// n numbers, roughly normal with the deviation given, by seed.
std::vector<float> RandomRow(int n, uint64_t seed, float deviation = 1.0f);

// Numbers that find mistakes: zeros of both signs, subnormals, tiny, huge, equal magnitudes.
std::vector<float> ExtremeRow(int n, uint64_t seed);

// A matrix as a GGUF file holds it, with random quants and scales; packed beside it.
struct RandomMatrix {
  std::vector<uint8_t> file;  // [n_out] rows of blocks
  std::vector<uint8_t> packed;
  PackedMatrix w;
};
RandomMatrix MakeMatrix(WeightType type, ActivationType activation, int n_out, int n_in,
                        uint64_t seed);

// The pairs of weights and rows that there are kernels for.
struct ProductKind {
  WeightType weights;
  ActivationType rows;
};
std::vector<ProductKind> ProductKinds();

// The type of the file that is packed as `type`.
TensorType FileType(WeightType type);

// The type's name, and the width of rows where there are two.
std::string Name(const ProductKind& kind);

// n inputs, or the next whole number of the type's blocks.
int WholeBlocks(WeightType type, int n);

// What byte `at` of a block of the file belongs to.
enum class BytePart { kHalf, kSmallScale, kQuants };
BytePart PartOf(WeightType type, size_t at);

// All elements in f64, [n_out, n_in], decoded from `file` by the definition of the format.
std::vector<double> FileWeights(const RandomMatrix& m);

// The instruction sets beside scalar: of this CPU (native_kernels.cc), or emulated
// (emulated_kernels.cc).
std::vector<const KernelTable*> OtherKernels();

// Which of the shapes that a test walks through it compares: all, or with KERNEL_SHAPES=few in the
// environment, for emulated CPUs, every third. The sizes of the innermost loops are 4 and 16, no
// multiples of three, so every size stays among them, for every type of weights and of KV.
class Shapes {
 public:
  bool TakesNext() { return n_++ % every_ == 0; }

 private:
  int n_ = 0;
  int every_ = AreFew() ? 3 : 1;
  static bool AreFew();
};

// Rows with memory of their own, rounded by `kernels`.  x: a multiple of 32 long.
template <typename Quant>
struct Rounded {
  std::vector<Quant> q;
  std::vector<float> d, s;
  std::vector<int32_t> sum, low;

  Rounded(const KernelTable& kernels, const std::vector<float>& x)
      : q(x.size()),
        d(x.size() / kBlock),
        s(x.size() / kBlock),
        sum(x.size() / kBlock),
        low(x.size() / kBlock) {
    if constexpr (sizeof(Quant) == 1) {
      kernels.quantize(x.data(), static_cast<int>(x.size()), rows());
    } else {
      kernels.quantize_wide(x.data(), static_cast<int>(x.size()), rows());
    }
  }
  RoundedRows<Quant> rows() { return {q.data(), d.data(), s.data(), sum.data(), low.data()}; }
  double Element(size_t i) const { return static_cast<double>(d[i / kBlock]) * q[i]; }
};

inline const KernelTable& Scalar() { return **SelectKernels("scalar"); }

}  // namespace mortar
