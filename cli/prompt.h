// The text that a command works on: -p, -f or standard input.
#pragma once

#include <string>

#include "cli/settings.h"
#include "common/status.h"

namespace mortar {

struct PromptText {
  std::string text;  // valid UTF-8, not empty
  std::string name;  // for error messages: "prompt", a file's name, "standard input"
};

// Of -p and -f the one from the stronger source counts (command line, environment, file); both on
// the command line are a UsageError. With neither, standard input is read unless it is a
// terminal. InvalidArgument when the text is empty or not UTF-8, with the offset.
absl::StatusOr<PromptText> ReadPrompt(const Settings& settings);

}  // namespace mortar
