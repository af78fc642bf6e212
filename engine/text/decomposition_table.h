// Canonical decompositions, as the Unicode Character Database has them; Hangul syllables, which
// decompose by arithmetic, are not among them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mortar {

struct Decomposition {
  char32_t character;
  char32_t first;        // these may decompose further
  char32_t second = 0;   // 0: there is one alone
  bool composes = true;  // whether normal form C makes the character from the two
};

extern const Decomposition kDecompositions[];  // ascending by character
extern const size_t kDecompositionsSize;

}  // namespace mortar
