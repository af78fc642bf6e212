// Full compatibility decompositions where these are others than the canonical ones, as the Unicode
// Character Database has them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar {

// Of one character each: first, first + step, ..., last.
struct CompatibleRange {
  char32_t first, last, step;
  int32_t offset;  // from a character to what it becomes
};
struct CompatibleText {
  char32_t character;
  char32_t text[18];  // ended by 0, or full
};

// Both ascending.
extern const CompatibleRange kCompatibleRanges[];
extern const CompatibleText kCompatibleTexts[];
extern const size_t kCompatibleRangesSize, kCompatibleTextsSize;

}  // namespace mortar
