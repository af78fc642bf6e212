// What the two kinds of SentencePiece vocabulary (BPE and Unigram) have in common: how tokens are
// spelled, their scores, the tokens of single bytes, and the marks of a conversation.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "common/status.h"
#include "engine/text/vocabulary.h"

namespace mortar {

// Whether a user-defined token looks like a mark of a conversation (<|...|>, <start_of_turn>,
// [INST], ...): found in a user's message it would forge a turn.
bool IsTurnMark(std::string_view text);

// TokenTable::Spell of these vocabularies: a byte token is the byte, and in pieces of text the mark
// of a space is the space. InvalidArgument for a byte token that is not <0x00> to <0xFF>.
absl::StatusOr<bool> SpellScored(Token token, std::string_view text, TokenType type,
                                 std::string* bytes);

// InvalidArgument, naming the key and the index, for scores that are not one finite number a token.
absl::Status CheckScores(std::span<const float> scores, int n_vocab);

// What stands for a character that has no token of its own.
struct Fallback {
  std::array<Token, 256> bytes{};  // all -1: the vocabulary has none
  Token unknown = -1;              // the named one, or else the first of that type

  bool has_bytes() const { return bytes[0] >= 0; }
};

// InvalidArgument for byte tokens that are not all there, once each, or none, and for a vocabulary
// with neither bytes nor an unknown token.
absl::StatusOr<Fallback> FindFallback(const TokenTable& table, Token named_unknown);

}  // namespace mortar
