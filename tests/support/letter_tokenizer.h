// A tokenizer small enough to read a test's tokens and texts at a glance.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace mortar {

// Token t is the letter 'a' + t; token 25 ends a generation; 26 and 27 are the bytes of "é".
class LetterTokenizer final : public Tokenizer {
 public:
  LetterTokenizer() {
    for (int t = 0; t < 26; ++t) bytes_.push_back(std::string(1, static_cast<char>('a' + t)));
    bytes_.push_back("\xc3");
    bytes_.push_back("\xa9");
  }
  // Letters alone; there are no special tokens.
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override {
    std::vector<Token> tokens;
    for (const TextPiece& piece : pieces) {
      for (const char letter : piece.text) {
        if (letter < 'a' || letter > 'z') {
          return InvalidArgument("\"" + piece.text + "\" has more than the letters a to z");
        }
        tokens.push_back(letter - 'a');
      }
    }
    return tokens;
  }
  int n_vocab() const override { return static_cast<int>(bytes_.size()); }
  std::string_view Bytes(Token token, bool) const override {
    return bytes_.at(static_cast<size_t>(token));
  }
  bool IsEndOfGeneration(Token token) const override { return token == 25; }
  Token bos() const override { return -1; }
  Token eos() const override { return 25; }
  bool adds_bos() const override { return false; }

 private:
  std::vector<std::string> bytes_;
};

}  // namespace mortar
