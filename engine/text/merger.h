// The merges of byte-level BPE: of all neighbouring pairs the one of lowest rank is joined,
// the leftmost among equals, until no neighbours have a merge.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace mortar {

// Thread-safe once all merges are added; each thread brings its own Scratch.
class Merger {
 public:
  // Memory of a Merge that the next one uses again.
  struct Symbol {
    int32_t token;   // -1: joined into the symbol before it
    int32_t before;  // index of the neighbours, -1 at the ends
    int32_t after;
  };
  struct Candidate {
    uint32_t rank;
    int32_t first;  // index of the left symbol
    int32_t left;   // tokens of the pair when it was found; it is stale when they changed
    int32_t right;
    int32_t result;
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  void Reserve(size_t n_merges) { merges_.reserve(n_merges); }
  // False when the pair has a merge already.
  bool Add(int32_t left, int32_t right, uint32_t rank, int32_t result);

  // Appends the tokens of a piece that is spelled by `tokens`. O(n log n) for n tokens.
  void Merge(const std::vector<int32_t>& tokens, Scratch* scratch, std::vector<int32_t>* out) const;

 private:
  struct Rule {
    uint32_t rank;
    int32_t result;
  };
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  void Propose(int32_t first, Scratch* scratch) const;

  absl::flat_hash_map<uint64_t, Rule> merges_;  // by (left, right)
};

}  // namespace mortar
