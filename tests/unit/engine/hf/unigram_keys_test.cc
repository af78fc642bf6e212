// Goal: the tokenizer.json of a Unigram model gives the ids that Hugging Face's tokenizers give,
// for the pipelines that families write (tests/data/text/unigram.json says by which versions); what
// such a file says and the engine does not compute is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/engine/hf/make_tokenizer.h"
#include "tests/unit/engine/text/unigram_vocabulary.h"

namespace mortar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Tokens = std::vector<Token>;

std::string Base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0);
    }
    for (size_t i = 0; i < 4; ++i) {
      text.push_back(at + i > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * i) & 63]);
    }
  }
  return text;
}

Json Precompiled() {
  return {{"type", "Precompiled"}, {"precompiled_charsmap", Base64(StoredCharsMap())}};
}

Json Metaspace(const char* scheme) {
  return {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", scheme}};
}

// A stored model as a tokenizer.json, with the pipeline of a family.
Json FileOf(const nlohmann::json& model, const nlohmann::json& pipeline) {
  Json steps = Json::array();
  for (const auto& step : pipeline["normalizers"]) {
    steps.push_back(step == "charsmap" ? Precompiled() : step);
  }
  Json added = Json::array();
  Json vocabulary = Json::array();
  for (size_t i = 0; i < model["tokens"].size(); ++i) {
    vocabulary.push_back({model["tokens"][i], model["scores"][i]});
    const int type = model["types"][i];
    if (type != 2 && type != 3) continue;
    added.push_back({{"id", i}, {"content", model["tokens"][i]}, {"special", true}});
  }
  return {{"added_tokens", added},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", steps}}},
          {"pre_tokenizer", pipeline["pre_tokenizer"]},
          {"decoder", Metaspace("always")},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", model["unknown"]},
            {"byte_fallback", false},
            {"vocab", vocabulary}}}};
}

// Where the other library looks up a whole cluster of characters (a letter with its accents, the
// two that end a line) and takes the shortest key that begins it, so that it loses characters, or
// leaves them apart, where SentencePiece, which trained the model, does not.
const std::set<size_t> kClusters = {130, 143};
const std::set<size_t> kEndsOfLines = {5, 40};  // shows where no later step merges the spaces

TEST(UnigramKeys, IdsEqualHuggingFacesForThePipelinesOfFamilies) {
  const std::vector<std::string> texts = UnigramTexts();
  const nlohmann::json stored = Stored("unigram.json");
  const nlohmann::json& model = stored["models"]["t5"];
  ASSERT_EQ(stored["hugging_face"].size(), 6u);
  for (const auto& [name, pipeline] : stored["hugging_face"].items()) {
    const auto made = MakeTokenizer(FileOf(model, pipeline), model["tokens"].size());
    ASSERT_TRUE(made.ok()) << name << ": " << made.status();
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool maps = name != "trained" && name != "apart";  // characters, by the charsmap
      if (maps && kClusters.contains(i)) continue;
      if (name == "albert" && kEndsOfLines.contains(i)) continue;
      const std::string number = std::to_string(i);
      const auto& differ = pipeline["ids"];
      const auto& expected = differ.contains(number) ? differ[number] : model["ids"][i];
      EXPECT_EQ(*(*made)->Encode({{texts[i], true}}), expected.get<Tokens>())
          << name << ", text " << i << ": " << texts[i];
    }
    for (size_t i = 0; i < stored["specials"].size(); ++i) {
      const std::string text = stored["specials"][i];
      EXPECT_EQ(*(*made)->Encode({{text, true}}), pipeline["trusted"][i].get<Tokens>())
          << name << ": " << text;
    }
  }
}

// A few pieces, with bytes.
Json SmallFile() {
  Json vocabulary = Json::array({Json::array({"<unk>", 0}), Json::array({"</s>", 0})});
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    vocabulary.push_back({std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 0});
  }
  for (const char* const text : {"\u2581a", "a", "b", "\u2581"}) vocabulary.push_back({text, -2.5});
  return {{"added_tokens",
           {{{"id", 1}, {"content", "</s>"}, {"special", true}},
            {{"id", 262}, {"content", "<tag>"}, {"special", false}},
            {{"id", 300}, {"content", "<beyond>"}, {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", Metaspace("always")},
          {"model",
           {{"type", "Unigram"}, {"unk_id", 0}, {"byte_fallback", true}, {"vocab", vocabulary}}}};
}

std::string ErrorOf(const Json& file) { return Message(MakeTokenizer(file, 264).status()); }

TEST(UnigramKeys, ReadsPiecesBytesAndAddedTokens) {
  const auto made = MakeTokenizer(SmallFile(), 264);
  ASSERT_TRUE(made.ok()) << made.status();
  const Tokenizer& tokenizer = **made;
  EXPECT_THAT(*tokenizer.Encode({{"ab"}}), ElementsAre(258, 260));
  EXPECT_THAT(*tokenizer.Encode({{"ac"}}), ElementsAre(258, 2 + 'c'));
  EXPECT_THAT(*tokenizer.Encode({{"a</s>", true}}), ElementsAre(258, 1));
  EXPECT_THAT(*tokenizer.Encode({{"a<tag>a"}}), ElementsAre(258, 262, 259));
  EXPECT_EQ(tokenizer.n_vocab(),
            264);  // one row without a token; a token without a row is left out
  EXPECT_TRUE(tokenizer.adds_space());
}

TEST(UnigramKeys, KnowsBothSpellingsOfTheSpaceInFront) {
  Json file = SmallFile();
  for (const auto& [step, adds] :
       {std::pair(Metaspace("first"), true), std::pair(Metaspace("never"), false),
        std::pair(Json({{"type", "Metaspace"}, {"add_prefix_space", true}}), true),
        std::pair(Json({{"type", "Metaspace"}, {"add_prefix_space", false}}), false)}) {
    file["pre_tokenizer"] = step;
    const auto made = MakeTokenizer(file, 264);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ((*made)->adds_space(), adds) << step;
  }
}

TEST(UnigramKeys, RefusesStepsThatItDoesNotComputeByName) {
  Json file = SmallFile();
  for (const char* const type : {"StripAccents", "BertNormalizer", "ByteLevel"}) {
    file["normalizer"] = {{"type", type}};
    EXPECT_THAT(ErrorOf(file), HasSubstr("'" + std::string(type) +
                                         "' is not computed; known are Precompiled, Strip"));
  }
  file["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "x+"}}}, {"content", ""}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("'x+' is not computed; known is ' {2,}'"));
  file["normalizer"] = nullptr;
  for (const char* const type : {"Whitespace", "WhitespaceSplit", "ByteLevel", "Punctuation"}) {
    file["pre_tokenizer"] = {{"type", type}};
    EXPECT_THAT(ErrorOf(file), HasSubstr("'" + std::string(type) + "' is not computed there"));
  }
  file["pre_tokenizer"] = nullptr;
  EXPECT_THAT(ErrorOf(file), HasSubstr("none is not computed; known is Metaspace"));
  file["pre_tokenizer"] = Metaspace("sometimes");
  EXPECT_THAT(ErrorOf(file), HasSubstr("'sometimes' is not computed; known are always"));
  file["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("'_' is not computed; known is U+2581"));
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", Json::array({{{"type", "WhitespaceSplit"}}, Metaspace("never")})}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("'never' behind WhitespaceSplit is not computed"));
  file["pre_tokenizer"] = Metaspace("first");
  file["normalizer"] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("'first' behind a Strip of the left is not computed"));
  file = SmallFile();
  file["decoder"] = {{"type", "WordPiece"}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("'WordPiece' is not computed; known are Metaspace"));
}

TEST(UnigramKeys, RefusesTablesThatDoNotFit) {
  Json file = SmallFile();
  file["model"]["vocab"].push_back("x");
  EXPECT_THAT(ErrorOf(file), HasSubstr("entry 262: expected a list of a piece and its score"));
  file["model"]["vocab"][262] = {"x", "high"};
  EXPECT_THAT(ErrorOf(file), HasSubstr("entry 262: expected a list of a piece and its score"));
  file["model"]["vocab"][262] = {"x", 1e300};
  EXPECT_THAT(ErrorOf(file), HasSubstr("tokenizer.ggml.scores"));
  file["model"]["vocab"][262] = {"a", -1};
  file["added_tokens"] = nullptr;
  EXPECT_THAT(ErrorOf(file), HasSubstr("repeats token 259"));
  for (const char* const text : {"x", "y"}) file["model"]["vocab"].push_back({text, -1});
  EXPECT_THAT(ErrorOf(file), HasSubstr("expected an id below the 264 rows"));
  file = SmallFile();
  file["model"]["unk_id"] = 262;
  EXPECT_THAT(ErrorOf(file), HasSubstr("262, expected less than the 262 pieces"));
  file["model"]["unk_id"] = nullptr;
  file["model"]["byte_fallback"] = false;
  EXPECT_THAT(ErrorOf(file), HasSubstr("neither byte tokens nor an unknown token"));
  file["model"]["vocab"] = {{"a", 1}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("field 'vocab'"));
}

TEST(UnigramKeys, RefusesACharsMapThatIsBroken) {
  Json file = SmallFile();
  file["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA*AAA"}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("no base64 at character 4"));
  file["normalizer"]["precompiled_charsmap"] = "CAAAAGFiYw==";
  EXPECT_THAT(ErrorOf(file), HasSubstr("says that its trie has 8 bytes"));
  file["normalizer"].erase("precompiled_charsmap");
  EXPECT_THAT(ErrorOf(file), HasSubstr("field 'precompiled_charsmap' is missing"));
  file["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", Json::array({Precompiled(), Precompiled()})}};
  EXPECT_THAT(ErrorOf(file), HasSubstr("a second 'Precompiled' is not computed"));
}

}  // namespace
}  // namespace mortar
