// Goal: a vocabulary is used as it is meant or refused by key and index; special tokens exist in
// trusted text alone.
#include "engine/text/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/text/small_vocabulary.h"

namespace mortar {
namespace {

using Tokens = std::vector<Token>;
using testing::HasSubstr;

Tokens Encode(const Tokenizer& tokenizer, const std::vector<TextPiece>& pieces) {
  const auto tokens = tokenizer.Encode(pieces);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return tokens.ok() ? *tokens : Tokens{};
}

std::string Refusal(SmallVocabulary& vocabulary) {
  const auto made = vocabulary.Make();
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  return Message(made.status());
}

struct Chat : SmallVocabulary {
  Token ab = Merge("a", "b");
  Token abb = Merge("ab", "b");
  Token newlines = Merge("\u010A", "\u010A");  // U+010A spells the byte 10
  Token start = Add("<s>", 3);
  Token end = Add("<s>e", 4);
  std::unique_ptr<Tokenizer> tokenizer = *Make();
};

TEST(BpeTokenizer, MergesByRankWithinPieces) {
  const Chat chat;
  EXPECT_EQ(Encode(*chat.tokenizer, {{"abb", false}}), (Tokens{chat.abb}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"aab b", false}}), (Tokens{'a', chat.ab, ' ', 'b'}));
  EXPECT_EQ(Encode(*chat.tokenizer, {}), Tokens{});
  EXPECT_EQ(Encode(*chat.tokenizer, {{"", true}}), Tokens{});
}

TEST(BpeTokenizer, SpecialTokensAreTokensInTrustedTextAlone) {
  const Chat chat;
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s>a", true}}), (Tokens{chat.start, 'a'}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s>e<s>", true}}), (Tokens{chat.end, chat.start}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s>a", false}}), (Tokens{'<', 's', '>', 'a'}));
}

TEST(BpeTokenizer, ASpecialTokenNeverSpansTrustedAndUntrustedText) {
  const Chat chat;
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s", true}, {">", false}}), (Tokens{'<', 's', '>'}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<", false}, {"s>", true}}), (Tokens{'<', 's', '>'}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s>", true}, {"e", false}}), (Tokens{chat.start, 'e'}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s", true}, {">", true}}), (Tokens{chat.start}));
}

TEST(BpeTokenizer, PlainTextMergesAcrossTheBordersOfPieces) {
  const Chat chat;
  EXPECT_EQ(Encode(*chat.tokenizer, {{"<s>a", true}, {"b", false}, {"b<s>", true}}),
            (Tokens{chat.start, chat.abb, chat.start}));
  EXPECT_EQ(Encode(*chat.tokenizer, {{"\n", true}, {"\n", false}}), (Tokens{chat.newlines}));
}

TEST(BpeTokenizer, InvalidUtf8IsRefusedWithItsOffset) {
  const Chat chat;
  const auto tokens = chat.tokenizer->Encode({{"ab", true}, {"c\xFF", false}});
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(tokens.status()), "the text is not valid UTF-8 at byte 3");
}

TEST(BpeTokenizer, BytesOfSpecialTokensShowOnlyWhenAsked) {
  const Chat chat;
  EXPECT_EQ(chat.tokenizer->Bytes(chat.newlines), "\n\n");
  EXPECT_EQ(chat.tokenizer->Bytes(chat.start), "");
  EXPECT_EQ(chat.tokenizer->Bytes(chat.start, true), "<s>");
  EXPECT_EQ(chat.tokenizer->Bytes(chat.end), "<s>e");
  EXPECT_EQ(chat.tokenizer->Bytes(-1, true), "");
  EXPECT_EQ(chat.tokenizer->Bytes(chat.tokenizer->n_vocab(), true), "");
}

TEST(BpeTokenizer, KnownEndsEndAGenerationWhenTheyAreControlTokens) {
  SmallVocabulary vocabulary;
  const Token eos = vocabulary.Add("<stop>", 3);
  const Token im_end = vocabulary.Add("<|im_end|>", 3);
  const Token plain = vocabulary.Add("<|eot_id|>", 4);
  const Token other = vocabulary.Add("<|im_start|>", 3);
  vocabulary.view.eos = eos;
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_TRUE((*tokenizer)->IsEndOfGeneration(eos));
  EXPECT_TRUE((*tokenizer)->IsEndOfGeneration(im_end));
  EXPECT_FALSE((*tokenizer)->IsEndOfGeneration(plain));
  EXPECT_FALSE((*tokenizer)->IsEndOfGeneration(other));
  EXPECT_FALSE((*tokenizer)->IsEndOfGeneration(-1));
  EXPECT_EQ((*tokenizer)->eos(), eos);
  EXPECT_EQ((*tokenizer)->bos(), -1);
}

TEST(BpeTokenizer, AByteWithoutATokenIsLeftOutBeforeMerging) {
  SmallVocabulary vocabulary;
  const Token ab = vocabulary.Merge("(", ")");
  vocabulary.tokens[4] = "\u0104\u0104";  // was U+0104, which spells the byte 4
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, {{"(\x04)", false}}), (Tokens{ab}));
}

TEST(BpeTokenizer, LlamaBpeTakesAPieceThatIsATokenWithoutMerging) {
  SmallVocabulary vocabulary;
  const Token whole = vocabulary.Add("xyz", 1);
  const Token hidden = vocabulary.Add("<q>", 3);
  for (const char* const name : {"gpt-2", "llama-bpe"}) {
    vocabulary.view.pre_tokenizer = name;
    const auto tokenizer = vocabulary.Make();
    ASSERT_TRUE(tokenizer.ok());
    const bool takes = std::string(name) == "llama-bpe";
    EXPECT_EQ(Encode(**tokenizer, {{"xyz", false}}),
              takes ? Tokens{whole} : Tokens({'x', 'y', 'z'}));
    EXPECT_NE(Encode(**tokenizer, {{"<q>", false}}), Tokens{hidden});
  }
}

TEST(BpeTokenizer, Qwen2ComposesCharactersAndGpt2DoesNot) {
  SmallVocabulary vocabulary;
  const Token composed = vocabulary.Merge("\u00C3", "\u00A9");  // spells the bytes of U+00E9
  for (const char* const name : {"qwen2", "gpt-2"}) {
    vocabulary.view.pre_tokenizer = name;
    const auto tokenizer = vocabulary.Make();
    ASSERT_TRUE(tokenizer.ok());
    EXPECT_EQ(Encode(**tokenizer, {{"e\u0301", false}}),
              std::string(name) == "qwen2" ? Tokens{composed} : Tokens({'e', 0xCC, 0x81}));
  }
}

TEST(BpeTokenizer, ATokenOutsideTheByteAlphabetIsShownButNeverMade) {
  SmallVocabulary vocabulary;
  const Token spelled = vocabulary.Merge("\u00C3", "\u00A9");  // spells the bytes of U+00E9
  const Token space = vocabulary.Add(" ", 1);
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(Encode(**tokenizer, {{"\u00E9 ", false}}), (Tokens{spelled, ' '}));
  EXPECT_EQ((*tokenizer)->Bytes(space, false), " ");
}

TEST(BpeTokenizer, UserDefinedWhiteSpaceIsATokenInAllText) {
  SmallVocabulary vocabulary;
  const Token two = vocabulary.Add("  ", 4);
  const Token four = vocabulary.Add("    ", 4);
  const Token call = vocabulary.Add("<call>", 4);
  const auto tokenizer = vocabulary.Make();
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(Encode(**tokenizer, {{"a      b c", false}}), (Tokens{'a', four, two, 'b', ' ', 'c'}));
  EXPECT_EQ(Encode(**tokenizer, {{"<call> ", true}, {" <", false}}), (Tokens{call, two, '<'}));
  EXPECT_NE(Encode(**tokenizer, {{"<call>", false}}), Tokens{call});
}

TEST(BpeTokenizer, TablesThatDoNotFitAreRefusedByKeyAndIndex) {
  SmallVocabulary few_types;
  few_types.types.pop_back();
  EXPECT_EQ(Refusal(few_types),
            "tokenizer.ggml.token_type has 255 entries, expected 256, one for each token");
  SmallVocabulary odd_type;
  odd_type.types[7] = 9;
  EXPECT_THAT(Refusal(odd_type), HasSubstr("tokenizer.ggml.token_type[7] is 9"));
  SmallVocabulary repeated;
  repeated.Add("a", 1);
  EXPECT_EQ(Refusal(repeated), "tokenizer.ggml.tokens[256] repeats token 97");
  SmallVocabulary repeated_special;
  repeated_special.Add("<s>", 3);
  repeated_special.Add("<s>", 4);
  EXPECT_EQ(Refusal(repeated_special), "tokenizer.ggml.tokens[257] repeats special token 256");
  SmallVocabulary empty;
  empty.Add("", 1);
  EXPECT_EQ(Refusal(empty), "tokenizer.ggml.tokens[256] is empty");
  SmallVocabulary broken;
  broken.Add("\xFF", 1);
  EXPECT_EQ(Refusal(broken), "tokenizer.ggml.tokens[256] is not valid UTF-8");
  SmallVocabulary none;
  none.tokens.clear();
  none.types.clear();
  EXPECT_THAT(Refusal(none), HasSubstr("tokenizer.ggml.tokens has 0 tokens"));
  SmallVocabulary long_special;
  long_special.Add(std::string(1025, '<'), 3);
  EXPECT_THAT(Refusal(long_special), HasSubstr("is a special token of 1025 bytes"));
}

TEST(BpeTokenizer, MergesThatDoNotFitAreRefusedByIndex) {
  for (const char* const malformed : {"ab", " b", "a ", "a b c", ""}) {
    SmallVocabulary vocabulary;
    vocabulary.merges.push_back(malformed);
    EXPECT_THAT(Refusal(vocabulary), HasSubstr("tokenizer.ggml.merges[0] is \"")) << malformed;
  }
  SmallVocabulary unknown;
  unknown.Merge("a", "b");
  unknown.merges.push_back("a bc");
  EXPECT_THAT(Refusal(unknown), HasSubstr("tokenizer.ggml.merges[1] names \"bc\""));
  SmallVocabulary no_result;
  no_result.merges.push_back("a b");
  EXPECT_THAT(Refusal(no_result), HasSubstr("tokenizer.ggml.merges[0] \"a b\" makes what is no"));
  SmallVocabulary twice;
  twice.Merge("a", "b");
  twice.merges.push_back("a b");
  EXPECT_THAT(Refusal(twice), HasSubstr("tokenizer.ggml.merges[1] \"a b\" repeats"));
}

TEST(BpeTokenizer, AMergeCannotMakeAControlToken) {
  SmallVocabulary vocabulary;
  vocabulary.Add("<s", 1);
  vocabulary.merges = {"< s", "<s >"};
  vocabulary.Add("<s>", 3);
  EXPECT_THAT(Refusal(vocabulary), HasSubstr("tokenizer.ggml.merges[1] \"<s >\" makes what is no"));
}

TEST(BpeTokenizer, SpecialIdsOutOfRangeAreRefused) {
  SmallVocabulary bos;
  bos.view.bos = 256;
  EXPECT_THAT(Refusal(bos), HasSubstr("tokenizer.ggml.bos_token_id is 256"));
  SmallVocabulary eos;
  eos.view.eos = 1000;
  EXPECT_THAT(Refusal(eos), HasSubstr("tokenizer.ggml.eos_token_id is 1000"));
  SmallVocabulary adds;
  adds.view.adds_bos = true;
  EXPECT_THAT(Refusal(adds), HasSubstr("tokenizer.ggml.bos_token_id is absent"));
}

}  // namespace
}  // namespace mortar
