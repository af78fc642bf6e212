// Properties of characters that tokenizers ask for, from the Unicode Character Database.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar {

struct CharacterRange {
  char32_t first, last;
};
struct CombiningRange {
  char32_t first, last;
  uint8_t combining;  // canonical combining class
};
struct LowerRange {
  char32_t first, last, step;  // first, first + step, ..., last
  int32_t offset;              // from a character to its lower case
};

// All ascending.
extern const CombiningRange kCombining[];
extern const CharacterRange kMarks[];        // category Mn
extern const CharacterRange kPunctuation[];  // categories P*
extern const CharacterRange kOther[];        // categories Cc, Cf, Co
extern const LowerRange kLower[];            // those of which the lower case is one character
extern const size_t kCombiningSize, kMarksSize, kPunctuationSize, kOtherSize, kLowerSize;

int CombiningClass(char32_t c);
bool IsMark(char32_t c);         // nonspacing
bool IsPunctuation(char32_t c);  // by category alone: "$" and "+" are symbols
bool IsOther(char32_t c);        // control, format or private use
char32_t ToLower(char32_t c);    // `c` itself where it has no single lower case

}  // namespace mortar
