// Goal: no text and no small vocabulary can crash Encode; what it gives are tokens of the
// vocabulary, their bytes are the text's, and untrusted text gives no special token.
//
// Input: one byte that chooses the pre-tokenizer, one that says how many pairs of bytes follow as
// merges of single bytes, then the text.
#include <cstdint>
#include <string>
#include <vector>

#include "common/check.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/utf8.h"

namespace {

// The byte alphabet: printable bytes as they are, the others from U+0100 on.
std::vector<std::string> ByteTokens() {
  std::vector<std::string> tokens;
  char32_t other = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    std::string text;
    mortar::AppendUtf8(printable ? static_cast<char32_t>(byte) : other++, &text);
    tokens.push_back(text);
  }
  return tokens;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr const char* kNames[] = {"smollm", "gpt-2", "llama-bpe", "qwen2"};
  if (size < 2) return 0;
  std::vector<std::string> tokens = ByteTokens();
  std::vector<std::string> merges;
  size_t at = 2;
  for (int i = 0; i < data[1] % 64 && at + 2 <= size; ++i, at += 2) {
    merges.push_back(tokens[data[at]] + " " + tokens[data[at + 1]]);
    tokens.push_back(tokens[data[at]] + tokens[data[at + 1]]);
  }
  std::vector<int32_t> types(tokens.size(), 1);
  const auto n_plain = static_cast<mortar::Token>(tokens.size());
  for (const char* const special : {"<s>", "<s><t>", "ab"}) {
    tokens.push_back(special);
    types.push_back(3);
  }
  mortar::Vocabulary vocabulary;
  vocabulary.tokens = tokens;
  vocabulary.types = types;
  vocabulary.merges = merges;
  vocabulary.pre_tokenizer = kNames[data[0] % 4];
  const auto tokenizer = mortar::MakeBpeTokenizer(vocabulary);
  if (!tokenizer.ok()) return 0;  // a merge twice
  const std::string text(reinterpret_cast<const char*>(data) + at, size - at);
  for (const bool trusted : {false, true}) {
    const auto encoded = (*tokenizer)->Encode({{text, trusted}});
    CHECK(encoded.ok() == !mortar::FindInvalidUtf8(text));
    if (!encoded.ok()) return 0;
    std::string back;
    for (const mortar::Token token : *encoded) {
      CHECK(trusted || token < n_plain);
      back += (*tokenizer)->Bytes(token, /*special=*/true);
    }
    CHECK(back == text);
  }
  return 0;
}
