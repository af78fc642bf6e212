// The rotation table: cos and sin of every position and frequency, made once.
//
// theta(p, i) = p / divisor * base^(-2 i / dims) / factors[i], computed in binary64 by our own
// functions and rounded to f32 once, so that every machine holds the same table.
// Sources: Su et al. 2021 (RoFormer); Chen et al. 2023 (divided positions); the factors are
// those that Llama 3.1 and LongRoPE (Ding et al. 2024) store with the weights.
#pragma once

#include <memory>
#include <vector>

#include "common/status.h"

namespace mortar {

// How positions turn. Needs, so that every angle is one that SinTable takes: base >= 1, and
// positions / divisor / factor below 2^20.
struct RopeSpec {
  int dims = 0;  // leading elements of a head that rotate; even
  double base = 10000;
  double divisor = 1;            // of positions
  std::vector<float> factors{};  // [dims / 2], or empty: all 1
  double magnitude = 1;          // cos and sin are multiplied by it

  bool operator==(const RopeSpec&) const = default;
};

struct RopeTable {
  int n_positions = 0;
  int n_pairs = 0;
  std::unique_ptr<float[]> cos;  // [n_positions, n_pairs]
  std::unique_ptr<float[]> sin;  // [n_positions, n_pairs]
};

// Needs: n_positions up to 2^20. ResourceExhausted says how much memory was wanted.
absl::StatusOr<RopeTable> MakeRopeTable(int n_positions, const RopeSpec& spec);

}  // namespace mortar
