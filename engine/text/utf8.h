// UTF-8 as Unicode chapter 3 defines it (table 3-7): no overlong forms, no surrogates, nothing
// above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mortar {

enum class Utf8Kind {
  kCharacter,   // a whole character of `bytes` bytes
  kInvalid,     // `bytes` bytes that no continuation can turn into a character
  kIncomplete,  // all that is left (`bytes` bytes) begins a character that has not ended
};

struct Utf8Step {
  Utf8Kind kind;
  size_t bytes;         // 1 to 4
  char32_t code_point;  // of a kCharacter, else 0
};

// What stands at the beginning of `text`. Needs: not empty. An invalid stretch is a maximal
// subpart, so replacing each step by one U+FFFD follows the practice that Unicode recommends.
Utf8Step NextUtf8(std::string_view text);

// Offset of the first byte that is not part of a whole character, or nothing.
std::optional<size_t> FindInvalidUtf8(std::string_view text);

// Appends the UTF-8 form. Needs: a scalar value (no surrogate, at most U+10FFFF).
void AppendUtf8(char32_t code_point, std::string* out);

// Code points of a text that is valid UTF-8.
size_t CountCodePoints(std::string_view text);

// Bytes of U+FFFD, which stands for what is no character.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace mortar
