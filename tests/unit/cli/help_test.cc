// Goal: help and completion cannot fall behind the flag table.
#include "cli/help.h"

#include <gtest/gtest.h>

#include <sstream>

namespace mortar {
namespace {

TEST(Help, EveryCommandListsItsFlagsAndAnExample) {
  for (const CommandSpec& command : Commands()) {
    const std::string help = CommandHelp(command);
    EXPECT_NE(help.find("Examples:\n  "), std::string::npos) << command.name;
    for (const FlagSpec& flag : Flags()) {
      const std::string dashes = flag.type == FlagType::kBool ? "--[no-]" : "--";
      const bool listed = help.find(dashes + std::string(flag.name) + " ") != std::string::npos ||
                          help.find(dashes + std::string(flag.name) + "\n") != std::string::npos;
      EXPECT_EQ(listed, FindFlag(flag.name, command.command) != nullptr)
          << command.name << " --" << flag.name;
    }
    EXPECT_NE(ProgramHelp().find("  " + std::string(command.name) + " "), std::string::npos);
  }
}

TEST(Help, LinesFitATerminal) {
  for (const CommandSpec& command : Commands()) {
    std::istringstream lines(CommandHelp(command));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 120u) << line;
  }
}

TEST(Completion, EveryShellKnowsEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = CompletionScript(shell);
    for (const CommandSpec& command : Commands()) {
      EXPECT_NE(script.find(command.name), std::string::npos) << shell << " " << command.name;
    }
    EXPECT_NE(script.find("ctx-size"), std::string::npos) << shell;
  }
}

}  // namespace
}  // namespace mortar
