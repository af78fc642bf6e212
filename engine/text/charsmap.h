// SentencePiece's table of what a text's characters are rewritten to (GGUF's
// tokenizer.ggml.precompiled_charsmap): normal form KC, spaces of all kinds, full width, ...
//
// Layout: four bytes, little endian, that count the bytes of a trie; the trie; and replacements,
// each ended by a zero byte, that the trie's values are offsets into. The trie is the double array
// of Darts-clone: units of 32 bits, where the child by a byte stands at the parent's index xor its
// offset xor the byte, and a key's value at the index xor the offset. Sources: SentencePiece's
// normalizer, darts-clone's header.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace mortar {

// Thread-safe after Make. A table of no bytes rewrites nothing.
class CharsMap {
 public:
  struct Match {
    size_t bytes = 0;              // of the text; 0: nothing is replaced here
    std::string_view replacement;  // lives as long as the table
  };

  // Does: checks every offset that a search can reach, so that a search needs no trust.
  // Errors: InvalidArgument, with what was expected and what came, for a table that is cut, a trie
  // whose values lie outside of the replacements, and replacements that are no UTF-8.
  static absl::StatusOr<CharsMap> Make(std::string_view blob);

  // The longest beginning of `text` that is replaced, among those of up to kCharsMapKeyBytesMax
  // bytes.
  Match Longest(std::string_view text) const;

 private:
  absl::Status CheckValues() const;

  std::vector<uint32_t> units_;
  std::string replacements_;  // ends with a zero byte
};

}  // namespace mortar
