// Goal: each known pre-tokenizer cuts text as the library does with which the models were
// trained (tests/data/text/pieces.json), in linear time; unknown ones are refused by name.
#include "engine/text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/text/stored.h"

namespace mortar {
namespace {

using Pieces = std::vector<std::string_view>;

TEST(PreTokenizer, CutsTheCorpusAsTheStoredPieces) {
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  const nlohmann::json stored = Stored("pieces.json")["pieces"];
  ASSERT_EQ(stored.size(), 4u);
  for (const auto& [name, pieces] : stored.items()) {
    const auto pre_tokenizer = PreTokenizer::Make(name);
    ASSERT_TRUE(pre_tokenizer.ok()) << pre_tokenizer.status();
    ASSERT_EQ(pieces.size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string text = texts[i];
      Pieces cut;
      ASSERT_TRUE((*pre_tokenizer)->Split(text, &cut).ok());
      EXPECT_EQ(std::vector<std::string>(cut.begin(), cut.end()),
                pieces[i].get<std::vector<std::string>>())
          << name << ", text " << i << ": " << texts[i];
    }
  }
}

TEST(PreTokenizer, UnknownNamesAreRefusedWithTheKnownOnes) {
  const auto made = PreTokenizer::Make("tekken");
  EXPECT_EQ(made.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Message(made.status()),
            "pre-tokenizer 'tekken' is not known; known are gpt-2, llama-bpe, qwen2, smollm");
}

// Four megabytes of what patterns like least. Each would take hours if a search looked at the
// whole rest of the text, or fail if it kept a frame per character.
TEST(PreTokenizer, LongRunsOfOneKindAreCutInTime) {
  constexpr int kCharacters = 1 << 22;
  std::vector<std::string> texts;
  for (const char c : {'a', ' ', '\n', '7', '-', '\''}) texts.emplace_back(kCharacters, c);
  texts.emplace_back();
  for (int i = 0; i < kCharacters / 2; ++i) texts.back() += " \n";
  texts.emplace_back();
  for (int i = 0; i < kCharacters / 2; ++i) texts.back() += "\xC3\xA9";
  for (const char* const name : {"gpt-2", "llama-bpe", "qwen2", "smollm"}) {
    const auto pre_tokenizer = PreTokenizer::Make(name);
    ASSERT_TRUE(pre_tokenizer.ok());
    for (const std::string& text : texts) {
      Pieces cut;
      const absl::Status status = (*pre_tokenizer)->Split(text, &cut);
      ASSERT_TRUE(status.ok()) << name << ", text of " << text[0] << ": " << status;
      size_t bytes = 0;
      for (const std::string_view piece : cut) bytes += piece.size();
      EXPECT_EQ(bytes, text.size());
    }
  }
}

}  // namespace
}  // namespace mortar
