#include "engine/text/wordpiece_tokenizer.h"

#include <algorithm>
#include <utility>

#include "engine/text/character_tables.h"
#include "engine/text/joined_text.h"
#include "engine/text/limits.h"
#include "engine/text/normal_form.h"
#include "engine/text/space_mark.h"
#include "engine/text/utf8.h"
#include "engine/text/white_space.h"

namespace mortar {
namespace {

// Blocks of Han characters as Hugging Face's normalizer has them, which begins one block 256
// characters late.
constexpr CharacterRange kHan[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                                   {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};

bool IsHan(char32_t c) {
  return c >= kHan[0].first && std::any_of(std::begin(kHan), std::end(kHan), [c](const auto& r) {
           return c >= r.first && c <= r.last;
         });
}

bool IsWordOfItsOwn(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7F && !isalnum(static_cast<int>(c));
  return IsPunctuation(c);
}

bool IsLeftOut(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  return c == 0xFFFD || IsOther(c);
}

// Without control characters, Han characters apart.
std::string Clean(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    if (IsHan(step.code_point)) {
      out.append(1, ' ').append(text.substr(0, step.bytes)).append(1, ' ');
    } else if (!IsLeftOut(step.code_point)) {
      out += text.substr(0, step.bytes);
    }
    text.remove_prefix(step.bytes);
  }
  return out;
}

absl::StatusOr<bool> Spell(Token, std::string_view text, TokenType type, std::string* bytes) {
  if (type == TokenType::kNormal) {
    AppendSpaced(text, bytes);
  } else {
    *bytes += text;
  }
  return true;
}

class WordPieceTokenizer final : public TableTokenizer {
 public:
  absl::Status Build(const Vocabulary& vocabulary, bool lowers, bool strips_accents);
  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override;
  bool adds_space() const override { return true; }

 private:
  void EncodePlain(std::string_view text, std::vector<Token>* out) const;
  void EncodeWord(std::string* spaced, std::vector<Token>* out) const;
  Token LongestAt(std::string_view word, size_t at, size_t* bytes) const;

  bool lowers_ = true;
  bool strips_accents_ = true;
  Token unknown_ = -1;
  size_t longest_ = 0;  // bytes of the longest normal token
};

absl::Status WordPieceTokenizer::Build(const Vocabulary& vocabulary, bool lowers,
                                       bool strips_accents) {
  RETURN_IF_ERROR(table_.Build(vocabulary, TokenType::kUnused, Spell));
  lowers_ = lowers;
  strips_accents_ = strips_accents;
  unknown_ = vocabulary.unknown;
  for (Token token = 0; token < n_vocab(); ++token) {
    const size_t bytes = table_.Text(token).size();
    if (table_.IsPlain(token)) {
      if (bytes > kScoredTokenBytesMax) {
        return InvalidArgument(At(kTokensKey, token) + " has " + std::to_string(bytes) +
                               " bytes, expected at most " + std::to_string(kScoredTokenBytesMax));
      }
      longest_ = std::max(longest_, bytes);
    }
  }
  if (unknown_ < 0) {
    return InvalidArgument(std::string(kTokensKey) +
                           " has no unknown token: neither tokenizer.ggml.unknown_token_id nor "
                           "[UNK] is there");
  }
  return absl::OkStatus();
}

// The longest token at `at`, and its bytes; -1: none. `word` begins with a space, which is no
// token alone.
Token WordPieceTokenizer::LongestAt(std::string_view word, size_t at, size_t* bytes) const {
  for (size_t end = std::min(word.size(), at + longest_); end > std::max<size_t>(at, 1); --end) {
    const bool inside = end < word.size() && (static_cast<uint8_t>(word[end]) & 0xC0) == 0x80;
    if (inside) continue;
    const Token token = table_.FindPlain(word.substr(at, end - at));
    if (token < 0) continue;
    *bytes = end - at;
    return token;
  }
  return -1;
}

// Takes the word that stands behind a space, and leaves the space.
void WordPieceTokenizer::EncodeWord(std::string* spaced, std::vector<Token>* out) const {
  const std::string_view word = *spaced;
  const size_t before = out->size();
  bool known = CountCodePoints(word) <= kWordCharactersMax + 1;
  for (size_t at = 0; known && word.size() > 1 && at < word.size();) {
    size_t bytes = 0;
    const Token token = LongestAt(word, at, &bytes);
    known = token >= 0;
    out->push_back(token);
    at += bytes;
  }
  if (!known) {
    out->resize(before);
    out->push_back(unknown_);
  }
  spaced->resize(1);
}

// Text between special tokens.
void WordPieceTokenizer::EncodePlain(std::string_view text, std::vector<Token>* out) const {
  std::string clean = Clean(text);
  if (strips_accents_) {
    std::string decomposed;
    AppendNfd(clean, &decomposed);
    clean = std::move(decomposed);
  }
  std::string word = " ";
  for (std::string_view rest = clean; !rest.empty();) {
    const Utf8Step step = NextUtf8(rest);
    const char32_t c = step.code_point;
    rest.remove_prefix(step.bytes);
    if (strips_accents_ && IsMark(c)) continue;
    const bool alone = IsWordOfItsOwn(c);
    if (alone || IsWhiteSpace(c)) EncodeWord(&word, out);
    if (IsWhiteSpace(c)) continue;
    AppendUtf8(lowers_ ? ToLower(c) : c, &word);
    if (lowers_ && c == 0x130) word.replace(word.size() - 2, 2, "i\u0307");  // two characters
    if (alone) EncodeWord(&word, out);
  }
  EncodeWord(&word, out);
}

absl::StatusOr<std::vector<Token>> WordPieceTokenizer::Encode(
    const std::vector<TextPiece>& pieces) const {
  ASSIGN_OR_RETURN(const JoinedText joined, Join(pieces));
  std::vector<Token> out;
  const SpecialTokens none({});
  const auto visit = [&](std::string_view plain, Token special) {
    EncodePlain(plain, &out);
    if (special >= 0) out.push_back(special);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(CutAtSpecials(joined, table_.specials(), none, visit));
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeWordPieceTokenizer(const Vocabulary& vocabulary,
                                                                  bool lowers,
                                                                  bool strips_accents) {
  auto tokenizer = std::make_unique<WordPieceTokenizer>();
  RETURN_IF_ERROR(tokenizer->Build(vocabulary, lowers, strips_accents));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace mortar
