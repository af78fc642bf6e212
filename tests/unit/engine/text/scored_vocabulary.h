// A SentencePiece vocabulary of an unknown token, all bytes and a few pieces, for tests that need
// no model.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/text/sentencepiece_tokenizer.h"

namespace mortar {

struct ScoredVocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;
  Vocabulary view;  // all but the tables

  ScoredVocabulary() {
    Add("<unk>", 2, 0);
    for (unsigned byte = 0; byte < 256; ++byte) {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", byte);
      Add(text, 6, 0);
    }
    Add("\u2581", 1, -3);
    Add("a", 1, -3);
    Add("b", 1, -3);
    Add("aa", 1, -2);
    Add("ab", 1, -1);
    Add("\u2581a", 1, -0.5f);
  }
  Token Add(const std::string& text, int32_t type, float score) {
    tokens.push_back(text);
    types.push_back(type);
    scores.push_back(score);
    return static_cast<Token>(tokens.size() - 1);
  }
  // The token of this text; -1 when there is none.
  Token Id(const std::string& text) const {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == text) return static_cast<Token>(i);
    }
    return -1;
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> Make() {
    view.tokens = tokens;
    view.types = types;
    view.scores = scores;
    return MakeSentencePieceTokenizer(view);
  }
};

}  // namespace mortar
