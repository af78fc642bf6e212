// The rotation table: cos and sin of every position and frequency, made once.
//
// theta(p, i) = p * base^(-2 i / dims), computed in binary64 by our own functions and rounded
// to f32 once, so that every machine holds the same table.
// Source: Su et al. 2021 (RoFormer), in the pairing of GGUF's llama weights: (2 i, 2 i + 1).
#pragma once

#include <memory>

#include "common/status.h"

namespace mortar {

struct RopeTable {
  int n_positions = 0;
  int n_pairs = 0;
  std::unique_ptr<float[]> cos;  // [n_positions, n_pairs]
  std::unique_ptr<float[]> sin;  // [n_positions, n_pairs]
};

// Needs: n_positions up to 2^20 and base >= 1, so that every angle is one that SinTable takes.
// ResourceExhausted says how much memory was wanted.
absl::StatusOr<RopeTable> MakeRopeTable(int n_positions, int rope_dims, double base);

}  // namespace mortar
