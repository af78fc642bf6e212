// Goal: with the default model's own vocabulary, ids equal those of Hugging Face's tokenizers
// over texts of many scripts (tests/data/text/smollm2_tokens.json says by which versions), the
// text comes back from the ids, and building and long texts stay fast.
#include <gtest/gtest.h>

#include <chrono>

#include "engine/text/tokenizer.h"
#include "tests/support/test_model.h"
#include "tests/unit/engine/text/stored.h"

namespace mortar {
namespace {

using Tokens = std::vector<Token>;

class SmolLm2TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto file = GgufFile::Open(TestModelPath());
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    auto tokenizer = Tokenizer::FromGguf(*file_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }
  std::shared_ptr<GgufFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(SmolLm2TokenizerTest, IdsEqualTheStoredOnes) {
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  const nlohmann::json stored = Stored("smollm2_tokens.json");
  ASSERT_EQ(stored["plain"].size(), texts.size());
  ASSERT_EQ(stored["trusted"].size(), texts.size());
  ASSERT_GT(texts.size(), 100u);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const auto plain = tokenizer_->Encode({{text, false}});
    const auto trusted = tokenizer_->Encode({{text, true}});
    ASSERT_TRUE(plain.ok() && trusted.ok());
    EXPECT_EQ(*plain, stored["plain"][i].get<Tokens>()) << "text " << i << ": " << texts[i];
    EXPECT_EQ(*trusted, stored["trusted"][i].get<Tokens>()) << "text " << i << ": " << texts[i];
  }
}

// Bytes that SmolLM2's vocabulary has no token for, found by listing it.
bool LacksAToken(std::string_view text) {
  return text.find_first_of("\x04\x06\x13\x14\x16\x1d\xF1\xF2") != std::string_view::npos;
}

TEST_F(SmolLm2TokenizerTest, TextComesBackFromItsIds) {
  const nlohmann::json corpus = Stored("corpus.json");
  int n_compared = 0;
  for (const nlohmann::json& entry : corpus["texts"]) {
    const std::string text = entry;
    if (LacksAToken(text)) continue;
    ++n_compared;
    const auto tokens = tokenizer_->Encode({{text, false}});
    ASSERT_TRUE(tokens.ok());
    Detokenizer detokenizer(*tokenizer_);
    std::string back;
    for (const Token token : *tokens) back += detokenizer.Push(token);
    EXPECT_EQ(back + detokenizer.Finish(), text);
  }
  EXPECT_GT(n_compared, 100);
}

TEST_F(SmolLm2TokenizerTest, KnowsItsSpecialTokens) {
  EXPECT_EQ(tokenizer_->n_vocab(), 49152);
  EXPECT_EQ(tokenizer_->bos(), 1);
  EXPECT_EQ(tokenizer_->eos(), 2);
  EXPECT_FALSE(tokenizer_->adds_bos());
  EXPECT_EQ(tokenizer_->Bytes(1, true), "<|im_start|>");
  EXPECT_TRUE(tokenizer_->IsEndOfGeneration(0));  // <|endoftext|>
  EXPECT_FALSE(tokenizer_->IsEndOfGeneration(1));
  EXPECT_TRUE(tokenizer_->IsEndOfGeneration(2));
}

// One piece of a megabyte without a space: merging that were quadratic in a piece would take
// the better part of an hour. The limit leaves room for sanitizers and slow machines.
TEST_F(SmolLm2TokenizerTest, AMegabyteWithoutSpacesIsEncodedInTime) {
  std::string text;
  while (text.size() < (1 << 20)) text += static_cast<char>('a' + text.size() * 7919 % 26);
  const auto begin = std::chrono::steady_clock::now();
  const auto tokens = tokenizer_->Encode({{text, false}});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(tokens.ok());
  RecordProperty("seconds", std::to_string(seconds.count()));
  EXPECT_LT(seconds.count(), 20.0);
  std::string back;
  for (const Token token : *tokens) back += tokenizer_->Bytes(token);
  EXPECT_EQ(back, text);
}

}  // namespace
}  // namespace mortar
