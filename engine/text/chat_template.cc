#include "engine/text/chat_template.h"

#include <utility>

#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/expression_parser.h"
#include "engine/text/jinja/json_reader.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr char kContext[] = "chat template";

absl::Status CheckUtf8(const std::string& text, const std::string& what) {
  const auto at = FindInvalidUtf8(text);
  if (!at) return absl::OkStatus();
  return InvalidArgument(what + " is not valid UTF-8 at byte " + std::to_string(*at));
}

std::tm LocalTime() {
  const std::time_t seconds = std::time(nullptr);
  std::tm now{};
  localtime_r(&seconds, &now);
  return now;
}

// Hugging Face passes tools and documents as None when there are none, and a token that the model
// does not have not at all.
absl::StatusOr<jinja::Variables> CommonVariables(bool add_generation_prompt, const std::string& bos,
                                                 const std::string& eos) {
  RETURN_IF_ERROR(CheckUtf8(bos, "the text of the bos token"));
  RETURN_IF_ERROR(CheckUtf8(eos, "the text of the eos token"));
  jinja::Variables variables;
  variables["add_generation_prompt"] = add_generation_prompt;
  variables["tools"] = jinja::Value();
  variables["documents"] = jinja::Value();
  if (!bos.empty()) variables["bos_token"] = jinja::Text(bos, true);
  if (!eos.empty()) variables["eos_token"] = jinja::Text(eos, true);
  return variables;
}

absl::Status AddLists(const ChatRequest& request, jinja::Variables* variables) {
  const std::pair<const char*, const std::string*> lists[] = {{"messages", &request.messages},
                                                              {"tools", &request.tools},
                                                              {"documents", &request.documents}};
  for (const auto& [name, json] : lists) {
    if (json->empty()) continue;
    absl::StatusOr<jinja::Value> value = jinja::ReadJson(*json);
    if (!value.ok()) return WithContext(value.status(), name);
    const bool nothing = value->is_none() && json != &request.messages;
    if (value->list() == nullptr && !nothing) {
      return InvalidArgument(std::string(name) + ": expected a list, got a " +
                             jinja::KindName(*value));
    }
    (*variables)[name] = *std::move(value);
  }
  return absl::OkStatus();
}

absl::Status AddVariables(const std::string& json, jinja::Variables* variables) {
  if (json.empty()) return absl::OkStatus();
  absl::StatusOr<jinja::Value> value = jinja::ReadJson(json);
  if (!value.ok()) return WithContext(value.status(), "variables");
  if (value->dict() == nullptr) {
    return InvalidArgument("variables: expected an object, got a " + jinja::KindName(*value));
  }
  for (const auto& [key, variable] : *value->dict()) {
    const std::string& name = key.bytes();
    const bool taken = variables->count(name) > 0 || name == "messages" || name == "bos_token" ||
                       name == "eos_token" || !jinja::ReservedName(name).empty();
    if (taken) return InvalidArgument("variables: '" + name + "' cannot be set");
    (*variables)[name] = variable;
  }
  return absl::OkStatus();
}

class ParsedTemplate final : public ChatTemplate {
 public:
  explicit ParsedTemplate(jinja::Body body) : body_(std::move(body)) {}

  absl::StatusOr<std::vector<TextPiece>> Render(const ChatRequest& request) const override;
  absl::StatusOr<std::vector<TextPiece>> Render(const std::vector<ChatMessage>& messages,
                                                bool add_generation_prompt, const std::string& bos,
                                                const std::string& eos) const override;

 private:
  absl::StatusOr<std::vector<TextPiece>> RenderOver(jinja::Variables variables,
                                                    const std::tm& now) const;

  const jinja::Body body_;
};

absl::StatusOr<std::vector<TextPiece>> ParsedTemplate::Render(const ChatRequest& request) const {
  ASSIGN_OR_RETURN(jinja::Variables variables,
                   CommonVariables(request.add_generation_prompt, request.bos, request.eos));
  RETURN_IF_ERROR(AddLists(request, &variables));
  RETURN_IF_ERROR(AddVariables(request.variables, &variables));
  return RenderOver(std::move(variables), request.now.has_value() ? *request.now : LocalTime());
}

absl::StatusOr<std::vector<TextPiece>> ParsedTemplate::Render(
    const std::vector<ChatMessage>& messages, bool add_generation_prompt, const std::string& bos,
    const std::string& eos) const {
  jinja::List list;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string name = "message " + std::to_string(i);
    RETURN_IF_ERROR(CheckUtf8(messages[i].role, "the role of " + name));
    RETURN_IF_ERROR(CheckUtf8(messages[i].content, "the content of " + name));
    list.push_back(jinja::Dict{jinja::Entry("role", jinja::Text(messages[i].role, false)),
                               jinja::Entry("content", jinja::Text(messages[i].content, false))});
  }
  ASSIGN_OR_RETURN(jinja::Variables variables, CommonVariables(add_generation_prompt, bos, eos));
  variables["messages"] = std::move(list);
  return RenderOver(std::move(variables), LocalTime());
}

absl::StatusOr<std::vector<TextPiece>> ParsedTemplate::RenderOver(jinja::Variables variables,
                                                                  const std::tm& now) const {
  absl::StatusOr<jinja::Text> text = jinja::Evaluate(body_, std::move(variables), now);
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
