// The character that stands for a space in the vocabularies of SentencePiece and WordPiece.
#pragma once

#include <string>
#include <string_view>

namespace mortar {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

// Appends `text` with each mark of a space as the space.
inline void AppendSpaced(std::string_view text, std::string* out) {
  for (size_t mark = text.find(kSpaceMark); mark != std::string_view::npos;
       mark = text.find(kSpaceMark)) {
    out->append(text.substr(0, mark)).push_back(' ');
    text.remove_prefix(mark + kSpaceMark.size());
  }
  out->append(text);
}

}  // namespace mortar
