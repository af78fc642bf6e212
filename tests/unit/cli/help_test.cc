// Goal: help, completion and docs/cli.md cannot fall behind the flag table.
#include "cli/help.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
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

TEST(Completion, BashReadsItsScript) {
  std::FILE* bash = popen("bash -n", "w");
  ASSERT_NE(bash, nullptr);
  const std::string script = CompletionScript("bash");
  EXPECT_EQ(std::fwrite(script.data(), 1, script.size(), bash), script.size());
  EXPECT_EQ(pclose(bash), 0);
}

TEST(Completion, EveryQuoteOfTheFishScriptIsClosedOnItsLine) {
  std::istringstream lines(CompletionScript("fish"));
  for (std::string line; std::getline(lines, line);) {
    bool quoted = false;
    bool spaced = true;  // a quote opens only where a word begins
    for (size_t i = 0; i < line.size(); ++i) {
      if (quoted && line[i] == '\\') {
        ++i;
      } else if (line[i] == '\'') {
        EXPECT_TRUE(quoted || spaced) << line;
        quoted = !quoted;
      }
      spaced = line[i] == ' ';
    }
    EXPECT_FALSE(quoted) << line;
  }
}

TEST(Docs, TheTableOfFlagsInDocsIsTheProgramsOwn) {
  std::ifstream file(MORTAR_SOURCE_DIR "/docs/cli.md");
  ASSERT_TRUE(file.good()) << "docs/cli.md is missing";
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(FlagsAsMarkdown()), std::string::npos)
      << "docs/cli.md does not hold what `mortar help --markdown` prints; put it there";
  for (const CommandSpec& command : Commands()) {
    EXPECT_NE(text.str().find("mortar " + std::string(command.name)), std::string::npos)
        << "docs/cli.md does not speak of " << command.name;
  }
}

}  // namespace
}  // namespace mortar
