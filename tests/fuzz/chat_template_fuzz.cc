// Goal: no template and no message can crash, hang or exhaust memory; what is put out is valid
// UTF-8, and no byte of a message comes out trusted.
//
// Input: the template, a byte FF (which no template holds), the content of a message. Messages are
// given with each letter replaced by q, and templates with each q by p, so that trust shows.
#include <algorithm>
#include <cstdint>
#include <string>

#include "common/check.h"
#include "engine/text/chat_template.h"
#include "engine/text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t border = std::min(input.find('\xFF'), size);
  std::string source = input.substr(0, border);
  std::replace(source.begin(), source.end(), 'q', 'p');
  std::replace(source.begin(), source.end(), 'Q', 'P');
  std::string content = input.substr(std::min(border + 1, size));
  for (char& c : content) {
    if (static_cast<uint8_t>(c) < 0x80 && c != ' ') c = 'q';
  }
  // An escape can write a q as well: such templates say nothing about trust.
  const bool shows = source.find('\\') == std::string::npos;

  const auto parsed = mortar::ChatTemplate::Parse(source);
  if (!parsed.ok()) return 0;
  const auto pieces =
      (*parsed)->Render({{"user", content}, {"q", "q " + content}}, true, "<s>", "</s>");
  if (!pieces.ok()) return 0;
  for (const mortar::TextPiece& piece : *pieces) {
    CHECK(!piece.text.empty());
    CHECK(!mortar::FindInvalidUtf8(piece.text));
    CHECK(!piece.trusted || !shows || piece.text.find_first_of("qQ") == std::string::npos);
  }
  return 0;
}
