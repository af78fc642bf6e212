// Unicode's normal forms. Source: Unicode Standard Annex #15.
#pragma once

#include <string>
#include <string_view>

namespace mortar {

// Normal form C (characters composed) and D (decomposed). Needs: valid UTF-8. Appends; linear
// time, but for the sorting of what combines with one character.
void AppendNfc(std::string_view text, std::string* out);
void AppendNfd(std::string_view text, std::string* out);
// The same of compatible characters: full width becomes narrow, ligatures letters. A text may grow
// to eleven times its bytes.
void AppendNfkc(std::string_view text, std::string* out);
void AppendNfkd(std::string_view text, std::string* out);

// True only where normal form C changes nothing; quick.
bool IsSurelyNfc(std::string_view text);

}  // namespace mortar
