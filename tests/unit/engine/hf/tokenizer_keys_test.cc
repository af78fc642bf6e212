// Goal: a tokenizer.json becomes the vocabulary that the engine knows, and one that does something
// else with a text is refused by what it does.
#include "engine/hf/tokenizer_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/hf/make_tokenizer.h"

namespace mortar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Bytes, some letters and what they merge to, as Llama 2's files are written.
Json SentencePieceFile() {
  Json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const std::string text = {'<', '0', 'x', kHex[byte / 16], kHex[byte % 16], '>'};
    vocabulary[text] = 3 + byte;
  }
  int next = 259;
  for (const char* const text : {"\u2581a", "ab", "\u2581ab", "\u2581", "a", "b"}) {
    vocabulary[text] = next++;
  }
  const Json space = {{"String", " "}};
  return {
      {"added_tokens",
       {{{"id", 0}, {"content", "<unk>"}, {"special", true}},
        {{"id", 1}, {"content", "<s>"}, {"special", true}},
        {{"id", 2}, {"content", "</s>"}, {"special", true}},
        {{"id", 265}, {"content", "\u2581\u2581"}, {"special", false}},
        {{"id", 300}, {"content", "<beyond>"}, {"special", true}}}},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         Json::array({{{"type", "Prepend"}, {"prepend", "\u2581"}},
                      {{"type", "Replace"}, {"pattern", space}, {"content", "\u2581"}}})}}},
      {"pre_tokenizer", nullptr},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"byte_fallback", true},
        {"vocab", vocabulary},
        {"merges", Json::array({"\u2581 a", "a b", Json::array({"\u2581a", "b"}), "\u2581 ab"})}}}};
}

std::string ErrorOf(const Json& file) { return Message(MakeTokenizer(file, 266).status()); }

TEST(TokenizerKeys, ReadsSentencePiecesOfBothSpellings) {
  const auto made = MakeTokenizer(SentencePieceFile(), 266);
  ASSERT_TRUE(made.ok()) << made.status();
  const Tokenizer& tokenizer = **made;
  EXPECT_TRUE(tokenizer.adds_space());
  // The mark and ab are one token; c has none, and becomes its byte.
  EXPECT_THAT(*tokenizer.Encode({{"ab", false}}), ElementsAre(261));
  EXPECT_THAT(*tokenizer.Encode({{"aab", false}}), ElementsAre(259, 260));
  EXPECT_THAT(*tokenizer.Encode({{"ac", false}}), ElementsAre(259, 3 + 'c'));
  EXPECT_THAT(*tokenizer.Encode({{"</s>", true}}), ElementsAre(2));
  EXPECT_EQ(tokenizer.Bytes(265), "  ");  // a piece of ordinary text
  EXPECT_EQ(tokenizer.n_vocab(), 266);    // a token without a row is left out
}

TEST(TokenizerKeys, KnowsTheSpaceInFrontOfMetaspace) {
  for (const auto& [scheme, adds] :
       {std::pair("first", true), {"always", true}, {"never", false}}) {
    Json file = SentencePieceFile();
    file["normalizer"] = nullptr;
    file["pre_tokenizer"] = {{"type", "Metaspace"},
                             {"replacement", "\u2581"},
                             {"prepend_scheme", scheme},
                             {"split", false}};
    const auto made = MakeTokenizer(file, 266);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ((*made)->adds_space(), adds) << scheme;
  }
}

TEST(TokenizerKeys, RefusesMergesThatSentencePieceWouldNotMake) {
  Json file = SentencePieceFile();
  file["model"]["merges"].erase(3);
  EXPECT_THAT(ErrorOf(file), HasSubstr("these are no merges of SentencePiece"));
  file["model"]["merges"] = {"b a"};
  EXPECT_THAT(ErrorOf(file), HasSubstr("makes what is no token"));
  file["model"]["merges"] = {"ba"};
  EXPECT_THAT(ErrorOf(file), HasSubstr("entry 0: expected two tokens"));
}

TEST(TokenizerKeys, RefusesWhatItDoesNotComputeByName) {
  Json file = SentencePieceFile();
  file["model"]["type"] = "WordLevel";
  EXPECT_THAT(ErrorOf(file), HasSubstr("'WordLevel' is not read; known are BPE and Unigram"));
  file = SentencePieceFile();
  file["normalizer"] = {{"type", "Lowercase"}};
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("'Lowercase' is not computed; known is NFC"));
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       Json::array({{{"type", "Split"}, {"pattern", {{"Regex", "x+"}}}, {"behavior", "Isolated"}},
                    {{"type", "ByteLevel"}, {"add_prefix_space", false}}})}};
  EXPECT_THAT(ErrorOf(file), AllOf(HasSubstr("'x+'"), HasSubstr("known are chatglm-bpe")));
  file["pre_tokenizer"] = {{"type", "Whitespace"}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("neither byte-level BPE"));
}

TEST(TokenizerKeys, RefusesIdsThatDoNotFit) {
  Json file = SentencePieceFile();
  file["model"]["vocab"]["z"] = 266;
  EXPECT_THAT(ErrorOf(file), HasSubstr("expected an id below the 266 rows"));
  file["model"]["vocab"]["z"] = 5;
  EXPECT_THAT(ErrorOf(file), HasSubstr("id 5 is that of two tokens"));
  file["model"]["vocab"]["z"] = "5";
  EXPECT_THAT(ErrorOf(file), HasSubstr("found a string"));
  file["model"].erase("vocab");
  EXPECT_THAT(ErrorOf(file), HasSubstr("field 'vocab' is missing"));
}

TEST(TokenizerKeys, NamesThePreTokenizersOfLlama3AndQwen2) {
  const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  const std::string tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const auto name = [&](const std::string& digits, const Json& normalizer, bool whole) {
    const Json file = {
        {"normalizer", normalizer},
        {"pre_tokenizer",
         {{"type", "Sequence"},
          {"pretokenizers",
           Json::array(
               {{{"type", "Split"},
                 {"pattern", {{"Regex", head + digits + tail}}},
                 {"behavior", "Isolated"},
                 {"invert", false}},
                {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}})}}},
        {"model",
         {{"type", "BPE"},
          {"ignore_merges", whole},
          {"vocab", {{"a", 0u}}},
          {"merges", Json::array()}}}};
    GgufMetadata keys;
    const absl::Status status = AddVocabularyKeys(file, "tokenizer.json", 1, keys);
    return status.ok() ? std::get<std::string>(keys["tokenizer.ggml.pre"]) : Message(status);
  };
  // Names that share a pattern mean the same; the first of the table stands for them.
  EXPECT_EQ(name(R"(\p{N}{1,3})", nullptr, true), "falcon3");
  EXPECT_EQ(name(R"(\p{N}{1,3})", nullptr, false), "chatglm-bpe");
  EXPECT_EQ(name(R"(\p{N})", {{"type", "NFC"}}, false), "deepseek-r1-qwen");
  EXPECT_THAT(name(R"(\p{N}{2})", nullptr, false), HasSubstr("is not known; known are"));
}

}  // namespace
}  // namespace mortar
