// Builds the tables of byte-level BPE and encodes with them. All token texts lie in one arena;
// maps hold views of it.
#include "engine/text/bpe_tokenizer.h"

#include <array>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/limits.h"
#include "engine/text/merger.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/special_tokens.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
constexpr char kTypesKey[] = "tokenizer.ggml.token_type";
constexpr char kMergesKey[] = "tokenizer.ggml.merges";

// Control tokens that end a turn or a text in the models of the last years, whatever the file
// names as its eos.
constexpr std::string_view kEndTexts[] = {"<|im_end|>",      "<|endoftext|>", "<|eot_id|>",
                                          "<|end_of_text|>", "<|eom_id|>",    "<|end|>",
                                          "<end_of_turn>",   "</s>",          "<|eot|>"};

// std::string_view is no key that Debian's absl::Hash takes.
struct TextHash {
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using TokensByText = absl::flat_hash_map<std::string_view, Token, TextHash>;

std::string At(const char* key, size_t index) {
  return std::string(key) + "[" + std::to_string(index) + "]";
}

class BpeTokenizer final : public Tokenizer {
 public:
  absl::Status Build(const Vocabulary& vocabulary);

  absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const override;
  int n_vocab() const override { return static_cast<int>(types_.size()); }
  std::string_view Bytes(Token token, bool special) const override;
  bool IsEndOfGeneration(Token token) const override;
  Token bos() const override { return bos_; }
  Token eos() const override { return eos_; }
  bool adds_bos() const override { return adds_bos_; }

 private:
  absl::Status AddTokens(const Vocabulary& vocabulary);
  absl::Status IndexTokens();
  absl::Status AddMerges(std::span<const std::string> merges);
  absl::Status AddSpecialIds(const Vocabulary& vocabulary);
  absl::StatusOr<Token> FindSpelled(std::string_view spelled, size_t merge_index) const;
  absl::Status EncodePlain(std::string_view text, Merger::Scratch* scratch,
                           std::vector<Token>* out) const;

  std::string_view Text(Token token) const {
    return std::string_view(arena_).substr(begins_[token], begins_[token + 1] - begins_[token]);
  }
  bool IsSpecial(Token token) const {
    return types_[token] == TokenType::kControl || types_[token] == TokenType::kUserDefined;
  }

  std::string arena_;                     // the bytes of all tokens, one after another
  std::vector<uint32_t> begins_;          // [n_vocab + 1] offsets into arena_
  std::vector<TokenType> types_;          // [n_vocab]
  TokensByText plain_;                    // normal tokens by the bytes they stand for
  std::array<Token, 256> byte_tokens_{};  // -1: the vocabulary has none for this byte
  std::vector<bool> ends_;                // [n_vocab] whether the token ends a generation
  std::unique_ptr<SpecialTokens> specials_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  Merger merger_;
  Token bos_ = -1;
  Token eos_ = -1;
  bool adds_bos_ = false;
};

absl::Status BpeTokenizer::Build(const Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(pre_tokenizer_, PreTokenizer::Make(vocabulary.pre_tokenizer));
  RETURN_IF_ERROR(AddTokens(vocabulary));
  RETURN_IF_ERROR(IndexTokens());
  RETURN_IF_ERROR(AddMerges(vocabulary.merges));
  return AddSpecialIds(vocabulary);
}

// Fills arena_, begins_ and types_. A normal token with characters outside the byte alphabet
// stands for its own text and is no target of merges, as in Hugging Face's tokenizers.
absl::Status BpeTokenizer::AddTokens(const Vocabulary& vocabulary) {
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
  arena_.reserve(bytes);
  begins_.reserve(n + 1);
  begins_.push_back(0);
  for (size_t i = 0; i < n; ++i) {
    const int32_t type = vocabulary.types[i];
    if (type < static_cast<int32_t>(TokenType::kNormal) ||
        type > static_cast<int32_t>(TokenType::kUnused)) {
      return InvalidArgument(At(kTypesKey, i) + " is " + std::to_string(type) +
                             ", expected 1 (normal) to 5 (unused)");
    }
    types_.push_back(static_cast<TokenType>(type));
    const std::string& text = vocabulary.tokens[i];
    if (text.empty()) return InvalidArgument(At(kTokensKey, i) + " is empty");
    if (FindInvalidUtf8(text)) return InvalidArgument(At(kTokensKey, i) + " is not valid UTF-8");
    if (types_[i] != TokenType::kNormal || !DecodeByteAlphabet(text, &arena_)) arena_ += text;
    begins_.push_back(static_cast<uint32_t>(arena_.size()));
  }
  return absl::OkStatus();
}

// Fills plain_, byte_tokens_, specials_ and ends_. The arena does not move any more.
absl::Status BpeTokenizer::IndexTokens() {
  const int n = n_vocab();
  plain_.reserve(n);
  byte_tokens_.fill(-1);
  ends_.assign(n, false);
  TokensByText special_texts;
  std::vector<SpecialTokens::Entry> specials;
  for (Token token = 0; token < n; ++token) {
    const std::string_view text = Text(token);
    if (types_[token] == TokenType::kNormal) {
      const auto [first, added] = plain_.emplace(text, token);
      if (!added) {
        return InvalidArgument(At(kTokensKey, token) + " repeats token " +
                               std::to_string(first->second));
      }
      if (text.size() == 1) byte_tokens_[static_cast<uint8_t>(text[0])] = token;
    } else if (IsSpecial(token)) {
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

absl::StatusOr<Token> BpeTokenizer::FindSpelled(std::string_view spelled,
                                                size_t merge_index) const {
  std::string bytes;
  if (DecodeByteAlphabet(spelled, &bytes)) {
    const auto found = plain_.find(bytes);
    if (found != plain_.end()) return found->second;
  }
  // Normal tokens alone are in plain_: a merge into a control token would let plain text forge
  // one.
  return InvalidArgument(At(kMergesKey, merge_index) + " names \"" +
                         std::string(spelled.substr(0, 100)) + "\", which is no normal token of " +
                         kTokensKey);
}

absl::Status BpeTokenizer::AddMerges(std::span<const std::string> merges) {
  merger_.Reserve(merges.size());
  std::string joined;
  Token expected = 0;  // trainers number tokens as they make them: the next result, mostly
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string& merge = merges[i];
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos) {
      return InvalidArgument(At(kMergesKey, i) + " is \"" + merge.substr(0, 100) +
                             "\", expected two tokens and one space between them");
    }
    const std::string_view view = merge;
    ASSIGN_OR_RETURN(const Token left, FindSpelled(view.substr(0, space), i));
    ASSIGN_OR_RETURN(const Token right, FindSpelled(view.substr(space + 1), i));
    joined.assign(Text(left)).append(Text(right));
    Token result = expected;
    if (expected >= n_vocab() || types_[expected] != TokenType::kNormal ||
        Text(expected) != joined) {
      const auto found = plain_.find(joined);
      if (found == plain_.end()) {
        return InvalidArgument(At(kMergesKey, i) + " \"" + merge.substr(0, 100) +
                               "\" makes what is no normal token of " + kTokensKey);
      }
      result = found->second;
    }
    expected = result + 1;
    if (!merger_.Add(left, right, static_cast<uint32_t>(i), result)) {
      return InvalidArgument(At(kMergesKey, i) + " \"" + merge.substr(0, 100) +
                             "\" repeats an earlier merge");
    }
  }
  return absl::OkStatus();
}

absl::Status BpeTokenizer::AddSpecialIds(const Vocabulary& vocabulary) {
  const auto check = [this](const char* key, Token token) -> absl::Status {
    if (token >= -1 && token < n_vocab()) return absl::OkStatus();
    return InvalidArgument(std::string(key) + " is " + std::to_string(token) +
                           ", expected less than the " + std::to_string(n_vocab()) + " of " +
                           kTokensKey);
  };
  RETURN_IF_ERROR(check("tokenizer.ggml.bos_token_id", vocabulary.bos));
  RETURN_IF_ERROR(check("tokenizer.ggml.eos_token_id", vocabulary.eos));
  if (vocabulary.adds_bos && vocabulary.bos < 0) {
    return InvalidArgument(
        "tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is absent");
  }
  bos_ = vocabulary.bos;
  eos_ = vocabulary.eos;
  adds_bos_ = vocabulary.adds_bos;
  if (eos_ >= 0) ends_[eos_] = true;
  return absl::OkStatus();
}

std::string_view BpeTokenizer::Bytes(Token token, bool special) const {
  if (token < 0 || token >= n_vocab()) return {};
  const TokenType type = types_[token];
  const bool shown = type == TokenType::kNormal || type == TokenType::kUserDefined;
  return shown || special ? Text(token) : std::string_view();
}

bool BpeTokenizer::IsEndOfGeneration(Token token) const {
  return token >= 0 && token < n_vocab() && ends_[token];
}

// Text without special tokens, or in which they are plain.
absl::Status BpeTokenizer::EncodePlain(std::string_view text, Merger::Scratch* scratch,
                                       std::vector<Token>* out) const {
  std::vector<std::string_view> pieces;
  RETURN_IF_ERROR(pre_tokenizer_->Split(text, &pieces));
  std::vector<Token> spelled;
  for (const std::string_view piece : pieces) {
    if (pre_tokenizer_->takes_whole_tokens()) {
      if (const auto whole = plain_.find(piece); whole != plain_.end()) {
        out->push_back(whole->second);
        continue;
      }
    }
    spelled.clear();
    for (const char c : piece) {
      const Token token = byte_tokens_[static_cast<uint8_t>(c)];
      if (token >= 0) spelled.push_back(token);
    }
    merger_.Merge(spelled, scratch, out);
  }
  return absl::OkStatus();
}

// Pieces are joined first: the model's author cut the whole text, so merges cross the border
// between a template's text and a message's. Special tokens are looked for in each stretch of
// trusted text alone.
absl::StatusOr<std::vector<Token>> BpeTokenizer::Encode(
    const std::vector<TextPiece>& pieces) const {
  size_t bytes = 0;
  for (const TextPiece& piece : pieces) {
    if (piece.text.size() > kEncodeBytesMax - bytes) {
      return ResourceExhausted("a text to encode has more than " + std::to_string(kEncodeBytesMax) +
                               " bytes");
    }
    bytes += piece.text.size();
  }
  std::string text;
  text.reserve(bytes);
  std::vector<std::pair<size_t, size_t>> trusted;  // maximal stretches, [begin, end)
  for (const TextPiece& piece : pieces) {
    if (piece.trusted && !piece.text.empty()) {
      if (trusted.empty() || trusted.back().second != text.size()) {
        trusted.push_back({text.size(), text.size()});
      }
      trusted.back().second += piece.text.size();
    }
    text += piece.text;
  }
  if (const auto at = FindInvalidUtf8(text)) {
    return InvalidArgument("the text is not valid UTF-8 at byte " + std::to_string(*at));
  }
  const std::string_view view = text;
  std::vector<Token> out;
  Merger::Scratch scratch;
  size_t done = 0;
  for (const auto& [begin, end] : trusted) {
    const std::string_view stretch = view.substr(0, end);
    for (size_t from = begin;;) {
      const SpecialTokens::Found found = specials_->Find(stretch, from);
      if (found.bytes == 0) break;
      RETURN_IF_ERROR(EncodePlain(view.substr(done, found.at - done), &scratch, &out));
      out.push_back(found.token);
      done = from = found.at + found.bytes;
    }
  }
  RETURN_IF_ERROR(EncodePlain(view.substr(done), &scratch, &out));
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeBpeTokenizer(const Vocabulary& vocabulary) {
  auto tokenizer = std::make_unique<BpeTokenizer>();
  RETURN_IF_ERROR(tokenizer->Build(vocabulary));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace mortar
