// From text to token ids and back, with the vocabulary that a GGUF file carries.
//
// Byte-level BPE: text is cut by the model's pre-tokenizer pattern, each piece is spelled in
// bytes, and pairs are merged by rank. Sources: Sennrich et al. 2016 (BPE); Radford et al.
// 2019 (byte alphabet of GPT-2).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

using Token = int32_t;

// A stretch of text. Where `trusted` is false, what looks like a special token is plain text:
// user content can never forge a turn of the conversation.
struct TextPiece {
  std::string text;
  bool trusted = false;
};

// Thread-safe after construction.
class Tokenizer {
 public:
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromGguf(const GgufFile& file);
  virtual ~Tokenizer() = default;

  // Tokens of the joined pieces; no bos is added. Special tokens are found in trusted stretches
  // alone: the leftmost, and the longest where several begin. Plain text runs over the borders
  // of pieces, so what is equal text gives equal tokens however it is cut. A byte for which the
  // vocabulary has no token is left out, as the library that trained it does (SmolLM2 lacks
  // U+0004 and a few other control characters).
  // InvalidArgument, with the byte offset in the joined text, when that is not valid UTF-8;
  // ResourceExhausted above 64 MiB. O(n log n) in the longest piece, linear in the text.
  virtual absl::StatusOr<std::vector<Token>> Encode(const std::vector<TextPiece>& pieces) const = 0;

  virtual int n_vocab() const = 0;
  // The bytes that a token stands for: they live as long as the tokenizer. Control, unknown and
  // unused tokens stand for none unless `special`; neither does an id out of range.
  virtual std::string_view Bytes(Token token, bool special = false) const = 0;
  // The file's eos, and control tokens whose text is a known end (<|im_end|>, <|eot_id|>, ...).
  virtual bool IsEndOfGeneration(Token token) const = 0;
  virtual Token bos() const = 0;      // -1 when the model has none
  virtual Token eos() const = 0;      // -1 when the model has none
  virtual bool adds_bos() const = 0;  // whether a prompt begins with bos() (the caller adds it)
};

// Tokens arrive one at a time; whole UTF-8 characters leave. Bytes that can never become a
// character are replaced by U+FFFD.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string Push(Token token);  // the characters that this token completes
  std::string Finish();           // what is left, an incomplete character as U+FFFD

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace mortar
