#include "engine/text/piece_trie.h"

#include <utility>

namespace mortar {

// The entries below a node are a range of the sorted ones; the one that ends there comes first.
PieceTrie::PieceTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.text < b.text; });
  struct Range {
    uint32_t first;
    uint32_t last;
    uint32_t depth;
  };
  nodes_.emplace_back();
  std::vector<Range> ranges = {{0, static_cast<uint32_t>(entries.size()), 0}};
  for (size_t i = 0; i < nodes_.size(); ++i) {
    auto [at, last, depth] = ranges[i];
    if (at < last && entries[at].text.size() == depth) nodes_[i].token = entries[at++].token;
    nodes_[i].first_child = static_cast<uint32_t>(nodes_.size());
    while (at < last) {
      const auto byte = static_cast<uint8_t>(entries[at].text[depth]);
      const uint32_t first = at;
      while (at < last && static_cast<uint8_t>(entries[at].text[depth]) == byte) ++at;
      nodes_.emplace_back();
      nodes_.back().byte = byte;
      ranges.push_back({first, at, depth + 1});
      ++nodes_[i].n_children;
    }
  }
}

}  // namespace mortar
