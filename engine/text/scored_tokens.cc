#include "engine/text/scored_tokens.h"

#include <cmath>
#include <optional>

#include "engine/text/space_mark.h"

namespace mortar {
namespace {

constexpr char kScoresKey[] = "tokenizer.ggml.scores";

// Marks of conversations that files declare as user-defined tokens.
constexpr std::string_view kMarks[] = {"<s>",
                                       "</s>",
                                       "<bos>",
                                       "<eos>",
                                       "<unk>",
                                       "<pad>",
                                       "[INST]",
                                       "[/INST]",
                                       "<start_of_turn>",
                                       "<end_of_turn>",
                                       "<<SYS>>",
                                       "<</SYS>>",
                                       "<image>",
                                       "[IMG]",
                                       "[TOOL_CALLS]",
                                       "[AVAILABLE_TOOLS]",
                                       "[TOOL_RESULTS]"};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The byte that "<0xHH>" names.
std::optional<uint8_t> ParseByte(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  const int high = HexDigit(text[3]);
  const int low = HexDigit(text[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

}  // namespace

bool IsTurnMark(std::string_view text) {
  if (text.starts_with("<|") && text.ends_with("|>")) return true;
  for (const std::string_view mark : kMarks) {
    if (text == mark) return true;
  }
  return false;
}

absl::StatusOr<bool> SpellScored(Token token, std::string_view text, TokenType type,
                                 std::string* bytes) {
  if (type == TokenType::kByte) {
    const std::optional<uint8_t> byte = ParseByte(text);
    if (!byte) {
      return InvalidArgument(At(kTokensKey, token) + " is \"" + std::string(text.substr(0, 100)) +
                             "\", expected a byte token, <0x00> to <0xFF>");
    }
    bytes->push_back(static_cast<char>(*byte));
  } else if (type == TokenType::kNormal || type == TokenType::kUserDefined) {
    AppendSpaced(text, bytes);
  } else {
    *bytes += text;
  }
  return true;
}

absl::Status CheckScores(std::span<const float> scores, int n_vocab) {
  if (scores.size() != static_cast<size_t>(n_vocab)) {
    return InvalidArgument(std::string(kScoresKey) + " has " + std::to_string(scores.size()) +
                           " entries, expected " + std::to_string(n_vocab) +
                           ", one for each token");
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) {
      return InvalidArgument(At(kScoresKey, i) + " is " + std::to_string(scores[i]) +
                             ", expected a finite number");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Fallback> FindFallback(const TokenTable& table, Token named_unknown) {
  Fallback fallback;
  fallback.bytes.fill(-1);
  fallback.unknown = named_unknown;
  int n_bytes = 0;
  for (Token token = 0; token < table.size(); ++token) {
    if (table.type(token) == TokenType::kUnknown && fallback.unknown < 0) fallback.unknown = token;
    if (table.type(token) != TokenType::kByte) continue;
    Token& slot = fallback.bytes[static_cast<uint8_t>(table.Text(token)[0])];
    if (slot >= 0) {
      return InvalidArgument(At(kTokensKey, token) + " repeats byte token " + std::to_string(slot));
    }
    slot = token;
    ++n_bytes;
  }
  if (n_bytes != 0 && n_bytes != 256) {
    return InvalidArgument(std::string(kTokensKey) + " has " + std::to_string(n_bytes) +
                           " byte tokens, expected all 256 or none");
  }
  if (n_bytes == 0 && fallback.unknown < 0) {
    return InvalidArgument(std::string(kTokensKey) +
                           " has neither byte tokens nor an unknown token");
  }
  return fallback;
}

}  // namespace mortar
