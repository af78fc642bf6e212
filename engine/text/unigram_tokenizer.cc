#include "engine/text/unigram_tokenizer.h"

#include <algorithm>
#include <cfloat>
#include <utility>

#include "engine/text/joined_text.h"
#include "engine/text/limits.h"
#include "engine/text/scored_tokens.h"
#include "engine/text/unigram_lattice.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

// SentencePiece's: what an unknown character costs beyond the worst piece.
constexpr double kUnknownPenalty = 10;

class UnigramTokenizer final : public TableTokenizer {
 public:
  absl::Status Build(const Vocabulary& vocabulary, UnigramRules rules);
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override;
  bool adds_space() const override { return normalizer_.rules().adds_space; }

 private:
  // What Encode goes on with from stretch to stretch.
  struct Run {
    UnigramLattice::Scratch scratch;
    size_t bytes_left = kNormalizedBytesMax;
    bool is_first = true;
    bool in_unknown = false;
  };

  absl::Status CheckPieces() const;
  void BuildLattice(const Vocabulary& vocabulary);
  absl::Status EncodePlain(std::string_view text, Run* run, std::vector<Token>* out) const;
  void EncodeChunk(std::string_view text, Run* run, std::vector<Token>* out) const;
  size_t ChunkEnd(std::string_view text, size_t begin) const;

  Fallback fallback_;
  UnigramNormalizer normalizer_;
  UnigramLattice lattice_;
  bool crosses_words_ = false;  // some piece goes on behind a space that follows a word
  std::unique_ptr<SpecialTokens> in_trusted_;
};

bool IsPiece(TokenType type, std::string_view text) {
  return type == TokenType::kNormal || (type == TokenType::kUserDefined && !IsTurnMark(text));
}

bool CrossesWords(std::string_view text) {
  const size_t word = text.find_first_not_of(' ');
  return word != text.npos && text.find(' ', word) != text.npos;
}

absl::Status UnigramTokenizer::Build(const Vocabulary& vocabulary, UnigramRules rules) {
  RETURN_IF_ERROR(table_.Build(vocabulary, TokenType::kByte, SpellScored));
  RETURN_IF_ERROR(CheckScores(vocabulary.scores, n_vocab()));
  ASSIGN_OR_RETURN(fallback_, FindFallback(table_, vocabulary.unknown));
  RETURN_IF_ERROR(CheckPieces());
  BuildLattice(vocabulary);
  std::vector<SpecialTokens::Entry> in_trusted;
  std::vector<std::string_view> whole;
  for (Token token = 0; token < n_vocab(); ++token) {
    const TokenType type = table_.type(token);
    const bool is_piece = IsPiece(type, table_.Text(token));
    if (type == TokenType::kControl || (type == TokenType::kUserDefined && !is_piece)) {
      in_trusted.push_back({table_.Text(token), token});
    } else if (type == TokenType::kUserDefined) {
      whole.push_back(vocabulary.tokens[token]);
    }
  }
  in_trusted_ = std::make_unique<SpecialTokens>(std::move(in_trusted));
  ASSIGN_OR_RETURN(normalizer_, UnigramNormalizer::Make(std::move(rules), whole));
  return absl::OkStatus();
}

absl::Status UnigramTokenizer::CheckPieces() const {
  size_t total = 0;
  for (Token token = 0; token < n_vocab(); ++token) {
    const std::string_view text = table_.Text(token);
    if (!IsPiece(table_.type(token), text)) continue;
    if (text.size() > kScoredTokenBytesMax) {
      return InvalidArgument(At(kTokensKey, token) + " has " + std::to_string(text.size()) +
                             " bytes, expected at most " + std::to_string(kScoredTokenBytesMax));
    }
    const Token same = table_.FindPlain(text);
    if (same >= 0 && same != token) {
      return InvalidArgument(At(kTokensKey, token) + " repeats token " + std::to_string(same));
    }
    total += text.size();
  }
  if (total <= kUnigramPieceBytesMax) return absl::OkStatus();
  return InvalidArgument(std::string(kTokensKey) + " has " + std::to_string(total) +
                         " bytes of pieces, expected at most " +
                         std::to_string(kUnigramPieceBytesMax));
}

// A user-defined token has the score that the library gives it: above that of any piece, since
// these are negative in what is trained.
void UnigramTokenizer::BuildLattice(const Vocabulary& vocabulary) {
  float worst = FLT_MAX;
  float best = FLT_MIN;
  for (Token token = 0; token < n_vocab(); ++token) {
    if (table_.type(token) != TokenType::kNormal) continue;
    worst = std::min(worst, vocabulary.scores[token]);
    best = std::max(best, vocabulary.scores[token]);
  }
  std::vector<UnigramLattice::Piece> pieces;
  for (Token token = 0; token < n_vocab(); ++token) {
    const std::string_view text = table_.Text(token);
    const TokenType type = table_.type(token);
    if (!IsPiece(type, text)) continue;
    crosses_words_ |= CrossesWords(text);
    const auto spelled = static_cast<double>(vocabulary.tokens[token].size());
    const double score =
        type == TokenType::kNormal ? double{vocabulary.scores[token]} : spelled * best - 0.1;
    pieces.push_back({text, token, score});
  }
  const double least = worst == FLT_MAX ? 0 : worst;
  lattice_ = UnigramLattice(pieces, n_vocab(), least - kUnknownPenalty);
}

// Where the characters end that are cut together from `begin` on: before the next word, its spaces
// included, unless the vocabulary has pieces of several words.
size_t UnigramTokenizer::ChunkEnd(std::string_view text, size_t begin) const {
  const bool cuts_words = normalizer_.rules().cuts_words;
  if (crosses_words_ && !cuts_words) return text.size();
  const size_t word = cuts_words ? begin + 1 : text.find_first_not_of(' ', begin);
  return std::min(text.size(), word == text.npos ? word : text.find(' ', word));
}

void UnigramTokenizer::EncodeChunk(std::string_view text, Run* run, std::vector<Token>* out) const {
  size_t at = 0;
  for (const int32_t token : lattice_.Cut(text, &run->scratch)) {
    if (token != UnigramLattice::kUnknown) {
      out->push_back(token);
      at += table_.Text(token).size();
      run->in_unknown = false;
      continue;
    }
    const size_t end = at + NextUtf8(text.substr(at)).bytes;
    if (!fallback_.has_bytes()) {
      if (!run->in_unknown) out->push_back(fallback_.unknown);
    } else {
      for (const char c : text.substr(at, end - at)) {
        out->push_back(fallback_.bytes[static_cast<uint8_t>(c)]);
      }
    }
    run->in_unknown = true;
    at = end;
  }
}

// Text between special tokens.
absl::Status UnigramTokenizer::EncodePlain(std::string_view text, Run* run,
                                           std::vector<Token>* out) const {
  ASSIGN_OR_RETURN(const std::string normalized,
                   normalizer_.Normalize(text, run->is_first, &run->bytes_left));
  run->in_unknown = false;
  for (size_t begin = 0; begin < normalized.size();) {
    const size_t end = ChunkEnd(normalized, begin);
    if (normalizer_.rules().cuts_words) run->in_unknown = false;
    EncodeChunk(std::string_view(normalized).substr(begin, end - begin), run, out);
    begin = end;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Token>> UnigramTokenizer::Encode(
    const std::vector<TextPiece>& pieces) const {
  ASSIGN_OR_RETURN(const JoinedText joined, Join(pieces));
  std::vector<Token> out;
  Run run;
  const SpecialTokens none({});
  const auto visit = [&](std::string_view plain, Token special) -> absl::Status {
    RETURN_IF_ERROR(EncodePlain(plain, &run, &out));
    run.is_first = false;
    if (special >= 0) out.push_back(special);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(CutAtSpecials(joined, *in_trusted_, none, visit));
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeUnigramTokenizer(const Vocabulary& vocabulary,
                                                                UnigramRules rules) {
  auto tokenizer = std::make_unique<UnigramTokenizer>();
  RETURN_IF_ERROR(tokenizer->Build(vocabulary, std::move(rules)));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace mortar
