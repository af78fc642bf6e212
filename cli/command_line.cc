#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace mortar {
namespace {

// "-c,--ctx-size,--context", as CLI11 names options. Short names of more than one letter are not
// CLI11's (see ExpandLongShorts). A truth value is also had in the negative.
std::string OptionNames(const FlagSpec& flag, bool positional) {
  std::string names = "--" + std::string(flag.name);
  for (const std::string& alias : SplitCommas(flag.aliases)) names += ",--" + alias;
  for (const std::string& letter : SplitCommas(flag.shorts)) {
    if (letter.size() == 1) names += ",-" + letter;
  }
  if (flag.type == FlagType::kBool) names += ",!--no-" + std::string(flag.name);
  if (positional) names += "," + std::string(flag.name);
  return names;
}

std::string Suggestion(std::string_view unknown, Command command) {
  const size_t start = unknown.find_first_not_of('-');
  if (start == std::string_view::npos) return "";
  const std::string_view word = unknown.substr(start, unknown.find('=') - start);
  for (const FlagSpec& flag : Flags()) {
    if ((flag.commands & command) == 0 || word.size() < 3) continue;
    if (flag.name.starts_with(word) || word.starts_with(flag.name)) {
      return "did you mean --" + std::string(flag.name) + "? ";
    }
  }
  return "";
}

const FlagSpec* FindShort(Command command, char letter) {
  for (const FlagSpec& flag : Flags()) {
    if ((flag.commands & command) == 0) continue;
    for (const std::string& letters : SplitCommas(flag.shorts)) {
      if (letters == std::string(1, letter)) return &flag;
    }
  }
  return nullptr;
}

// Whether the word after this one is its value.
bool TakesNextWord(Command command, std::string_view word) {
  if (word.starts_with("--")) {
    const FlagSpec* flag = FindFlag(word.substr(2), command);  // "--x=1" is no flag's name
    return flag != nullptr && flag->type != FlagType::kBool;
  }
  if (word.size() < 2 || word[0] != '-') return false;
  // "-vp text": truth values, then perhaps a flag whose value is the rest of the word or the next.
  for (size_t i = 1; i < word.size(); ++i) {
    const FlagSpec* flag = FindShort(command, word[i]);
    if (flag == nullptr) return false;
    if (flag->type != FlagType::kBool) return i + 1 == word.size();
  }
  return false;
}

// llama.cpp writes -ub, which CLI11 would read as -u -b. Values are left as they are.
void ExpandLongShorts(Command command, std::vector<std::string>& arguments) {
  bool value = false;
  for (std::string& word : arguments) {
    if (!value && word == "--") return;  // places alone follow
    for (const FlagSpec& flag : Flags()) {
      if (value || (flag.commands & command) == 0) continue;
      for (const std::string& letters : SplitCommas(flag.shorts)) {
        if (letters.size() > 1 && word == "-" + letters) word = "--" + std::string(flag.name);
      }
    }
    value = !value && TakesNextWord(command, word);
  }
}

// "--name" of "--name --keys FILE", where FILE is left over: a flag that took another one for its
// value. Empty: nobody did so just before `stray`.
std::string TookAFlag(const std::vector<std::string>& arguments, const std::string& stray,
                      Command command) {
  bool value = false;
  for (size_t i = 0; i + 1 < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool flag = word.starts_with("-") &&
                      FindFlag(word.substr(std::min<size_t>(2, word.size())), command) != nullptr;
    if (value && flag && arguments[i + 1] == stray) return arguments[i - 1];
    value = !value && TakesNextWord(command, word);
  }
  return "";
}

absl::Status UsageStatus(const CLI::ParseError& error, const std::vector<std::string>& leftover,
                         const std::vector<std::string>& arguments, const CommandSpec& spec) {
  const std::string help = "see mortar " + std::string(spec.name) + " --help";
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !leftover.empty()) {
    const std::string& first = leftover.front();
    if (const std::string taker = TookAFlag(arguments, first, spec.command); !taker.empty()) {
      return InvalidArgument(taker + " needs a value, and took the flag before " + first +
                             " for one; " + help);
    }
    const bool flag = first.starts_with("-") && first.size() > 1;
    return InvalidArgument((flag ? "unknown flag " : "stray argument ") + first + "; " +
                           Suggestion(first, spec.command) + help);
  }
  return InvalidArgument(std::string(error.what()) + "; " + help);
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments) {
  CommandLine line;
  if (arguments.empty()) return InvalidArgument("no command; see mortar --help");
  const CommandSpec* spec = FindCommand(arguments.front());
  if (spec == nullptr) {
    return InvalidArgument("unknown command " + arguments.front() + "; see mortar --help");
  }
  line.command = spec->command;
  std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  ExpandLongShorts(line.command, rest);
  const std::vector<std::string> in_order = rest;
  std::ranges::reverse(rest);  // the order in which CLI11 takes a vector

  CLI::App app;
  app.set_help_flag();
  try {
    app.add_flag("-h,--help", line.help);
    std::vector<std::pair<const FlagSpec*, CLI::Option*>> options;
    for (const FlagSpec& flag : Flags()) {
      if ((flag.commands & line.command) == 0) continue;
      const std::string names = OptionNames(flag, (flag.positional & line.command) != 0);
      CLI::Option* option = nullptr;
      if (flag.type == FlagType::kBool) {
        option = app.add_flag(names);
      } else {
        // One value each time; what is given more than once is kept and judged by the table.
        option = app.add_option(names)->expected(1)->allow_extra_args(false);
      }
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      options.emplace_back(&flag, option);
    }
    app.parse(rest);
    for (const auto& [flag, option] : options) {
      if (option->count() > 0) line.given[std::string(flag->name)] = option->results();
    }
  } catch (const CLI::ParseError& error) {
    if (line.help) return line;
    return UsageStatus(error, app.remaining(), in_order, *spec);
  } catch (const CLI::Error& error) {
    return InvalidArgument(error.what());
  }
  return line;
}

}  // namespace mortar
