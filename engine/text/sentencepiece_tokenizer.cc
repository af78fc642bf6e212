#include "engine/text/sentencepiece_tokenizer.h"

#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "engine/text/joined_text.h"
#include "engine/text/limits.h"
#include "engine/text/score_merger.h"
#include "engine/text/space_mark.h"
#include "engine/text/utf8.h"
#include "engine/text/white_space.h"

namespace mortar {
namespace {

constexpr char kScoresKey[] = "tokenizer.ggml.scores";

// Marks of conversations that files declare as user-defined tokens; found in a user's message
// they would forge a turn.
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

bool IsTurnMark(std::string_view text) {
  if (text.starts_with("<|") && text.ends_with("|>")) return true;
  for (const std::string_view mark : kMarks) {
    if (text == mark) return true;
  }
  return false;
}

// Phi-3's special tokens that leave the white space behind them alone.
constexpr std::string_view kLeaveSpace[] = {"<unk>", "<s>", "<|endoftext|>"};

size_t WhiteSpaceBytes(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Step step = NextUtf8(text.substr(bytes));
    if (!IsWhiteSpace(step.code_point)) break;
    bytes += step.bytes;
  }
  return bytes;
}

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

absl::StatusOr<bool> Spell(Token token, std::string_view text, TokenType type, std::string* bytes) {
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

class SentencePieceTokenizer final : public TableTokenizer {
 public:
  absl::Status Build(const Vocabulary& vocabulary);
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override;
  bool adds_space() const override { return adds_space_; }

 private:
  absl::Status CheckScores(std::span<const float> scores) const;
  absl::Status IndexTokens(const Vocabulary& vocabulary);
  void EncodePlain(std::string_view text, ScoreMerger::Scratch* scratch,
                   std::vector<Token>* out) const;
  size_t ChunkEnd(std::string_view text, size_t begin) const;

  std::array<Token, 256> byte_tokens_{};  // all -1: the vocabulary has none
  Token unknown_ = -1;
  bool adds_space_ = false;
  std::vector<bool> takes_space_;  // [n_vocab] whether white space behind the token is left out
  bool crosses_words_ = false;     // some token goes on behind a space that follows a word
  std::unique_ptr<SpecialTokens> anywhere_;
  std::unique_ptr<ScoreMerger> merger_;
};

absl::Status SentencePieceTokenizer::Build(const Vocabulary& vocabulary) {
  RETURN_IF_ERROR(table_.Build(vocabulary, TokenType::kByte, Spell));
  RETURN_IF_ERROR(CheckScores(vocabulary.scores));
  RETURN_IF_ERROR(IndexTokens(vocabulary));
  adds_space_ = vocabulary.adds_space;
  takes_space_.assign(n_vocab(), vocabulary.specials_take_space);
  for (Token token = 0; token < n_vocab(); ++token) {
    for (const std::string_view text : kLeaveSpace) {
      if (table_.Text(token) == text) takes_space_[token] = false;
    }
  }
  merger_ = std::make_unique<ScoreMerger>(table_, vocabulary.scores);
  return absl::OkStatus();
}

absl::Status SentencePieceTokenizer::CheckScores(std::span<const float> scores) const {
  if (scores.size() != static_cast<size_t>(n_vocab())) {
    return InvalidArgument(std::string(kScoresKey) + " has " + std::to_string(scores.size()) +
                           " entries, expected " + std::to_string(n_vocab()) +
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

absl::Status SentencePieceTokenizer::IndexTokens(const Vocabulary& vocabulary) {
  byte_tokens_.fill(-1);
  int n_bytes = 0;
  unknown_ = vocabulary.unknown;
  std::vector<SpecialTokens::Entry> anywhere;
  for (Token token = 0; token < n_vocab(); ++token) {
    const std::string_view text = table_.Text(token);
    const TokenType type = table_.type(token);
    if (type == TokenType::kNormal) {
      if (text.size() > kScoredTokenBytesMax) {
        return InvalidArgument(At(kTokensKey, token) + " has " + std::to_string(text.size()) +
                               " bytes, expected at most " + std::to_string(kScoredTokenBytesMax));
      }
      const size_t word = text.find_first_not_of(' ');
      crosses_words_ |= word != text.npos && text.find(' ', word) != text.npos;
    } else if (type == TokenType::kByte) {
      Token& slot = byte_tokens_[static_cast<uint8_t>(text[0])];
      if (slot >= 0) {
        return InvalidArgument(At(kTokensKey, token) + " repeats byte token " +
                               std::to_string(slot));
      }
      slot = token;
      ++n_bytes;
    } else if (type == TokenType::kUserDefined && !IsTurnMark(text)) {
      anywhere.push_back({text, token});
    } else if (type == TokenType::kUnknown && unknown_ < 0) {
      unknown_ = token;
    }
  }
  if (n_bytes != 0 && n_bytes != 256) {
    return InvalidArgument(std::string(kTokensKey) + " has " + std::to_string(n_bytes) +
                           " byte tokens, expected all 256 or none");
  }
  if (n_bytes == 0 && unknown_ < 0) {
    return InvalidArgument(std::string(kTokensKey) +
                           " has neither byte tokens nor an unknown token");
  }
  anywhere_ = std::make_unique<SpecialTokens>(std::move(anywhere));
  return absl::OkStatus();
}

// Where the characters end that merges from `begin` on can reach: before the next word, its
// spaces included, unless the vocabulary has tokens of several words. Small chunks merge faster.
size_t SentencePieceTokenizer::ChunkEnd(std::string_view text, size_t begin) const {
  if (crosses_words_) return text.size();
  const size_t word = text.find_first_not_of(' ', begin);
  if (word == text.npos) return text.size();
  const size_t space = text.find(' ', word);
  return space == text.npos ? text.size() : space;
}

// Text between special tokens.
void SentencePieceTokenizer::EncodePlain(std::string_view text, ScoreMerger::Scratch* scratch,
                                         std::vector<Token>* out) const {
  if (text.empty()) return;
  std::string spaced;
  spaced.reserve(text.size() + 1);
  if (adds_space_) spaced.push_back(' ');
  AppendSpaced(text, &spaced);
  const std::string_view view = spaced;
  bool in_unknown = false;
  const auto emit = [&](std::string_view symbol, Token token) {
    if (token >= 0) {
      out->push_back(token);
    } else if (byte_tokens_[0] >= 0) {
      for (const char c : symbol) out->push_back(byte_tokens_[static_cast<uint8_t>(c)]);
    } else if (!in_unknown) {
      out->push_back(unknown_);
    }
    in_unknown = token < 0;
  };
  for (size_t begin = 0; begin < view.size();) {
    const size_t end = ChunkEnd(view, begin);
    merger_->Merge(view.substr(begin, end - begin), scratch, emit);
    begin = end;
  }
}

absl::StatusOr<std::vector<Token>> SentencePieceTokenizer::Encode(
    const std::vector<TextPiece>& pieces) const {
  ASSIGN_OR_RETURN(const JoinedText joined, Join(pieces));
  std::vector<Token> out;
  ScoreMerger::Scratch scratch;
  bool drops_space = false;
  const auto visit = [&](std::string_view plain, Token special) {
    if (drops_space) plain.remove_prefix(WhiteSpaceBytes(plain));
    drops_space = special >= 0 && takes_space_[special];
    EncodePlain(plain, &scratch, &out);
    if (special >= 0) out.push_back(special);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(CutAtSpecials(joined, table_.specials(), *anywhere_, visit));
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(
    const Vocabulary& vocabulary) {
  auto tokenizer = std::make_unique<SentencePieceTokenizer>();
  RETURN_IF_ERROR(tokenizer->Build(vocabulary));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace mortar
