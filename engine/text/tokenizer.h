// From text to token ids and back, with the vocabulary that a GGUF file carries.
//
// One interface, one file pair for each kind: bpe_tokenizer.h (GGUF's model "gpt2"),
// sentencepiece_tokenizer.h ("llama"), wordpiece_tokenizer.h ("bert") and unigram_tokenizer.h
// ("t5").
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

  // Tokens of the joined pieces; no bos or eos is added. Special tokens are found in trusted
  // stretches alone: the leftmost, and the longest where several begin. Plain text runs over the
  // borders of pieces, so what is equal text gives equal tokens however it is cut. What the
  // vocabulary has no token for becomes its unknown token; in byte-level BPE such a byte is left
  // out, as the library that trained it does (SmolLM2 lacks U+0004 and a few other control
  // characters). InvalidArgument, with the byte offset in the joined text, when that is not valid
  // UTF-8; ResourceExhausted above 64 MiB. O(n log n) in the longest piece, linear in the text.
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
  // Whether a whole text ends with eos() (the caller adds it). A prompt to be continued does not.
  virtual bool adds_eos() const { return false; }
  // Whether Encode puts one space in front of plain text that begins a text or follows a special
  // token: then a whole text begins with a space that is not its own.
  virtual bool adds_space() const { return false; }
};

// Tokens arrive one at a time; whole UTF-8 characters leave. Bytes that can never become a
// character are replaced by U+FFFD.
class Detokenizer {
 public:
  enum class From {
    kMiddle,     // the tokens go on with a text, as a model's answer does
    kBeginning,  // the tokens are a whole text: the space that Encode added is taken off
  };
  explicit Detokenizer(const Tokenizer& tokenizer, From from = From::kMiddle)
      : tokenizer_(tokenizer), drops_space_(from == From::kBeginning && tokenizer.adds_space()) {}
  std::string Push(Token token);  // the characters that this token completes
  std::string Finish();           // what is left, an incomplete character as U+FFFD

 private:
  const Tokenizer& tokenizer_;
  bool drops_space_;  // until the first byte
  std::string pending_;
};

}  // namespace mortar
