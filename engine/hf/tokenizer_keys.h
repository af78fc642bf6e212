// tokenizer.json, tokenizer_config.json and the chat template as GGUF's metadata.
//
// Three kinds of vocabulary are read: byte-level BPE (GGUF's model "gpt2"), SentencePiece's BPE as
// Hugging Face rewrites it (GGUF's "llama"), and Unigram (GGUF's "t5"). Sources: the file format of
// huggingface/tokenizers.
#pragma once

#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/hf/json.h"

namespace mortar {

// What the folder's other files say about tokens.
struct TokenizerContext {
  std::string folder;
  const Fields* config = nullptr;  // config.json
  uint64_t n_rows = 0;             // of the embedding
};

// Adds tokenizer.ggml.* and tokenizer.chat_template. Tokens that the embedding has rows for and
// the file has not are unused; added tokens without a row are left out. Unimplemented, with those
// known, for another kind of vocabulary, normaliser or pre-tokenizer. Errors begin with a path.
absl::Status AddTokenizerKeys(const TokenizerContext& context, GgufMetadata& to);

// The part that a tokenizer.json alone says: tokens, types, merges or scores, and the kind. Other
// sources may name bos and eos afterwards. For tests and AddTokenizerKeys.
absl::Status AddVocabularyKeys(const Json& tokenizer, const std::string& path, uint64_t n_rows,
                               GgufMetadata& to);

}  // namespace mortar
