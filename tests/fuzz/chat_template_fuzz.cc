// Goal: no template and no message can crash, hang or exhaust memory; what is put out is valid
// UTF-8, and no byte of a message comes out trusted.
//
// Input: the template, a byte FF (which no template holds), the content of a message, and perhaps
// another FF and JSON for the tools and for further variables. Messages are given with each
// character replaced by q, JSON texts with each letter, and templates with each q by p, so that
// trust shows.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>

#include "common/check.h"
#include "engine/text/chat_template.h"
#include "engine/text/utf8.h"

namespace {

// JSON with each letter inside of a string a q: what comes out of it shows.
std::string Untrusted(std::string json) {
  bool inside = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '"') inside = !inside;
    if (inside && json[i] == '\\') json[i] = 'q';
    if (inside && std::isalpha(static_cast<unsigned char>(json[i])) != 0) json[i] = 'q';
  }
  return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const size_t border = std::min(input.find('\xFF'), size);
  std::string source = input.substr(0, border);
  std::replace(source.begin(), source.end(), 'q', 'p');
  std::replace(source.begin(), source.end(), 'Q', 'P');
  std::string content = input.substr(std::min(border + 1, size));
  const size_t second = std::min(content.find('\xFF'), content.size());
  const std::string json = content.substr(std::min(second + 1, content.size()));
  content.resize(second);
  for (char& c : content) {
    if (static_cast<uint8_t>(c) < 0x80 && c != ' ') c = 'q';
  }
  // An escape can write a q as well: such templates say nothing about trust.
  const bool shows = source.find('\\') == std::string::npos;

  const auto parsed = mortar::ChatTemplate::Parse(source);
  if (!parsed.ok()) return 0;
  mortar::ChatRequest request;
  // The content holds q, spaces and what is no ASCII: it stands in a JSON string as it is.
  request.messages = R"([{"role": "user", "content": ")" + content + R"("}, {"role": "q",
      "content": [{"type": "q", "text": "q"}], "calls": [{"name": "q", "args": {"q": 1.5}}]}])";
  request.tools = "[" + Untrusted(json) + "]";
  request.variables = R"({"more": )" + Untrusted(json) + "}";
  request.bos = "<s>";
  request.eos = "</s>";
  request.now = std::tm{};
  auto pieces = (*parsed)->Render(request);
  if (!pieces.ok()) {  // the JSON is none, or the template fails
    pieces = (*parsed)->Render({{"user", content}, {"q", "q " + content}}, true, "<s>", "</s>");
  }
  if (!pieces.ok()) return 0;
  for (const mortar::TextPiece& piece : *pieces) {
    CHECK(!piece.text.empty());
    CHECK(!mortar::FindInvalidUtf8(piece.text));
    CHECK(!piece.trusted || !shows || piece.text.find_first_of("qQ") == std::string::npos);
  }
  return 0;
}
