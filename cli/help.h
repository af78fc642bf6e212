// What --help, docs/cli.md and shell completion say, made from the flag table.
#pragma once

#include <string>
#include <string_view>

#include "cli/flags.h"

namespace mortar {

std::string ProgramHelp();
std::string CommandHelp(const CommandSpec& command);
// The table of flags, variables and keys that stands in docs/cli.md: `mortar help --markdown`.
std::string FlagsAsMarkdown();
// `shell` is bash, zsh or fish.
std::string CompletionScript(std::string_view shell);

}  // namespace mortar
