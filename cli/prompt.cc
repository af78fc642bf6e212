#include "cli/prompt.h"

#include <unistd.h>

#include "cli/console.h"
#include "cli/text_input.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

absl::StatusOr<PromptText> FromStandardInput() {
  ASSIGN_OR_RETURN(std::string text, ReadStandardInput(kTextBytesMax));
  return PromptText{std::move(text), "standard input"};
}

absl::StatusOr<PromptText> Read(const Settings& settings) {
  // perplexity and compare know -f alone.
  const bool prompt = settings.Has("prompt");
  const bool file = settings.Has("file");
  if (prompt && file && settings.Source("prompt") == settings.Source("file")) {
    return UsageError("both -p and -f were given; give one of them");
  }
  if (prompt && (!file || settings.Source("prompt") > settings.Source("file"))) {
    const std::string& text = settings.String("prompt");
    if (text == "-") return FromStandardInput();
    return PromptText{text, "prompt"};
  }
  if (file) {
    const std::string& path = settings.String("file");
    if (path == "-") return FromStandardInput();
    ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path, kTextBytesMax));
    return PromptText{std::move(text), path};
  }
  if (isatty(STDIN_FILENO) == 1) {
    return UsageError("no text; give it with -p TEXT, -f FILE, or on standard input");
  }
  return FromStandardInput();
}

}  // namespace

absl::StatusOr<PromptText> ReadPrompt(const Settings& settings) {
  ASSIGN_OR_RETURN(PromptText prompt, Read(settings));
  if (prompt.text.empty()) {
    return InvalidArgument(prompt.name + ": the text is empty; give at least one character");
  }
  if (const auto offset = FindInvalidUtf8(prompt.text)) {
    return InvalidArgument(prompt.name + ": byte " + std::to_string(*offset) +
                           " is not valid UTF-8; convert the text to UTF-8");
  }
  return prompt;
}

}  // namespace mortar
