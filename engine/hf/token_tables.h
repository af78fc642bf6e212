// The tokens of a tokenizer.json by their id, for those who read its kinds of vocabulary.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/hf/json.h"
#include "engine/text/vocabulary.h"

namespace mortar {

struct TokenTables {
  std::vector<std::string> tokens;  // [n_rows]
  std::vector<int64_t> types;       // [n_rows] of TokenType; what the file lacks is unused
};

inline int64_t Number(TokenType type) { return static_cast<int64_t>(type); }

bool IsByteToken(std::string_view text);  // by its form, <0x..>

// Tables of unused tokens without a text. InvalidArgument above kVocabularyTokensMax rows, and
// without any.
absl::StatusOr<TokenTables> MakeTokenTables(const Fields& model, uint64_t n_rows);

// Puts a token of the vocabulary. InvalidArgument when its id has no row or is taken.
absl::Status PutToken(const Fields& model, uint64_t id, const std::string& text, TokenType type,
                      TokenTables& tables);

// Reads added tokens: special ones are control tokens, the others pieces of ordinary text. Those
// without a row are left out: the model can neither read nor say them.
absl::Status ReadAddedTokens(const Fields& file, TokenTables& tables);

// Gives each unused token a text of its own.
void NameUnusedTokens(TokenTables& tables);

}  // namespace mortar
