// The steps of Hugging Face's normalisers and pre-tokenizers that rewrite a text.
// Source: the normalizers of huggingface/tokenizers.
#pragma once

#include <string>
#include <string_view>

namespace mortar {

struct TextStep {
  // Appends what `text` becomes, and says whether that has at most `bytes_max` bytes; when not, it
  // has stopped soon behind them. `arguments` are n_arguments texts. Valid UTF-8 stays such.
  using Apply = bool (*)(std::string_view text, const std::string* arguments, size_t bytes_max,
                         std::string* out);

  std::string_view name;
  size_t n_arguments;
  Apply apply;  // null: by the vocabulary's charsmap
};

const TextStep* FindTextStep(std::string_view name);  // null: there is none
std::string TextStepNames();                          // for messages

}  // namespace mortar
