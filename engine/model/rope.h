// The rotation table: cos and sin of every position and frequency, made once.
//
// theta(p, i) = p * base^(-2 i / dims), computed in binary64 by our own functions and rounded
// to f32 once, so that every machine holds the same table.
// Source: Su et al. 2021 (RoFormer), in the pairing of GGUF's llama weights: (2 i, 2 i + 1).
#pragma once

#include <cstddef>
#include <vector>

namespace mortar {

struct RopeTable {
  int n_positions = 0;
  int n_pairs = 0;
  std::vector<float> cos;  // [n_positions, n_pairs]
  std::vector<float> sin;  // [n_positions, n_pairs]
};

RopeTable MakeRopeTable(int n_positions, int rope_dims, double base);

}  // namespace mortar
