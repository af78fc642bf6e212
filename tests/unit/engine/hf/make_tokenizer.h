// The tokenizer of a tokenizer.json, by way of GGUF's keys as a folder's is.
#pragma once

#include <memory>
#include <utility>

#include "engine/gguf/gguf.h"
#include "engine/hf/json.h"
#include "engine/hf/tokenizer_keys.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// `n_rows` of the embedding.
inline absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const Json& written,
                                                                uint64_t n_rows) {
  ASSIGN_OR_RETURN(const Json file, ParseJson(written.dump(), {1 << 20, 1 << 16}));
  GgufParts parts;
  parts.metadata["general.architecture"] = std::string("llama");
  RETURN_IF_ERROR(AddVocabularyKeys(file, "f/tokenizer.json", n_rows, parts.metadata));
  ASSIGN_OR_RETURN(const auto model, GgufFile::Assemble(std::move(parts), "f"));
  return Tokenizer::FromGguf(*model);
}

}  // namespace mortar
