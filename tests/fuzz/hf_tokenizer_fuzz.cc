// Goal: no tokenizer.json can crash its reader, nor the tokenizer that is made from it.
//
// Input: a tokenizer.json, for a model with 300 rows.
#include <cstdint>
#include <string>

#include "common/check.h"
#include "engine/hf/tokenizer_keys.h"
#include "engine/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = mortar::ParseJson(text, {1 << 20, 1 << 16});
  if (!json.ok()) return 0;
  mortar::GgufParts parts;
  if (!mortar::AddVocabularyKeys(*json, "tokenizer.json", 300, parts.metadata).ok()) return 0;
  const auto file = mortar::GgufFile::Assemble(std::move(parts), "folder");
  CHECK(file.ok());
  const auto tokenizer = mortar::Tokenizer::FromGguf(**file);
  if (!tokenizer.ok()) return 0;
  CHECK((*tokenizer)->n_vocab() == 300);
  const auto tokens = (*tokenizer)->Encode({{"the wall 12", false}, {"<s>", true}});
  if (!tokens.ok()) return 0;
  for (const mortar::Token token : *tokens) CHECK(token >= 0 && token < 300);
  return 0;
}
