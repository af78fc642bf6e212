#include "engine/text/chat_template.h"

#include <utility>

#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr char kContext[] = "chat template";

jinja::Value Trusted(const std::string& text) { return jinja::Text(text, true); }
jinja::Value Untrusted(const std::string& text) { return jinja::Text(text, false); }

absl::Status CheckUtf8(const std::string& text, const std::string& what) {
  const auto at = FindInvalidUtf8(text);
  if (!at) return absl::OkStatus();
  return InvalidArgument(what + " is not valid UTF-8 at byte " + std::to_string(*at));
}

class ParsedTemplate final : public ChatTemplate {
 public:
  explicit ParsedTemplate(jinja::Body body) : body_(std::move(body)) {}

  absl::StatusOr<std::vector<TextPiece>> Render(const std::vector<ChatMessage>& messages,
                                                bool add_generation_prompt, const std::string& bos,
                                                const std::string& eos) const override;

 private:
  const jinja::Body body_;
};

absl::StatusOr<std::vector<TextPiece>> ParsedTemplate::Render(
    const std::vector<ChatMessage>& messages, bool add_generation_prompt, const std::string& bos,
    const std::string& eos) const {
  jinja::List list;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string name = "message " + std::to_string(i);
    RETURN_IF_ERROR(CheckUtf8(messages[i].role, "the role of " + name));
    RETURN_IF_ERROR(CheckUtf8(messages[i].content, "the content of " + name));
    list.push_back(jinja::Dict{{"role", Untrusted(messages[i].role)},
                               {"content", Untrusted(messages[i].content)}});
  }
  RETURN_IF_ERROR(CheckUtf8(bos, "the text of the bos token"));
  RETURN_IF_ERROR(CheckUtf8(eos, "the text of the eos token"));
  jinja::Variables variables;
  variables["messages"] = std::move(list);
  variables["add_generation_prompt"] = add_generation_prompt;
  // Hugging Face passes these two as None when there are none, and a token that the model does
  // not have not at all.
  variables["tools"] = jinja::Value();
  variables["documents"] = jinja::Value();
  if (!bos.empty()) variables["bos_token"] = Trusted(bos);
  if (!eos.empty()) variables["eos_token"] = Trusted(eos);

  absl::StatusOr<jinja::Text> text = jinja::Evaluate(body_, std::move(variables));
  if (!text.ok()) return WithContext(text.status(), kContext);
  std::vector<TextPiece> pieces;
  size_t begin = 0;
  for (const jinja::Text::Run& run : text->runs()) {
    pieces.push_back({text->bytes().substr(begin, run.end - begin), run.trusted});
    begin = run.end;
  }
  return pieces;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChatTemplate>> ChatTemplate::Parse(const std::string& source) {
  absl::StatusOr<jinja::Body> body = jinja::ParseTemplate(source);
  if (!body.ok()) return WithContext(body.status(), kContext);
  return std::unique_ptr<ChatTemplate>(new ParsedTemplate(*std::move(body)));
}

}  // namespace mortar
