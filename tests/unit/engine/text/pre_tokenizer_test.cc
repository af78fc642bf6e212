// Goal: each known pre-tokenizer cuts text as the library does with which the models were
// trained (tests/data/text/pieces.json), in linear time; unknown ones are refused by name.
#include "engine/text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sanitized.h"
#include "tests/unit/engine/text/stored.h"

namespace mortar {
namespace {

using Pieces = std::vector<std::string_view>;

TEST(PreTokenizer, CutsTheCorpusAsTheStoredPieces) {
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  const nlohmann::json stored = Stored("pieces.json")["pieces"];
  ASSERT_EQ(stored.size(), 9u);
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
  const auto made = PreTokenizer::Make("klingon");
  EXPECT_EQ(made.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Message(made.status()),
            "pre-tokenizer 'klingon' is not known; known are chatglm-bpe, command-r, dbrx, "
            "deepseek-coder, deepseek-r1-qwen, deepseek-v3, falcon3, glm4, gpt-2, gpt-4o, "
            "llama-bpe, llama-v3, llama3, llama4, modern-bert, mpt, olmo, phi-2, qwen2, qwen35, "
            "refact, smaug-bpe, smollm, starcoder, tekken");
}

// Names of models that share a pre-tokenizer.
TEST(PreTokenizer, KinCutAsTheirFamilyDoes) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> families = {
      {"gpt-2", {"phi-2", "mpt", "olmo", "modern-bert"}},
      {"smollm", {"starcoder", "refact", "command-r"}},
      {"llama-bpe", {"llama3", "llama-v3", "falcon3", "smaug-bpe", "dbrx", "glm4", "chatglm-bpe"}},
      {"qwen2", {"deepseek-r1-qwen"}},
      {"gpt-4o", {"llama4"}}};
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  for (const auto& [name, kin] : families) {
    const auto family = PreTokenizer::Make(name);
    ASSERT_TRUE(family.ok()) << family.status();
    for (const std::string& other : kin) {
      const auto made = PreTokenizer::Make(other);
      ASSERT_TRUE(made.ok()) << made.status();
      for (const nlohmann::json& entry : texts) {
        const std::string text = entry;
        Pieces expected, cut;
        ASSERT_TRUE((*family)->Split(text, &expected).ok());
        ASSERT_TRUE((*made)->Split(text, &cut).ok());
        EXPECT_EQ(cut, expected) << other << ": " << entry;
      }
    }
  }
}

// Two megabytes of what patterns like least. Each would take hours if a search looked at the
// whole rest of the text, or fail if it kept a frame per character.
TEST(PreTokenizer, LongRunsOfOneKindAreCutInTime) {
  constexpr int kCharacters = kSanitized ? 1 << 17 : 1 << 21;
  std::vector<std::string> texts;
  for (const char c : {'a', ' ', '\n', '7', '-', '\''}) texts.emplace_back(kCharacters, c);
  texts.emplace_back();
  for (int i = 0; i < kCharacters / 2; ++i) texts.back() += " \n";
  texts.emplace_back();
  for (int i = 0; i < kCharacters / 2; ++i) texts.back() += "\xC3\xA9";
  texts.emplace_back();
  for (int i = 0; i < kCharacters / 2; ++i) texts.back() += i % 3 == 0 ? "A\u0301" : "\u4E00";
  texts.emplace_back(kCharacters, 'A');
  for (const char* const name : {"gpt-2", "llama-bpe", "qwen2", "smollm", "qwen35", "gpt-4o",
                                 "tekken", "deepseek-coder", "deepseek-v3"}) {
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
