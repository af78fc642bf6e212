// Inputs for kernel tests: seeded, and hostile to arithmetic where asked.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"

namespace mortar {

// n numbers, roughly normal with the deviation given, by seed.
std::vector<float> RandomRow(int n, uint64_t seed, float deviation = 1.0f);

// Numbers that find mistakes: zeros of both signs, subnormals, tiny, huge, equal magnitudes.
std::vector<float> ExtremeRow(int n, uint64_t seed);

// A matrix as a GGUF file holds it, with random quants and f16 scales; packed beside it.
struct RandomMatrix {
  std::vector<uint8_t> file;  // [n_out] rows of blocks
  std::vector<uint8_t> packed;
  PackedMatrix w;
};
RandomMatrix MakeMatrix(WeightType type, int n_out, int n_in, uint64_t seed);

// Element [row][k] in f64, decoded from `file` by the definition of the format.
double FileWeight(const RandomMatrix& m, int row, int k);

// The instruction sets of this CPU beside scalar.
std::vector<const KernelTable*> OtherKernels();

// Equal bit for bit, zero signs included.
template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

inline const KernelTable& Scalar() { return **SelectKernels("scalar"); }

}  // namespace mortar
