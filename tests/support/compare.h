// How tests compare numbers: bit for bit, or by how far apart they are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

namespace mortar {

// Equal bit for bit, zero signs included. Nothing is not the same as nothing: a test that compares
// it has lost what it meant to compare.
template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return !a.empty() && a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// The largest distance between a number of `a` and its counterpart in `b`; infinity where their
// sizes differ or a distance is no finite number, which std::max would pass over.
template <typename A, typename B>
double LargestDifference(const std::vector<A>& a, const std::vector<B>& b) {
  if (a.empty() || a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace mortar
