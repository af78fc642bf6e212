// Unicode's property White_Space.
#pragma once

namespace mortar {

// Source: Unicode Character Database, PropList.txt. (PCRE2's \s and Python's str.isspace take a
// few characters more.)
constexpr bool IsWhiteSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace mortar
