// Goal: ids equal those of Hugging Face's tokenizers for models trained with it
// (tests/data/text/wordpiece.json says by which version); what a file's keys leave open, and
// tables that do not fit.
#include "engine/text/wordpiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/support/gguf_writer.h"
#include "tests/unit/engine/text/stored.h"

namespace mortar {
namespace {

using Tokens = std::vector<Token>;
using testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Tokenizer>> FromFile(const GgufWriter& writer) {
  const auto file = GgufFile::FromBytes(writer.Bytes(), "stored.gguf");
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return file.status();
  return Tokenizer::FromGguf(**file);
}

GgufWriter FileOf(const std::vector<std::string>& tokens, const std::vector<int32_t>& types) {
  GgufWriter writer;
  writer.AddString("tokenizer.ggml.model", "bert");
  writer.AddStrings("tokenizer.ggml.tokens", tokens);
  writer.AddInts("tokenizer.ggml.token_type", types);
  return writer;
}

GgufWriter SmallFile() {
  return FileOf({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581a", "\u2581ab", "b", "c", "\u2581."},
                {3, 3, 3, 3, 1, 1, 1, 1, 1});
}

std::unique_ptr<Tokenizer> FromStored(const nlohmann::json& model) {
  GgufWriter writer = FileOf(model["tokens"].get<std::vector<std::string>>(),
                             model["types"].get<std::vector<int32_t>>());
  writer.AddBool("tokenizer.ggml.normalizer.lowercase", model["lowercase"].get<bool>());
  writer.AddBool("tokenizer.ggml.normalizer.strip_accents", model["strip_accents"].get<bool>());
  auto tokenizer = FromFile(writer);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

TEST(WordPieceTokenizer, IdsEqualHuggingFaces) {
  const nlohmann::json stored = Stored("wordpiece.json");
  ASSERT_EQ(stored["models"].size(), 3u);
  for (const auto& [name, model] : stored["models"].items()) {
    const auto tokenizer = FromStored(model);
    ASSERT_NE(tokenizer, nullptr);
    ASSERT_EQ(model["ids"].size(), stored["texts"].size());
    for (size_t i = 0; i < stored["texts"].size(); ++i) {
      const auto tokens = tokenizer->Encode({{stored["texts"][i].get<std::string>(), false}});
      ASSERT_TRUE(tokens.ok()) << tokens.status();
      EXPECT_EQ(*tokens, model["ids"][i].get<Tokens>())
          << name << ", text " << i << ": " << stored["texts"][i];
    }
    for (size_t i = 0; i < stored["specials"].size(); ++i) {
      const auto tokens = tokenizer->Encode({{stored["specials"][i].get<std::string>(), true}});
      ASSERT_TRUE(tokens.ok()) << tokens.status();
      EXPECT_EQ(*tokens, model["trusted"][i].get<Tokens>())
          << name << ": " << stored["specials"][i];
    }
  }
}

TEST(WordPieceTokenizer, AFileWithoutFurtherKeysIsUncasedBetweenClsAndSep) {
  const auto tokenizer = FromFile(SmallFile());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->bos(), 2);
  EXPECT_EQ((*tokenizer)->eos(), 3);
  EXPECT_TRUE((*tokenizer)->adds_bos());
  EXPECT_TRUE((*tokenizer)->adds_eos());
  EXPECT_EQ(*(*tokenizer)->Encode({{"\u00C1BC ab. xyz"}}), (Tokens{5, 7, 5, 8, 1}));
  EXPECT_EQ(*(*tokenizer)->Encode({{"[SEP]"}}), (Tokens{1, 1, 1}));
  EXPECT_EQ(*(*tokenizer)->Encode({}), Tokens{});
}

TEST(WordPieceTokenizer, TokensTurnBackIntoWords) {
  const auto tokenizer = FromFile(SmallFile());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  Detokenizer detokenizer(**tokenizer, Detokenizer::From::kBeginning);
  std::string text;
  for (const Token token : {2, 5, 7, 5, 8, 3}) text += detokenizer.Push(token);
  EXPECT_EQ(text, "abc ab .");
}

TEST(WordPieceTokenizer, TablesThatDoNotFitAreRefused) {
  const auto refusal = [](const GgufWriter& writer) {
    const auto made = FromFile(writer);
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
    return Message(made.status());
  };
  EXPECT_THAT(refusal(FileOf({"[CLS]", "\u2581a"}, {3, 1})), HasSubstr("no unknown token"));
  EXPECT_EQ(refusal(FileOf({"[UNK]", "a", "a"}, {3, 1, 1})),
            "tokenizer.ggml.tokens[2] repeats token 1");
  EXPECT_THAT(refusal(FileOf({"[UNK]", std::string(1025, 'x')}, {3, 1})),
              HasSubstr("has 1025 bytes, expected at most 1024"));
  GgufWriter beyond = SmallFile();
  beyond.AddUint32("tokenizer.ggml.cls_token_id", 100);
  EXPECT_THAT(refusal(beyond), HasSubstr("tokenizer.ggml.bos_token_id is 100"));
  GgufWriter text = SmallFile();
  text.AddString("tokenizer.ggml.normalizer.lowercase", "yes");
  EXPECT_THAT(refusal(text), HasSubstr("tokenizer.ggml.normalizer.lowercase"));
}

TEST(WordPieceTokenizer, InvalidUtf8IsRefusedWithItsOffset) {
  const auto tokenizer = FromFile(SmallFile());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto tokens = (*tokenizer)->Encode({{"ab\xFF"}});
  EXPECT_EQ(Message(tokens.status()), "the text is not valid UTF-8 at byte 2");
}

TEST(WordPieceTokenizer, AMegabyteOfOneWordOrOfMarksIsEncodedInTime) {
  const auto tokenizer = FromFile(SmallFile());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  for (const std::string unit : {"a", "ab ", ".", "\u0301", "\u4E00"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE((*tokenizer)->Encode({{text}}).ok());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), 20.0) << unit;
  }
}

}  // namespace
}  // namespace mortar
