#include "engine/text/sentencepiece_tokenizer.h"

#include <utility>

#include "engine/text/joined_text.h"
#include "engine/text/limits.h"
#include "engine/text/score_merger.h"
#include "engine/text/scored_tokens.h"
#include "engine/text/space_mark.h"
#include "engine/text/utf8.h"
#include "engine/text/white_space.h"

namespace mortar {
namespace {

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

class SentencePieceTokenizer final : public TableTokenizer {
 public:
  absl::Status Build(const Vocabulary& vocabulary);
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override;
  bool adds_space() const override { return adds_space_; }

 private:
  absl::Status IndexTokens();
  void EncodePlain(std::string_view text, ScoreMerger::Scratch* scratch,
                   std::vector<Token>* out) const;
  size_t ChunkEnd(std::string_view text, size_t begin) const;

  Fallback fallback_;
  bool adds_space_ = false;
  std::vector<bool> takes_space_;  // [n_vocab] whether white space behind the token is left out
  bool crosses_words_ = false;     // some token goes on behind a space that follows a word
  std::unique_ptr<SpecialTokens> anywhere_;
  std::unique_ptr<ScoreMerger> merger_;
};

absl::Status SentencePieceTokenizer::Build(const Vocabulary& vocabulary) {
  RETURN_IF_ERROR(table_.Build(vocabulary, TokenType::kByte, SpellScored));
  RETURN_IF_ERROR(CheckScores(vocabulary.scores, n_vocab()));
  ASSIGN_OR_RETURN(fallback_, FindFallback(table_, vocabulary.unknown));
  RETURN_IF_ERROR(IndexTokens());
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

absl::Status SentencePieceTokenizer::IndexTokens() {
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
    } else if (type == TokenType::kUserDefined && !IsTurnMark(text)) {
      anywhere.push_back({text, token});
    }
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
    } else if (fallback_.has_bytes()) {
      for (const char c : symbol) out->push_back(fallback_.bytes[static_cast<uint8_t>(c)]);
    } else if (!in_unknown) {
      out->push_back(fallback_.unknown);
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
