// Finds all pieces of a vocabulary that begin a text, in one walk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mortar {

// Thread-safe after construction. It copies.
class PieceTrie {
 public:
  struct Entry {
    std::string_view text;  // not empty
    int32_t token;          // not negative
  };

  PieceTrie() : PieceTrie(std::vector<Entry>()) {}
  // Texts differ from one another. At most 12 bytes of memory for each byte of them, twice that
  // while it is built.
  explicit PieceTrie(std::vector<Entry> entries);

  // Calls `visit(bytes, token)` for each piece that begins `text`, the shortest first. At most
  // eight steps for a byte of the longest.
  template <typename Visit>
  void ForPrefixes(std::string_view text, const Visit& visit) const {
    const Node* node = nodes_.data();
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(*node, static_cast<uint8_t>(text[i]));
      if (node == nullptr) return;
      if (node->token >= 0) visit(i + 1, node->token);
    }
  }

 private:
  // The children of a node stand side by side, ascending by their byte.
  struct Node {
    uint32_t first_child = 0;
    int32_t token = -1;
    uint16_t n_children = 0;
    uint8_t byte = 0;
  };

  const Node* Child(const Node& node, uint8_t byte) const {
    const Node* const first = nodes_.data() + node.first_child;
    const Node* const last = first + node.n_children;
    const Node* const found = std::lower_bound(
        first, last, byte, [](const Node& child, uint8_t wanted) { return child.byte < wanted; });
    return found != last && found->byte == byte ? found : nullptr;
  }

  std::vector<Node> nodes_;  // the root first; level by level
};

}  // namespace mortar
