// A vocabulary of all 256 bytes, a few merges and a few special tokens, for tests that need no
// model. Bytes are tokens 0 to 255 in order, then the results of merges, then special tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/bpe_tokenizer.h"
#include "engine/text/utf8.h"

namespace mortar {

struct SmallVocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
  Vocabulary view;  // all but the tables

  SmallVocabulary() {
    char32_t other = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
      std::string text;
      AppendUtf8(printable ? static_cast<char32_t>(byte) : other++, &text);
      Add(text, 1);
    }
    view.pre_tokenizer = "gpt-2";
  }
  Token Add(const std::string& text, int32_t type) {
    tokens.push_back(text);
    types.push_back(type);
    return static_cast<Token>(tokens.size() - 1);
  }
  // Adds the merge and its result; both parts are tokens already.
  Token Merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    return Add(left + right, 1);
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> Make() {
    view.tokens = tokens;
    view.types = types;
    view.merges = merges;
    return MakeBpeTokenizer(view);
  }
};

}  // namespace mortar
