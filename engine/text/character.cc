#include <algorithm>

#include "engine/text/character_tables.h"

namespace mortar {
namespace {

// The range of the sorted table that holds `c`; null: none.
template <typename Range>
const Range* Find(const Range* table, size_t size, char32_t c) {
  const Range* const end = table + size;
  const Range* const found =
      std::lower_bound(table, end, c, [](const Range& r, char32_t x) { return r.last < x; });
  return found != end && found->first <= c ? found : nullptr;
}

}  // namespace

int CombiningClass(char32_t c) {
  const CombiningRange* const found = Find(kCombining, kCombiningSize, c);
  return found == nullptr ? 0 : found->combining;
}

bool IsMark(char32_t c) { return Find(kMarks, kMarksSize, c) != nullptr; }
bool IsPunctuation(char32_t c) { return Find(kPunctuation, kPunctuationSize, c) != nullptr; }
bool IsOther(char32_t c) { return Find(kOther, kOtherSize, c) != nullptr; }

char32_t ToLower(char32_t c) {
  const LowerRange* const found = Find(kLower, kLowerSize, c);
  if (found == nullptr || (c - found->first) % found->step != 0) return c;
  return static_cast<char32_t>(static_cast<int32_t>(c) + found->offset);
}

}  // namespace mortar
