// From a prompt to the tokens that the model continues.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// The prompt as it stands, after the model's own first token where it has one. What looks like a
// special token is plain text.
absl::StatusOr<std::vector<Token>> RawPromptTokens(const Tokenizer& tokenizer,
                                                   const std::string& prompt);

// A text as a model reads it whole: between its first and its last token, where it has them. In a
// text that is `trusted` special tokens are read as such, and a first one is not added twice.
absl::StatusOr<std::vector<Token>> WholeTextTokens(const Tokenizer& tokenizer,
                                                   const std::string& text, bool trusted);

// The prompt as a user's message in the model's chat template, up to where the answer begins.
// An empty `system` leaves the system message to the template. NotFound when the model has no
// template.
absl::StatusOr<std::vector<Token>> ChatPromptTokens(const GgufFile& file,
                                                    const Tokenizer& tokenizer,
                                                    const std::string& prompt,
                                                    const std::string& system);

}  // namespace mortar
