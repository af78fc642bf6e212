// Small vocabularies with scores, for tests that need no model: of SentencePiece's BPE here, of its
// Unigram in unigram_vocabulary.h.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/text/sentencepiece_tokenizer.h"

namespace mortar {

struct ScoredTables {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;
  Vocabulary view;  // all but the tables

  Token Add(const std::string& text, int32_t type, float score) {
    tokens.push_back(text);
    types.push_back(type);
    scores.push_back(score);
    return static_cast<Token>(tokens.size() - 1);
  }
  void AddBytes() {
    for (unsigned byte = 0; byte < 256; ++byte) {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", byte);
      Add(text, 6, 0);
    }
  }
  // The token of this text; -1 when there is none.
  Token Id(const std::string& text) const {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] == text) return static_cast<Token>(i);
    }
    return -1;
  }
  const Vocabulary& View() {
    view.tokens = tokens;
    view.types = types;
    view.scores = scores;
    return view;
  }
};

// An unknown token, all bytes and a few pieces.
struct ScoredVocabulary : ScoredTables {
  ScoredVocabulary() {
    Add("<unk>", 2, 0);
    AddBytes();
    Add("\u2581", 1, -3);
    Add("a", 1, -3);
    Add("b", 1, -3);
    Add("aa", 1, -2);
    Add("ab", 1, -1);
    Add("\u2581a", 1, -0.5f);
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> Make() { return MakeSentencePieceTokenizer(View()); }
};

// Why no tokenizer can be made of it.
template <typename Tables>
std::string Refusal(Tables vocabulary) {
  const auto made = vocabulary.Make();
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  return Message(made.status());
}

template <typename Tables>
void ExpectThatScoresAreChecked() {
  Tables few;
  few.scores.pop_back();
  const std::string n = std::to_string(few.scores.size());
  EXPECT_THAT(Refusal(few), testing::HasSubstr("tokenizer.ggml.scores has " + n + " entries"));
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Tables vocabulary;
    vocabulary.scores[3] = bad;
    EXPECT_THAT(Refusal(vocabulary), testing::HasSubstr("tokenizer.ggml.scores[3] is ")) << bad;
  }
}

}  // namespace mortar
