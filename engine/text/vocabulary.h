// What every kind of tokenizer keeps of its vocabulary: the bytes, types and special texts of
// the tokens, checked once when a tokenizer is made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/status.h"
#include "engine/text/special_tokens.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// The numbers of GGUF's key tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// The tables of a vocabulary, viewed while a tokenizer is made from them. How normal tokens are
// spelled depends on the tokenizer; the others stand in plain UTF-8.
struct Vocabulary {
  std::span<const std::string> tokens;  // [n_vocab]; the index is the token
  std::span<const int32_t> types;       // [n_vocab] of TokenType
  std::span<const std::string> merges;  // byte-level BPE: "left right", ascending rank
  std::span<const float> scores;        // [n_vocab] SentencePiece: the higher, the sooner
  std::string pre_tokenizer;            // byte-level BPE: a name that PreTokenizer::Make knows
  Token bos = -1;                       // -1: none
  Token eos = -1;
  Token unknown = -1;
  bool adds_bos = false;
  bool adds_eos = false;
  bool adds_space = false;  // SentencePiece: Encode puts one space in front of plain text
  // SentencePiece: special tokens take the white space behind them, all but <unk>, <s> and
  // <|endoftext|>.
  bool specials_take_space = false;
};

inline constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
inline constexpr char kTypesKey[] = "tokenizer.ggml.token_type";

// "key[index]", for messages.
std::string At(const char* key, size_t index);

// Thread-safe after Build, and does not move: views of its texts live as long as it does.
class TokenTable {
 public:
  // Appends the bytes that the text of a token of the file stands for, and says whether plain
  // text can become the token if it is a normal one.
  using Spell =
      std::function<absl::StatusOr<bool>(Token, std::string_view, TokenType, std::string*)>;

  TokenTable() = default;
  TokenTable(const TokenTable&) = delete;
  TokenTable& operator=(const TokenTable&) = delete;

  // Does: checks sizes, types up to `last_type`, texts and special ids, and builds the indices.
  // Errors: InvalidArgument, naming the GGUF key and the index, for what Vocabulary does not
  // allow, empty and invalid texts, and a text that two plain or two special tokens share.
  absl::Status Build(const Vocabulary& vocabulary, TokenType last_type, const Spell& spell);

  int size() const { return static_cast<int>(types_.size()); }
  TokenType type(Token token) const { return types_[token]; }
  std::string_view Text(Token token) const {
    return std::string_view(arena_).substr(begins_[token], begins_[token + 1] - begins_[token]);
  }
  // Whether the token is normal, and plain text can become it.
  bool IsPlain(Token token) const { return plain_[token]; }
  // The plain token that stands for these bytes; -1: none. Control tokens are never found here:
  // plain text cannot forge one.
  Token FindPlain(std::string_view bytes) const {
    const auto found = plain_tokens_.find(bytes);
    return found == plain_tokens_.end() ? -1 : found->second;
  }
  // All control and user-defined tokens.
  const SpecialTokens& specials() const { return *specials_; }

  // As Tokenizer says of the functions of these names.
  std::string_view Bytes(Token token, bool special) const;
  bool IsEndOfGeneration(Token token) const;
  Token bos() const { return bos_; }
  Token eos() const { return eos_; }
  bool adds_bos() const { return adds_bos_; }
  bool adds_eos() const { return adds_eos_; }

 private:
  // std::string_view is no key that Debian's absl::Hash takes.
  struct TextHash {
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using TokensByText = absl::flat_hash_map<std::string_view, Token, TextHash>;

  absl::Status CheckSizes(const Vocabulary& vocabulary) const;
  absl::Status AddTokens(const Vocabulary& vocabulary, TokenType last_type, const Spell& spell);
  absl::Status IndexTokens();
  absl::Status AddSpecialIds(const Vocabulary& vocabulary);

  std::string arena_;             // the bytes of all tokens, one after another
  std::vector<uint32_t> begins_;  // [n_vocab + 1] offsets into arena_
  std::vector<TokenType> types_;  // [n_vocab]
  std::vector<bool> plain_;       // [n_vocab]
  std::vector<bool> ends_;        // [n_vocab] whether the token ends a generation
  TokensByText plain_tokens_;     // by the bytes they stand for
  std::unique_ptr<SpecialTokens> specials_;
  Token bos_ = -1;
  Token eos_ = -1;
  bool adds_bos_ = false;
  bool adds_eos_ = false;
};

// A Tokenizer whose answers about single tokens are those of its table.
class TableTokenizer : public Tokenizer {
 public:
  int n_vocab() const override { return table_.size(); }
  std::string_view Bytes(Token token, bool special) const override {
    return table_.Bytes(token, special);
  }
  bool IsEndOfGeneration(Token token) const override { return table_.IsEndOfGeneration(token); }
  Token bos() const override { return table_.bos(); }
  Token eos() const override { return table_.eos(); }
  bool adds_bos() const override { return table_.adds_bos(); }
  bool adds_eos() const override { return table_.adds_eos(); }

 protected:
  TokenTable table_;
};

}  // namespace mortar
