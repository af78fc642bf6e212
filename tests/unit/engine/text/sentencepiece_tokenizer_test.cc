// Goal: ids and texts equal those of the SentencePiece library for models trained with it
// (tests/data/text/sentencepiece.json says by which versions); user text cannot forge control
// tokens; tables that do not fit are refused by key and index; long texts take linear time.
#include "engine/text/sentencepiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "engine/text/utf8.h"
#include "tests/support/gguf_writer.h"
#include "tests/unit/engine/text/scored_vocabulary.h"
#include "tests/unit/engine/text/stored.h"

namespace mortar {
namespace {

using Tokens = std::vector<Token>;
using testing::HasSubstr;

constexpr const char* kStored = "sentencepiece.json";

// A stored model by way of a file's keys.
std::unique_ptr<Tokenizer> FromStored(const nlohmann::json& model) {
  GgufWriter writer;
  writer.AddString("tokenizer.ggml.model", "llama");
  writer.AddStrings("tokenizer.ggml.tokens", model["tokens"].get<std::vector<std::string>>());
  writer.AddInts("tokenizer.ggml.token_type", model["types"].get<std::vector<int32_t>>());
  writer.AddFloats("tokenizer.ggml.scores", model["scores"].get<std::vector<float>>());
  writer.AddUint32("tokenizer.ggml.bos_token_id", model["bos"].get<uint32_t>());
  writer.AddUint32("tokenizer.ggml.eos_token_id", model["eos"].get<uint32_t>());
  writer.AddUint32("tokenizer.ggml.unknown_token_id", model["unknown"].get<uint32_t>());
  writer.AddBool("tokenizer.ggml.add_space_prefix", model["add_space_prefix"].get<bool>());
  const auto file = GgufFile::FromBytes(writer.Bytes(), "stored.gguf");
  if (!file.ok()) {
    ADD_FAILURE() << file.status();
    return nullptr;
  }
  auto tokenizer = Tokenizer::FromGguf(**file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::string Decode(const Tokenizer& tokenizer, const Tokens& tokens, Detokenizer::From from) {
  Detokenizer detokenizer(tokenizer, from);
  std::string text;
  for (const Token token : tokens) {
    const std::string pushed = detokenizer.Push(token);
    EXPECT_EQ(FindInvalidUtf8(pushed), std::nullopt);
    text += pushed;
  }
  return text + detokenizer.Finish();
}

TEST(SentencePieceTokenizer, IdsEqualTheLibrarys) {
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  const nlohmann::json models = Stored(kStored)["models"];
  ASSERT_EQ(models.size(), 3u);
  for (const auto& [name, model] : models.items()) {
    const auto tokenizer = FromStored(model);
    ASSERT_NE(tokenizer, nullptr);
    ASSERT_EQ(model["ids"].size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto tokens = tokenizer->Encode({{texts[i].get<std::string>(), false}});
      ASSERT_TRUE(tokens.ok()) << tokens.status();
      EXPECT_EQ(*tokens, model["ids"][i].get<Tokens>())
          << name << ", text " << i << ": " << texts[i];
    }
  }
}

TEST(SentencePieceTokenizer, TheWholeTextComesBackAsFromTheLibrary) {
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  for (const char* const name : {"llama", "gemma"}) {
    const nlohmann::json model = Stored(kStored)["models"][name];
    const auto tokenizer = FromStored(model);
    ASSERT_NE(tokenizer, nullptr);
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string text =
          Decode(*tokenizer, model["ids"][i].get<Tokens>(), Detokenizer::From::kBeginning);
      EXPECT_EQ(text, model["decoded"][i].get<std::string>()) << name << ", text " << i;
    }
  }
}

TEST(SentencePieceTokenizer, SpecialTokensInTrustedTextEqualHuggingFaces) {
  const nlohmann::json stored = Stored(kStored);
  const nlohmann::json model = stored["models"]["llama"];
  const auto tokenizer = FromStored(model);
  ASSERT_NE(tokenizer, nullptr);
  for (size_t i = 0; i < stored["specials"].size(); ++i) {
    const std::string text = stored["specials"][i];
    const auto trusted = tokenizer->Encode({{text, true}});
    const auto plain = tokenizer->Encode({{text, false}});
    ASSERT_TRUE(trusted.ok() && plain.ok());
    EXPECT_EQ(*trusted, model["trusted"][i].get<Tokens>()) << "text " << i << ": " << text;
    for (const Token token : *plain) EXPECT_NE(tokenizer->Bytes(token), "") << text;
  }
}

TEST(SentencePieceTokenizer, ACutBetweenPiecesChangesNoToken) {
  const nlohmann::json texts = Stored("corpus.json")["texts"];
  const nlohmann::json model = Stored(kStored)["models"]["gemma"];
  const auto tokenizer = FromStored(model);
  ASSERT_NE(tokenizer, nullptr);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const size_t middle = text.size() / 2;
    const auto cut = tokenizer->Encode({{text.substr(0, middle), true}, {text.substr(middle)}});
    ASSERT_TRUE(cut.ok()) << cut.status();
    EXPECT_EQ(*cut, model["ids"][i].get<Tokens>()) << "text " << i << ": " << text;
  }
}

TEST(SentencePieceTokenizer, AnAnswerKeepsTheSpaceThatAWholeTextDrops) {
  ScoredVocabulary vocabulary;
  vocabulary.view.adds_space = true;
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const Tokens tokens = {vocabulary.Id("\u2581a"), vocabulary.Id("\u2581a")};
  EXPECT_EQ(Decode(**tokenizer, tokens, Detokenizer::From::kMiddle), " a a");
  EXPECT_EQ(Decode(**tokenizer, tokens, Detokenizer::From::kBeginning), "a a");
  EXPECT_EQ(*(*tokenizer)->Encode({{"a a"}}), tokens);
  EXPECT_EQ(*(*tokenizer)->Encode({}), Tokens{});
}

TEST(SentencePieceTokenizer, TheHighestScoreMergesFirstAndTheLeftmostAmongEquals) {
  ScoredVocabulary vocabulary;  // b -3, a -3, aa -2, ab -1
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const Token a = vocabulary.Id("a"), aa = vocabulary.Id("aa"), ab = vocabulary.Id("ab");
  EXPECT_EQ(*(*tokenizer)->Encode({{"aab"}}), (Tokens{a, ab}));
  EXPECT_EQ(*(*tokenizer)->Encode({{"aaa"}}), (Tokens{aa, a}));
}

TEST(SentencePieceTokenizer, ACharacterWithoutATokenIsItsBytes) {
  ScoredVocabulary vocabulary;
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto tokens = (*tokenizer)->Encode({{"a\u00E9"}});
  EXPECT_EQ(*tokens,
            (Tokens{vocabulary.Id("a"), vocabulary.Id("<0xC3>"), vocabulary.Id("<0xA9>")}));
  Detokenizer detokenizer(**tokenizer);
  EXPECT_EQ(detokenizer.Push(vocabulary.Id("<0xC3>")), "");
  EXPECT_EQ(detokenizer.Push(vocabulary.Id("<0xA9>")), "\u00E9");
}

TEST(SentencePieceTokenizer, MarksOfAConversationAreNoTokensInAUsersText) {
  ScoredVocabulary vocabulary;
  const Token turn = vocabulary.Add("<start_of_turn>", 4, 0);
  const Token bar = vocabulary.Add("<|user|>", 4, 0);
  const Token tag = vocabulary.Add("<table>", 4, 0);
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode({{"<table>"}}), Tokens{tag});
  EXPECT_EQ(*(*tokenizer)->Encode({{"<start_of_turn><|user|>", true}}), (Tokens{turn, bar}));
  const auto plain = (*tokenizer)->Encode({{"<start_of_turn><|user|>"}});
  EXPECT_THAT(*plain, testing::Each(testing::Lt(turn)));
}

TEST(SentencePieceTokenizer, Phi3sSpecialTokensTakeTheWhiteSpaceBehindThem) {
  ScoredVocabulary vocabulary;
  const Token bos = vocabulary.Add("<s>", 3, 0);
  const Token user = vocabulary.Add("<|user|>", 3, 0);
  vocabulary.view.specials_take_space = true;
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const Token a = vocabulary.Id("a");
  EXPECT_EQ(*(*tokenizer)->Encode({{"<|user|>\n", true}, {"\u3000 a"}}), (Tokens{user, a}));
  EXPECT_EQ(*(*tokenizer)->Encode({{"<s> a", true}}), (Tokens{bos, vocabulary.Id("\u2581a")}));
}

TEST(SentencePieceTokenizer, InvalidUtf8IsRefusedWithItsOffset) {
  ScoredVocabulary vocabulary;
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto tokens = (*tokenizer)->Encode({{"ab"}, {"\xFF"}});
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(tokens.status()), "the text is not valid UTF-8 at byte 2");
}

TEST(SentencePieceTokenizer, ScoresThatDoNotFitAreRefused) {
  ExpectThatScoresAreChecked<ScoredVocabulary>();
}

TEST(SentencePieceTokenizer, ByteTokensAreAllThereOrNone) {
  ScoredVocabulary malformed;
  malformed.tokens[malformed.Id("<0x41>")] = "<0xG1>";
  EXPECT_THAT(Refusal(malformed), HasSubstr("is \"<0xG1>\", expected a byte token"));
  ScoredVocabulary twice;
  twice.tokens[twice.Id("<0x41>")] = "<0x42>";
  EXPECT_THAT(Refusal(twice), HasSubstr("repeats byte token "));
  ScoredVocabulary missing;
  missing.types[missing.Id("<0x41>")] = 5;
  EXPECT_EQ(Refusal(missing),
            "tokenizer.ggml.tokens has 255 byte tokens, expected all 256 or none");
  ScoredVocabulary nothing;
  for (int32_t& type : nothing.types) type = type == 6 || type == 2 ? 5 : type;
  EXPECT_THAT(Refusal(nothing), HasSubstr("neither byte tokens nor an unknown token"));
}

TEST(SentencePieceTokenizer, TokensThatRepeatOrAreTooLongAreRefused) {
  ScoredVocabulary repeated;
  repeated.Add("a", 1, 0);
  EXPECT_THAT(Refusal(repeated), HasSubstr(" repeats token "));
  ScoredVocabulary endless;
  endless.Add(std::string(1025, 'x'), 1, 0);
  EXPECT_THAT(Refusal(endless), HasSubstr("has 1025 bytes, expected at most 1024"));
  ScoredVocabulary unknown;
  unknown.view.unknown = 5000;
  EXPECT_THAT(Refusal(unknown), HasSubstr("tokenizer.ggml.unknown_token_id is 5000"));
  ScoredVocabulary eos;
  eos.view.adds_eos = true;
  EXPECT_THAT(Refusal(eos), HasSubstr("tokenizer.ggml.eos_token_id is absent"));
}

// Without a pre-tokenizer a text without spaces is one sequence: merging that were quadratic
// would take hours.
TEST(SentencePieceTokenizer, AMegabyteWithoutASpaceIsEncodedInTime) {
  const auto tokenizer = FromStored(Stored(kStored)["models"]["llama"]);
  ASSERT_NE(tokenizer, nullptr);
  for (const std::string unit : {"a", "abcdefg", "\u00E9\u4E00", " "}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    const auto begin = std::chrono::steady_clock::now();
    const auto tokens = tokenizer->Encode({{text}});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(tokens.ok());
    EXPECT_LT(seconds.count(), 60.0) << unit;
    std::string back;
    for (const Token token : *tokens) back += tokenizer->Bytes(token);
    EXPECT_TRUE(back == " " + text) << unit;
  }
}

}  // namespace
}  // namespace mortar
