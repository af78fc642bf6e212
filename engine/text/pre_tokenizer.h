// Cuts text into the pieces inside which byte-level BPE merges. The patterns belong to the
// model: other cuts give other tokens.
//
// PCRE2 has its home in pre_tokenizer.cc. White space in the patterns is the White_Space
// property, written out, because PCRE2's \s also takes U+180E.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace mortar {

// Thread-safe after construction.
class PreTokenizer {
 public:
  // By the value of the GGUF key tokenizer.ggml.pre: "smollm", "gpt-2", "llama-bpe", "qwen2", ...
  // Unimplemented, with the list of those known, for any other.
  static absl::StatusOr<std::unique_ptr<PreTokenizer>> Make(const std::string& name);
  // The name for Make() of what cuts by these patterns, one after another, as Hugging Face's
  // tokenizer.json writes them. Unimplemented, with the patterns and the list of names, for none.
  static absl::StatusOr<std::string> NameOf(const std::vector<std::string>& patterns, bool composes,
                                            bool takes_whole_tokens);
  virtual ~PreTokenizer() = default;

  // Appends the pieces of `text`, in order; together they are the whole text. Needs: valid
  // UTF-8. ResourceExhausted when a search takes more than kPatternStepsMax. Linear time.
  virtual absl::Status Split(std::string_view text,
                             std::vector<std::string_view>* pieces) const = 0;

  // Whether a text is brought into Unicode's normal form C before it is cut.
  virtual bool composes() const = 0;
  // Whether a piece that is a token as a whole is taken without merging.
  virtual bool takes_whole_tokens() const = 0;
};

}  // namespace mortar
