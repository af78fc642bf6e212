// A run of whole layers, half open: [begin, end). The same everywhere: flags, wire, docs.
#pragma once

#include <compare>
#include <string>

namespace mortar {

struct LayerRange {
  int begin = 0;
  int end = 0;

  int size() const { return end - begin; }
  bool empty() const { return begin >= end; }
  bool Contains(int layer) const { return layer >= begin && layer < end; }
  auto operator<=>(const LayerRange&) const = default;
};

inline std::string ToString(LayerRange r) {
  return "[" + std::to_string(r.begin) + ", " + std::to_string(r.end) + ")";
}

}  // namespace mortar
