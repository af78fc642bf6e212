#include "engine/model/rope.h"

#include <new>
#include <string>
#include <vector>

#include "engine/kernels/math.h"

namespace mortar {

absl::StatusOr<RopeTable> MakeRopeTable(int n_positions, const RopeSpec& spec) {
  RopeTable table;
  table.n_positions = n_positions;
  table.n_pairs = spec.dims / 2;
  std::vector<double> frequency(static_cast<size_t>(table.n_pairs));
  for (int i = 0; i < table.n_pairs; ++i) {
    const double factor = spec.factors.empty() ? 1 : static_cast<double>(spec.factors[i]);
    frequency[i] = ExpTable(-2.0 * i / spec.dims * LogTable(spec.base)) / (spec.divisor * factor);
  }
  const size_t n = static_cast<size_t>(n_positions) * table.n_pairs;
  table.cos.reset(new (std::nothrow) float[n]);
  table.sin.reset(new (std::nothrow) float[n]);
  if (table.cos == nullptr || table.sin == nullptr) {
    return ResourceExhausted("no memory for a rotation table of " +
                             std::to_string(2 * n * sizeof(float)) + " bytes, for " +
                             std::to_string(n_positions) + " positions");
  }
  for (int p = 0; p < n_positions; ++p) {
    for (int i = 0; i < table.n_pairs; ++i) {
      const size_t at = static_cast<size_t>(p) * table.n_pairs + i;
      const double theta = p * frequency[i];
      table.cos[at] = static_cast<float>(CosTable(theta) * spec.magnitude);
      table.sin[at] = static_cast<float>(SinTable(theta) * spec.magnitude);
    }
  }
  return table;
}

}  // namespace mortar
