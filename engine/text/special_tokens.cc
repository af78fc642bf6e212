#include "engine/text/special_tokens.h"

#include <algorithm>

namespace mortar {
namespace {

uint8_t ByteAt(const SpecialTokens::Entry& entry, size_t depth) {
  return static_cast<uint8_t>(entry.text[depth]);
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.text < b.text; });
  uint32_t next = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const uint32_t first = next;
    while (next < entries_.size() && ByteAt(entries_[next], 0) == byte) ++next;
    begins_[byte] = {first, next};
  }
}

// Narrows the range of entries that agree with the text, one byte deeper at a time. Sorted
// order puts the entry that ends at a depth first in its range.
SpecialTokens::Found SpecialTokens::MatchAt(std::string_view text, size_t at) const {
  const auto [begin, end] = begins_[static_cast<uint8_t>(text[at])];
  auto first = entries_.begin() + begin;
  auto last = entries_.begin() + end;
  Found found;
  for (size_t depth = 1; first != last; ++depth) {
    if (first->text.size() == depth) {
      found = {at, depth, first->token};
      ++first;
    }
    if (at + depth >= text.size()) break;
    const auto byte = static_cast<uint8_t>(text[at + depth]);
    first = std::lower_bound(first, last, byte,
                             [depth](const Entry& e, uint8_t b) { return ByteAt(e, depth) < b; });
    last = std::upper_bound(first, last, byte,
                            [depth](uint8_t b, const Entry& e) { return b < ByteAt(e, depth); });
  }
  return found;
}

SpecialTokens::Found SpecialTokens::Find(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    const auto [begin, end] = begins_[static_cast<uint8_t>(text[at])];
    if (begin == end) continue;
    const Found found = MatchAt(text, at);
    if (found.bytes > 0) return found;
  }
  return {};
}

}  // namespace mortar
