// Goal: a tokenizer is made from the keys of a file, and keys that are missing, of another type
// or out of range are refused with their names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/tokenizer.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::SizeIs;

constexpr uint32_t kUint32 = 4, kString = 8;  // GGUF's numbers of value types

std::vector<uint8_t> Stored(std::string_view text) {
  std::vector<uint8_t> bytes;
  AppendString(text, bytes);
  return bytes;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> FromFile(const GgufWriter& writer) {
  auto file = GgufFile::FromBytes(writer.Bytes(), "tiny.gguf");
  EXPECT_TRUE(file.ok()) << Message(file.status());
  if (!file.ok()) return file.status();
  return Tokenizer::FromGguf(**file);
}

std::string Refusal(const GgufWriter& writer) {
  const auto tokenizer = FromFile(writer);
  EXPECT_FALSE(tokenizer.ok());
  return tokenizer.ok() ? "" : Message(tokenizer.status());
}

void Remove(GgufWriter& writer, std::string_view key) {
  std::erase_if(writer.keys, [&](const GgufWriter::Key& k) { return k.name == key; });
}

TEST(TokenizerFromGguf, TakesTheSpecialTokensThatTheFileNames) {
  const auto tokenizer = FromFile(MakeTinyModel({}));
  ASSERT_TRUE(tokenizer.ok()) << Message(tokenizer.status());
  EXPECT_EQ((*tokenizer)->n_vocab(), kTinyVocab);
  EXPECT_EQ((*tokenizer)->bos(), 1);
  EXPECT_EQ((*tokenizer)->eos(), 2);
  EXPECT_FALSE((*tokenizer)->adds_bos());
}

TEST(TokenizerFromGguf, AFileWithoutBosAndEosHasNone) {
  GgufWriter writer = MakeTinyModel({});
  Remove(writer, "tokenizer.ggml.bos_token_id");
  Remove(writer, "tokenizer.ggml.eos_token_id");
  const auto tokenizer = FromFile(writer);
  ASSERT_TRUE(tokenizer.ok()) << Message(tokenizer.status());
  EXPECT_EQ((*tokenizer)->bos(), -1);
  EXPECT_EQ((*tokenizer)->eos(), -1);
}

TEST(TokenizerFromGguf, NamesTheKeyThatIsMissing) {
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges",
                          "tokenizer.ggml.token_type", "tokenizer.ggml.pre"}) {
    GgufWriter writer = MakeTinyModel({});
    Remove(writer, key);
    EXPECT_THAT(Refusal(writer), HasSubstr(key));
  }
}

TEST(TokenizerFromGguf, NamesTheKeyThatHasAnotherType) {
  for (const char* key :
       {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges",
        "tokenizer.ggml.token_type", "tokenizer.ggml.pre", "tokenizer.ggml.add_bos_token"}) {
    GgufWriter writer = MakeTinyModel({});
    writer.FindKey(key).type = kUint32;
    writer.FindKey(key).value = {7, 0, 0, 0};
    EXPECT_THAT(Refusal(writer), HasSubstr(key));
  }
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"}) {
    GgufWriter writer = MakeTinyModel({});
    writer.FindKey(key).type = kString;
    writer.FindKey(key).value = Stored("two");
    EXPECT_THAT(Refusal(writer), HasSubstr(key));
  }
}

TEST(TokenizerFromGguf, RefusesSpecialTokensBeyondTheVocabulary) {
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"}) {
    for (const uint32_t id : {uint32_t{kTinyVocab}, uint32_t{0x80000000}}) {
      GgufWriter writer = MakeTinyModel({});
      writer.FindKey(key).value.clear();
      AppendNumber(id, writer.FindKey(key).value);
      EXPECT_THAT(Refusal(writer), HasSubstr(key)) << id;
    }
  }
}

TEST(TokenizerFromGguf, NamesTheTokenizerThatItDoesNotKnow) {
  GgufWriter writer = MakeTinyModel({});
  writer.FindKey("tokenizer.ggml.model").value = Stored("rwkv");
  EXPECT_EQ(Refusal(writer),
            "tokenizer.ggml.model is 'rwkv'; known are gpt2 (byte-level BPE), llama "
            "(SentencePiece), bert (WordPiece), t5 (Unigram)");
  writer = MakeTinyModel({});
  writer.FindKey("tokenizer.ggml.pre").value = Stored("klingon");
  EXPECT_THAT(Refusal(writer), HasSubstr("klingon"));
}

// Three pieces and an unknown token, with the keys of the format's first years.
GgufWriter EarlyLlama() {
  const std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "\u2581a"};
  const std::vector<int32_t> types = {2, 3, 3, 1, 1, 1};
  const std::vector<float> scores = {0, 0, 0, -2, -3, -1};
  GgufWriter writer;
  writer.AddString("tokenizer.ggml.model", "llama");
  writer.AddStrings("tokenizer.ggml.tokens", tokens);
  writer.AddInts("tokenizer.ggml.token_type", types);
  writer.AddFloats("tokenizer.ggml.scores", scores);
  writer.AddUint32("tokenizer.ggml.bos_token_id", 1);
  writer.AddUint32("tokenizer.ggml.eos_token_id", 2);
  return writer;
}

TEST(TokenizerFromGguf, ALlamaWithoutFurtherKeysAddsItsBosAndASpace) {
  const auto tokenizer = FromFile(EarlyLlama());
  ASSERT_TRUE(tokenizer.ok()) << Message(tokenizer.status());
  EXPECT_TRUE((*tokenizer)->adds_bos());
  EXPECT_FALSE((*tokenizer)->adds_eos());
  EXPECT_TRUE((*tokenizer)->adds_space());
  EXPECT_EQ(*(*tokenizer)->Encode({{"a"}}), std::vector<Token>{5});
  EXPECT_TRUE((*tokenizer)->IsEndOfGeneration(2));
}

TEST(TokenizerFromGguf, ALlamaDoesAsItsKeysSay) {
  GgufWriter writer = EarlyLlama();
  writer.AddBool("tokenizer.ggml.add_bos_token", false);
  writer.AddBool("tokenizer.ggml.add_eos_token", true);
  writer.AddBool("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = FromFile(writer);
  ASSERT_TRUE(tokenizer.ok()) << Message(tokenizer.status());
  EXPECT_FALSE((*tokenizer)->adds_bos());
  EXPECT_TRUE((*tokenizer)->adds_eos());
  EXPECT_FALSE((*tokenizer)->adds_space());
  EXPECT_EQ(*(*tokenizer)->Encode({{"a"}}), std::vector<Token>{4});
}

TEST(TokenizerFromGguf, ALlamaNeedsFiniteScores) {
  GgufWriter without = EarlyLlama();
  Remove(without, "tokenizer.ggml.scores");
  EXPECT_THAT(Refusal(without), HasSubstr("tokenizer.ggml.scores"));
  GgufWriter texts = EarlyLlama();
  Remove(texts, "tokenizer.ggml.scores");
  texts.AddString("tokenizer.ggml.scores", "high");
  EXPECT_THAT(Refusal(texts), HasSubstr("tokenizer.ggml.scores"));
}

TEST(TokenizerFromGguf, KeepsItsLineShortWhateverTheNamesAre) {
  const std::string endless(1 << 20, 'x');
  for (const char* key : {"tokenizer.ggml.model", "tokenizer.ggml.pre"}) {
    GgufWriter writer = MakeTinyModel({});
    writer.FindKey(key).value = Stored(endless);
    EXPECT_THAT(Refusal(writer), AllOf(HasSubstr("xxx...'"), SizeIs(Lt(500)))) << key;
  }
}

}  // namespace
}  // namespace mortar
