// All token texts lie in one arena; maps hold views of it.
#include "engine/text/vocabulary.h"

#include <utility>

#include "engine/text/limits.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

// Control tokens that end a turn or a text in the models of the last years, whatever the file
// names as its eos.
constexpr std::string_view kEndTexts[] = {"<|im_end|>",      "<|endoftext|>", "<|eot_id|>",
                                          "<|end_of_text|>", "<|eom_id|>",    "<|end|>",
                                          "<end_of_turn>",   "</s>",          "<|eot|>"};

}  // namespace

std::string At(const char* key, size_t index) {
  return std::string(key) + "[" + std::to_string(index) + "]";
}

absl::Status TokenTable::Build(const Vocabulary& vocabulary, TokenType last_type,
                               const Spell& spell) {
  RETURN_IF_ERROR(CheckSizes(vocabulary));
  RETURN_IF_ERROR(AddTokens(vocabulary, last_type, spell));
  RETURN_IF_ERROR(IndexTokens());
  return AddSpecialIds(vocabulary);
}

absl::Status TokenTable::CheckSizes(const Vocabulary& vocabulary) const {
  const size_t n = vocabulary.tokens.size();
  if (n == 0 || n > kVocabularyTokensMax) {
    return InvalidArgument(std::string(kTokensKey) + " has " + std::to_string(n) +
                           " tokens, expected 1 to " + std::to_string(kVocabularyTokensMax));
  }
  if (vocabulary.types.size() != n) {
    return InvalidArgument(std::string(kTypesKey) + " has " +
                           std::to_string(vocabulary.types.size()) + " entries, expected " +
                           std::to_string(n) + ", one for each token");
  }
  size_t bytes = 0;
  for (const std::string& token : vocabulary.tokens) bytes += token.size();
  if (bytes > kVocabularyBytesMax) {
    return InvalidArgument(std::string(kTokensKey) + " has " + std::to_string(bytes) +
                           " bytes of text, expected at most " +
                           std::to_string(kVocabularyBytesMax));
  }
  return absl::OkStatus();
}

// Fills arena_, begins_, types_ and plain_.
absl::Status TokenTable::AddTokens(const Vocabulary& vocabulary, TokenType last_type,
                                   const Spell& spell) {
  const size_t n = vocabulary.tokens.size();
  size_t bytes = 0;
  for (const std::string& token : vocabulary.tokens) bytes += token.size();
  arena_.reserve(bytes);
  begins_.reserve(n + 1);
  begins_.push_back(0);
  types_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    const int32_t type = vocabulary.types[i];
    if (type < static_cast<int32_t>(TokenType::kNormal) || type > static_cast<int32_t>(last_type)) {
      return InvalidArgument(At(kTypesKey, i) + " is " + std::to_string(type) +
                             ", expected 1 (normal) to " +
                             (last_type == TokenType::kByte ? "6 (byte)" : "5 (unused)"));
    }
    types_.push_back(static_cast<TokenType>(type));
    const std::string& text = vocabulary.tokens[i];
    if (text.empty()) return InvalidArgument(At(kTokensKey, i) + " is empty");
    if (FindInvalidUtf8(text)) return InvalidArgument(At(kTokensKey, i) + " is not valid UTF-8");
    ASSIGN_OR_RETURN(const bool plain, spell(static_cast<Token>(i), text, types_[i], &arena_));
    plain_.push_back(plain && types_[i] == TokenType::kNormal);
    begins_.push_back(static_cast<uint32_t>(arena_.size()));
  }
  return absl::OkStatus();
}

// Fills plain_tokens_, specials_ and ends_. The arena does not move any more.
absl::Status TokenTable::IndexTokens() {
  plain_tokens_.reserve(size());
  ends_.assign(size(), false);
  TokensByText special_texts;
  std::vector<SpecialTokens::Entry> specials;
  for (Token token = 0; token < size(); ++token) {
    const std::string_view text = Text(token);
    if (plain_[token]) {
      const auto [first, added] = plain_tokens_.emplace(text, token);
      if (!added) {
        return InvalidArgument(At(kTokensKey, token) + " repeats token " +
                               std::to_string(first->second));
      }
    } else if (types_[token] == TokenType::kControl || types_[token] == TokenType::kUserDefined) {
      if (text.size() > kSpecialTokenBytesMax) {
        return InvalidArgument(At(kTokensKey, token) + " is a special token of " +
                               std::to_string(text.size()) + " bytes, expected at most " +
                               std::to_string(kSpecialTokenBytesMax));
      }
      const auto [first, added] = special_texts.emplace(text, token);
      if (!added) {
        return InvalidArgument(At(kTokensKey, token) + " repeats special token " +
                               std::to_string(first->second));
      }
      specials.push_back({text, token});
      if (types_[token] != TokenType::kControl) continue;
      for (const std::string_view end : kEndTexts) ends_[token] = ends_[token] || text == end;
    }
  }
  specials_ = std::make_unique<SpecialTokens>(std::move(specials));
  return absl::OkStatus();
}

absl::Status TokenTable::AddSpecialIds(const Vocabulary& vocabulary) {
  const auto check = [this](const char* key, Token token) -> absl::Status {
    if (token >= -1 && token < size()) return absl::OkStatus();
    return InvalidArgument(std::string(key) + " is " + std::to_string(token) +
                           ", expected less than the " + std::to_string(size()) + " of " +
                           kTokensKey);
  };
  RETURN_IF_ERROR(check("tokenizer.ggml.bos_token_id", vocabulary.bos));
  RETURN_IF_ERROR(check("tokenizer.ggml.eos_token_id", vocabulary.eos));
  RETURN_IF_ERROR(check("tokenizer.ggml.unknown_token_id", vocabulary.unknown));
  if (vocabulary.adds_bos && vocabulary.bos < 0) {
    return InvalidArgument(
        "tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is absent");
  }
  if (vocabulary.adds_eos && vocabulary.eos < 0) {
    return InvalidArgument(
        "tokenizer.ggml.add_eos_token is true, but tokenizer.ggml.eos_token_id is absent");
  }
  bos_ = vocabulary.bos;
  eos_ = vocabulary.eos;
  adds_bos_ = vocabulary.adds_bos;
  adds_eos_ = vocabulary.adds_eos;
  if (eos_ >= 0) ends_[eos_] = true;
  return absl::OkStatus();
}

std::string_view TokenTable::Bytes(Token token, bool special) const {
  if (token < 0 || token >= size()) return {};
  const TokenType type = types_[token];
  const bool shown =
      type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kByte;
  return shown || special ? Text(token) : std::string_view();
}

bool TokenTable::IsEndOfGeneration(Token token) const {
  return token >= 0 && token < size() && ends_[token];
}

}  // namespace mortar
