// A Tokenizer made from plain tables, wherever they come from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/status.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// The numbers of GGUF's key tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
};

// The tables of a byte-level BPE vocabulary, viewed while a tokenizer is made from them.
// Normal tokens and merges are spelled in GPT-2's byte alphabet, the others in plain UTF-8.
struct Vocabulary {
  std::span<const std::string> tokens;  // [n_vocab]; the index is the token
  std::span<const int32_t> types;       // [n_vocab] of TokenType
  std::span<const std::string> merges;  // "left right", ascending rank
  std::string pre_tokenizer;            // a name that PreTokenizer::Make knows
  Token bos = -1;                       // -1: none
  Token eos = -1;
  bool adds_bos = false;
};

// Does: checks the tables against one another and builds what Encode needs. It copies.
// Errors: InvalidArgument, naming the GGUF key and the index, for a type outside the list, a
// duplicate or empty token, a merge that is malformed, names a token that is unknown or
// special, or stands twice, and special ids out of range; Unimplemented for a pre-tokenizer.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const Vocabulary& vocabulary);

}  // namespace mortar
