#include "engine/hf/token_tables.h"

#include "engine/gguf/reader.h"
#include "engine/text/limits.h"

namespace mortar {

bool IsByteToken(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
}

absl::StatusOr<TokenTables> MakeTokenTables(const Fields& model, uint64_t n_rows) {
  if (n_rows == 0 || n_rows > kVocabularyTokensMax) {
    return model.Wrong("vocab", "an embedding of " + std::to_string(n_rows) +
                                    " rows, expected 1 to " + std::to_string(kVocabularyTokensMax));
  }
  TokenTables tables;
  tables.tokens.resize(n_rows);
  tables.types.assign(n_rows, Number(TokenType::kUnused));
  return tables;
}

absl::Status PutToken(const Fields& model, uint64_t id, const std::string& text, TokenType type,
                      TokenTables& tables) {
  const uint64_t n_rows = tables.tokens.size();
  if (id >= n_rows) {
    return model.Wrong("vocab", "token " + Quoted(text) + ": expected an id below the " +
                                    std::to_string(n_rows) + " rows of the embedding, found " +
                                    std::to_string(id));
  }
  if (tables.types[id] != Number(TokenType::kUnused)) {
    return model.Wrong("vocab", "id " + std::to_string(id) + " is that of two tokens");
  }
  tables.tokens[id] = text;
  tables.types[id] = Number(type);
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const Fields& file, TokenTables& tables) {
  const Json* const list = file.Find("added_tokens");
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array()) return file.Wrong("added_tokens", "expected a list");
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN(const Fields token, Fields::Of(item, file.where() + ": added token"));
    ASSIGN_OR_RETURN(const uint64_t id, token.Int("id", 0, kVocabularyTokensMax));
    ASSIGN_OR_RETURN(const std::string text, token.String("content"));
    ASSIGN_OR_RETURN(const bool special, token.BoolOr("special", false));
    if (id >= tables.tokens.size()) continue;
    if (tables.types[id] == Number(TokenType::kUnknown)) continue;
    tables.tokens[id] = text;
    tables.types[id] = Number(special ? TokenType::kControl : TokenType::kUserDefined);
  }
  return absl::OkStatus();
}

void NameUnusedTokens(TokenTables& tables) {
  for (size_t i = 0; i < tables.tokens.size(); ++i) {
    if (tables.types[i] != Number(TokenType::kUnused)) continue;
    tables.tokens[i] = "[PAD" + std::to_string(i) + "]";
  }
}

}  // namespace mortar
