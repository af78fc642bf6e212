// The merges of SentencePiece's BPE: of all neighbouring symbols whose joined text is a token,
// the pair with the highest score is joined, the leftmost among equals, until there is none.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/text/vocabulary.h"

namespace mortar {

// Thread-safe after construction; each thread brings its own Scratch.
class ScoreMerger {
 public:
  // Memory of a Merge that the next one uses again.
  struct Symbol {
    uint32_t at;     // offset in the text
    uint32_t bytes;  // 0: joined into the symbol before it
    int32_t before;  // index of the neighbours, -1 at the ends
    int32_t after;
  };
  struct Candidate {
    float score;
    int32_t first;   // index of the left symbol
    uint32_t bytes;  // of the pair when it was found; it is stale when that changed
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  // `table` outlives the merger. `scores` [n_vocab], finite.
  ScoreMerger(const TokenTable& table, std::span<const float> scores);

  // Calls `emit` with each symbol that is left and its token, -1 where a single character has
  // none. Needs: valid UTF-8 of less than 2 GiB. O(n log n) for n characters.
  void Merge(std::string_view text, Scratch* scratch,
             const std::function<void(std::string_view, Token)>& emit) const;

 private:
  void Propose(std::string_view text, int32_t first, Scratch* scratch) const;

  const TokenTable& table_;
  std::vector<float> scores_;  // [n_vocab]
  size_t longest_ = 0;         // bytes of the longest normal token
};

}  // namespace mortar
