// The command line as texts: which command, and what was given for each flag. Home of CLI11.
//
// CLI11 splits arguments and finds unknown ones. Types, bounds and defaults are the flag table's,
// so that a value means the same wherever it came from.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/flags.h"
#include "common/status.h"

namespace mortar {

struct CommandLine {
  Command command = kVersion;
  bool help = false;  // --help was given: `given` may be incomplete
  std::map<std::string, std::vector<std::string>, std::less<>> given;  // by FlagSpec::name
};

// `arguments` without the program's name; the first is the command. InvalidArgument for an unknown
// command or flag, a flag without its value, or a stray argument.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments);

}  // namespace mortar
