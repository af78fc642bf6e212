// The chat template of a model: its own Jinja text, parsed once, rendered per request.
//
// What the template's author wrote is trusted (special tokens in it are tokens); what a
// message brought in is not. Constructs outside the supported set are refused by name when
// the template is parsed. Rendering is bounded in steps and output bytes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/text/tokenizer.h"

namespace mortar {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  static absl::StatusOr<std::unique_ptr<ChatTemplate>> Parse(const std::string& source);
  virtual ~ChatTemplate() = default;

  // `bos` and `eos` are the texts of these tokens, as templates name them.
  virtual absl::StatusOr<std::vector<TextPiece>> Render(const std::vector<ChatMessage>& messages,
                                                        bool add_generation_prompt,
                                                        const std::string& bos,
                                                        const std::string& eos) const = 0;
};

}  // namespace mortar
