// Unigram vocabularies for tests: the stored ones by way of a file's keys, and a small one.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "engine/text/unigram_tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/unit/engine/text/scored_vocabulary.h"
#include "tests/unit/engine/text/stored.h"

namespace mortar {

// The library's own table, beside the stored answers.
inline std::string StoredCharsMap() {
  std::ifstream file(std::string(MORTAR_TEST_DATA) + "/text/nmt_nfkc.charsmap", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A list of bytes as GGUF has it.
inline void AddBytes(GgufWriter& writer, std::string_view name, std::string_view bytes) {
  constexpr uint32_t kUint8 = 0, kArray = 9;  // GGUF's numbers of value types
  std::vector<uint8_t> value;
  AppendNumber(kUint8, value);
  AppendNumber(uint64_t{bytes.size()}, value);
  value.insert(value.end(), bytes.begin(), bytes.end());
  writer.AddRaw(name, kArray, std::move(value));
}

inline GgufWriter StoredUnigram(const nlohmann::json& model) {
  GgufWriter writer;
  writer.AddString("tokenizer.ggml.model", "t5");
  writer.AddStrings("tokenizer.ggml.tokens", model["tokens"].get<std::vector<std::string>>());
  writer.AddInts("tokenizer.ggml.token_type", model["types"].get<std::vector<int32_t>>());
  writer.AddFloats("tokenizer.ggml.scores", model["scores"].get<std::vector<float>>());
  writer.AddUint32("tokenizer.ggml.eos_token_id", model["eos"].get<uint32_t>());
  writer.AddUint32("tokenizer.ggml.unknown_token_id", model["unknown"].get<uint32_t>());
  for (const char* const key : {"add_space_prefix", "remove_extra_whitespaces"}) {
    writer.AddBool(std::string("tokenizer.ggml.") + key, model[key].get<bool>());
  }
  if (model["has_charsmap"].get<bool>()) {
    AddBytes(writer, "tokenizer.ggml.precompiled_charsmap", StoredCharsMap());
  }
  return writer;
}

inline absl::StatusOr<std::unique_ptr<Tokenizer>> FromKeys(const GgufWriter& writer) {
  const auto file = GgufFile::FromBytes(writer.Bytes(), "stored.gguf");
  if (!file.ok()) return file.status();
  return Tokenizer::FromGguf(**file);
}

inline std::unique_ptr<Tokenizer> FromStoredUnigram(const nlohmann::json& model) {
  auto tokenizer = FromKeys(StoredUnigram(model));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

// The corpus, and the texts that unigram.json adds.
inline std::vector<std::string> UnigramTexts() {
  auto texts = Stored("corpus.json")["texts"].get<std::vector<std::string>>();
  const auto added = Stored("unigram.json")["texts"].get<std::vector<std::string>>();
  texts.insert(texts.end(), added.begin(), added.end());
  return texts;
}

// An unknown token and a few pieces; no charsmap.
struct SmallUnigram : ScoredTables {
  UnigramRules rules;

  SmallUnigram() {
    Add("<unk>", 2, 0);
    Add("\u2581", 1, -3);
    Add("a", 1, -2);
    Add("b", 1, -2);
    Add("ab", 1, -3);
    Add("\u2581a", 1, -4);
    rules.adds_space = false;
  }
  absl::StatusOr<std::unique_ptr<Tokenizer>> Make() { return MakeUnigramTokenizer(View(), rules); }
};

}  // namespace mortar
