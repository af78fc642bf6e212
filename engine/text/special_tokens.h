// Finds special tokens (control and user-defined) where they stand in trusted text.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace mortar {

// Thread-safe after construction. Views the texts it is given; their owner outlives it.
class SpecialTokens {
 public:
  struct Entry {
    std::string_view text;  // not empty
    int32_t token;
  };
  struct Found {
    size_t at = 0;     // byte offset in the searched text
    size_t bytes = 0;  // 0: there is none
    int32_t token = -1;
  };

  // Texts differ from one another.
  explicit SpecialTokens(std::vector<Entry> entries);

  // The leftmost special token at or after `from`; where several begin, the longest. At most
  // (longest text × log entries) steps a byte.
  Found Find(std::string_view text, size_t from) const;

 private:
  Found MatchAt(std::string_view text, size_t at) const;

  std::vector<Entry> entries_;                 // ascending by text
  std::pair<uint32_t, uint32_t> begins_[256];  // the entries that begin with a byte: [first, last)
};

}  // namespace mortar
