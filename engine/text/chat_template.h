// The chat template of a model: its own Jinja text, parsed once, rendered per request.
//
// What the template's author wrote is trusted (special tokens in it are tokens); what a
// message brought in is not. Constructs outside the supported set are refused by name when
// the template is parsed. Rendering is bounded in steps and output bytes.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/text/tokenizer.h"

namespace mortar {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// What a request can bring to a template beyond texts, each as JSON; an empty one is left out.
struct ChatRequest {
  std::string messages;   // a list of objects; content may be a list of parts, tool_calls be there
  std::string tools;      // a list of function descriptions as JSON schema
  std::string documents;  // a list of objects
  std::string variables;  // an object of further variables, such as {"enable_thinking": false}
  bool add_generation_prompt = true;
  // Texts of these tokens, as templates name them; empty: the model has none.
  std::string bos;
  std::string eos;
  std::optional<std::tm> now;  // local time; nothing: that of the rendering
};

class ChatTemplate {
 public:
  static absl::StatusOr<std::unique_ptr<ChatTemplate>> Parse(const std::string& source);
  virtual ~ChatTemplate() = default;

  // Every text of the request is untrusted, but for bos and eos. InvalidArgument for a request
  // that is not as described, or that sets a variable which the template has already; and the
  // errors of the template itself, raise_exception included, with line and column.
  virtual absl::StatusOr<std::vector<TextPiece>> Render(const ChatRequest& request) const = 0;

  // The same for messages of a role and a text.
  virtual absl::StatusOr<std::vector<TextPiece>> Render(const std::vector<ChatMessage>& messages,
                                                        bool add_generation_prompt,
                                                        const std::string& bos,
                                                        const std::string& eos) const = 0;
};

}  // namespace mortar
