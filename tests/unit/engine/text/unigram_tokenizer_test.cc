// Goal: ids and texts equal those of the SentencePiece library for Unigram models trained with it
// (tests/data/text/unigram.json says by which versions); user text cannot forge control tokens;
// tables that do not fit are refused by key and index; long texts take linear time.
#include "engine/text/unigram_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <set>

#include "tests/unit/engine/text/unigram_vocabulary.h"

namespace mortar {
namespace {

using Tokens = std::vector<Token>;
using testing::HasSubstr;

// Texts 56 and 58 are runs of one character, which several cuts of the very same sum spell. The
// library adds in single precision, where the order of the terms breaks the tie; here, and in
// Hugging Face's tokenizers, the first cut stays.
const std::set<size_t> kTies = {56, 58};

TEST(UnigramTokenizer, IdsEqualTheLibrarys) {
  const std::vector<std::string> texts = UnigramTexts();
  const nlohmann::json stored = Stored("unigram.json");
  ASSERT_EQ(stored["models"].size(), 3u);
  for (const auto& [name, model] : stored["models"].items()) {
    const auto tokenizer = FromStoredUnigram(model);
    ASSERT_NE(tokenizer, nullptr);
    ASSERT_EQ(model["ids"].size(), texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto tokens = tokenizer->Encode({{texts[i], false}});
      ASSERT_TRUE(tokens.ok()) << tokens.status();
      const auto expected = model["ids"][i].get<Tokens>();
      if (kTies.contains(i)) {
        // The same pieces in another order, or others of the same sum.
        double sum = 0;
        for (const Token token : *tokens) sum += model["scores"][token].get<double>();
        for (const Token token : expected) sum -= model["scores"][token].get<double>();
        EXPECT_NEAR(sum, 0, 1e-3) << name << ", text " << i;  // of a sum of hundreds
      } else {
        EXPECT_EQ(*tokens, expected) << name << ", text " << i << ": " << texts[i];
      }
    }
  }
}

TEST(UnigramTokenizer, TheWholeTextComesBackAsFromTheLibrary) {
  const nlohmann::json model = Stored("unigram.json")["models"]["bytes"];
  const auto tokenizer = FromStoredUnigram(model);
  ASSERT_NE(tokenizer, nullptr);
  for (size_t i = 0; i < model["ids"].size(); ++i) {
    Detokenizer detokenizer(*tokenizer, Detokenizer::From::kBeginning);
    std::string text;
    for (const Token token : model["ids"][i].get<Tokens>()) text += detokenizer.Push(token);
    text += detokenizer.Finish();
    EXPECT_EQ(text, model["decoded"][i].get<std::string>()) << "text " << i;
  }
}

TEST(UnigramTokenizer, ACutBetweenPiecesChangesNoToken) {
  const std::vector<std::string> texts = UnigramTexts();
  const auto tokenizer = FromStoredUnigram(Stored("unigram.json")["models"]["bytes"]);
  ASSERT_NE(tokenizer, nullptr);
  for (const std::string& text : texts) {
    const size_t middle = text.size() / 2;
    const auto cut = tokenizer->Encode({{text.substr(0, middle)}, {text.substr(middle)}});
    ASSERT_TRUE(cut.ok()) << cut.status();
    EXPECT_EQ(*cut, *tokenizer->Encode({{text}})) << text;
  }
}

TEST(UnigramTokenizer, TheBestSumWinsAndAmongEqualsTheCutFoundFirst) {
  SmallUnigram vocabulary;  // a -2, b -2, ab -3
  const Token aa = vocabulary.Add("aa", 1, -2.5f);
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const Token a = vocabulary.Id("a"), b = vocabulary.Id("b"), ab = vocabulary.Id("ab");
  EXPECT_EQ(*(*tokenizer)->Encode({{"ab"}}), Tokens{ab});
  EXPECT_EQ(*(*tokenizer)->Encode({{"aab"}}), (Tokens{aa, b}));  // -4.5; a ab would be -5
  // Both cuts of aaa have -4.5: its last piece begins first in that of a and aa.
  EXPECT_EQ(*(*tokenizer)->Encode({{"aaa"}}), (Tokens{a, aa}));
  EXPECT_EQ(*(*tokenizer)->Encode({}), Tokens{});
}

TEST(UnigramTokenizer, ARunOfUnknownCharactersIsOneTokenOrItsBytes) {
  SmallUnigram without;
  const auto tokenizer = without.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(*(*tokenizer)->Encode({{"a\u00E9\u4E00b"}}), (Tokens{without.Id("a"), 0, 3}));
  SmallUnigram with;
  with.AddBytes();
  const auto bytes = with.Make();
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(*(*bytes)->Encode({{"a\u00E9"}}),
            (Tokens{with.Id("a"), with.Id("<0xC3>"), with.Id("<0xA9>")}));
  // The text of a byte's token is text like any other.
  EXPECT_THAT(*(*bytes)->Encode({{"<0xC3>"}}), testing::Not(testing::Contains(with.Id("<0xC3>"))));
}

// An unknown character costs ten more than the worst piece, so two of them are worse than a piece
// of two characters whatever that costs.
TEST(UnigramTokenizer, AnUnknownCharacterCostsTenMoreThanTheWorstPiece) {
  for (const bool is_worse : {false, true}) {
    SmallUnigram vocabulary;  // the worst is -4
    const Token pair = vocabulary.Add("xy", 1, -30);
    vocabulary.scores[vocabulary.Id("a")] = is_worse ? -30 : -2;
    const auto tokenizer = vocabulary.Make();
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ(*(*tokenizer)->Encode({{"xy"}}), Tokens{pair});
    EXPECT_EQ(*(*tokenizer)->Encode({{"yx"}}), Tokens{0});
  }
}

TEST(UnigramTokenizer, UserDefinedTokensArePiecesThatCostAlmostNothing) {
  SmallUnigram vocabulary;
  const Token tag = vocabulary.Add("<table>", 4, 0);
  const Token bab = vocabulary.Add("bab", 4, -1000);
  const Token turn = vocabulary.Add("<start_of_turn>", 4, 0);
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const Token a = vocabulary.Id("a");
  EXPECT_EQ(*(*tokenizer)->Encode({{"a<table>a"}}), (Tokens{a, tag, a}));
  EXPECT_EQ(*(*tokenizer)->Encode({{"abab"}}), (Tokens{a, bab}));
  EXPECT_EQ(*(*tokenizer)->Encode({{"<start_of_turn>", true}}), Tokens{turn});
  EXPECT_THAT(*(*tokenizer)->Encode({{"<start_of_turn>"}}),
              testing::Each(testing::Lt(tag)));  // no mark of a conversation in a user's text
}

TEST(UnigramTokenizer, ControlTokensCountInTrustedTextAlone) {
  const nlohmann::json model = Stored("unigram.json")["models"]["t5"];
  const auto tokenizer = FromStoredUnigram(model);
  ASSERT_NE(tokenizer, nullptr);
  const auto end = model["eos"].get<Token>();
  EXPECT_THAT(*tokenizer->Encode({{"the wall</s>", true}}), testing::Contains(end));
  EXPECT_THAT(*tokenizer->Encode({{"the wall</s>", false}}), testing::Not(testing::Contains(end)));
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->adds_eos());
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(end));
}

TEST(UnigramTokenizer, AFileWithoutFurtherKeysEndsWithItsMarkOfAnEnd) {
  const nlohmann::json model = Stored("unigram.json")["models"]["t5"];
  GgufWriter writer = StoredUnigram(model);
  std::erase_if(writer.keys, [](const GgufWriter::Key& key) {
    return key.name.ends_with("_token_id") || key.name.ends_with("_space_prefix") ||
           key.name.ends_with("_whitespaces");
  });
  const auto tokenizer = FromKeys(writer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->eos(), model["eos"].get<Token>());
  EXPECT_TRUE((*tokenizer)->adds_eos());
  EXPECT_EQ((*tokenizer)->bos(), -1);
  EXPECT_FALSE((*tokenizer)->adds_space());
  EXPECT_EQ(*(*tokenizer)->Encode({{"ᚠ"}}), Tokens{model["unknown"].get<Token>()});
}

TEST(UnigramTokenizer, InvalidUtf8IsRefusedWithItsOffset) {
  const auto tokenizer = SmallUnigram().Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto tokens = (*tokenizer)->Encode({{"ab"}, {"\xFF"}});
  EXPECT_EQ(Message(tokens.status()), "the text is not valid UTF-8 at byte 2");
}

TEST(UnigramTokenizer, ScoresThatDoNotFitAreRefused) { ExpectThatScoresAreChecked<SmallUnigram>(); }

TEST(UnigramTokenizer, ScoresOfAnySizeGiveACut) {
  SmallUnigram vocabulary;
  vocabulary.scores = {0, 3e38f, -3e38f, 3e38f, -3e38f, 3e38f};
  vocabulary.Add("ba", 4, 3e38f);
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto tokens = (*tokenizer)->Encode({{"abba ab"}});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  std::string back;
  for (const Token token : *tokens) back += (*tokenizer)->Bytes(token);
  EXPECT_EQ(back, "abba ab");
}

TEST(UnigramTokenizer, TablesThatDoNotFitAreRefused) {
  SmallUnigram types;
  types.types.pop_back();
  EXPECT_THAT(Refusal(types), HasSubstr("tokenizer.ggml.token_type has 5 entries, expected 6"));
  SmallUnigram repeated;
  repeated.Add("ab", 1, -1);
  EXPECT_THAT(Refusal(repeated), HasSubstr("tokenizer.ggml.tokens[6] repeats token 4"));
  SmallUnigram twice;
  twice.Add("ab", 4, 0);
  EXPECT_THAT(Refusal(twice), HasSubstr("tokenizer.ggml.tokens[6] repeats token 4"));
  SmallUnigram nothing;
  nothing.types[0] = 5;
  EXPECT_THAT(Refusal(nothing), HasSubstr("neither byte tokens nor an unknown token"));
  SmallUnigram far;
  far.view.unknown = 6;
  EXPECT_THAT(Refusal(far), HasSubstr("tokenizer.ggml.unknown_token_id is 6"));
  SmallUnigram endless;
  endless.Add(std::string(1025, 'x'), 1, 0);
  EXPECT_THAT(Refusal(endless), HasSubstr("has 1025 bytes, expected at most 1024"));
  SmallUnigram byte;
  byte.AddBytes();
  byte.tokens[byte.Id("<0x41>")] = "<0x42>";
  EXPECT_THAT(Refusal(byte), HasSubstr("repeats byte token"));
}

TEST(UnigramTokenizer, KeysOfAnotherKindAreRefused) {
  const nlohmann::json model = Stored("unigram.json")["models"]["plain"];
  GgufWriter writer = StoredUnigram(model);
  const std::vector<int32_t> numbers = {1, 256};
  writer.AddInts("tokenizer.ggml.precompiled_charsmap", numbers);
  EXPECT_THAT(Message(FromKeys(writer).status()),
              HasSubstr("tokenizer.ggml.precompiled_charsmap[1] is 256, expected a byte"));
  writer = StoredUnigram(model);
  writer.AddString("tokenizer.ggml.precompiled_charsmap", "abc");
  EXPECT_THAT(Message(FromKeys(writer).status()), HasSubstr("precompiled_charsmap"));
  writer = StoredUnigram(model);
  writer.AddUint32("tokenizer.ggml.normalizer.steps", 1);
  EXPECT_THAT(Message(FromKeys(writer).status()), HasSubstr("tokenizer.ggml.normalizer.steps"));
}

// A text without spaces is one sequence: a cut that were quadratic would take hours.
TEST(UnigramTokenizer, AMegabyteWithoutASpaceIsEncodedInTime) {
  const nlohmann::json models = Stored("unigram.json")["models"];
  for (const char* const name : {"bytes", "plain"}) {
    const auto tokenizer = FromStoredUnigram(models[name]);
    ASSERT_NE(tokenizer, nullptr);
    for (const std::string unit : {"a", "abcdefg", "\u00E9\u4E00", " ", "the wall "}) {
      std::string text;
      while (text.size() < (1u << 20)) text += unit;
      const auto begin = std::chrono::steady_clock::now();
      const auto tokens = tokenizer->Encode({{text}});
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      ASSERT_TRUE(tokens.ok());
      EXPECT_LT(seconds.count(), 60.0) << unit;
    }
  }
}

}  // namespace
}  // namespace mortar
