#include "cli/help.h"

#include <algorithm>
#include <vector>

namespace mortar {
namespace {

constexpr size_t kHelpColumn = 34;

std::string Indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out += "  " + std::string(text.substr(0, end)) + "\n";
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

// "-c, --ctx-size N"
std::string Spelling(const FlagSpec& flag) {
  std::string text;
  for (const std::string& letter : SplitCommas(flag.shorts)) text += "-" + letter + ", ";
  text += (flag.type == FlagType::kBool ? "--[no-]" : "--") + std::string(flag.name);
  if (!flag.value_name.empty()) text += " " + std::string(flag.value_name);
  return text;
}

std::string Default(const FlagSpec& flag) {
  return std::string(flag.fallback.empty() ? flag.unset : flag.fallback);
}

std::string FlagLine(const FlagSpec& flag) {
  std::string line = "  " + Spelling(flag);
  line += line.size() < kHelpColumn ? std::string(kHelpColumn - line.size(), ' ')
                                    : "\n" + std::string(kHelpColumn, ' ');
  line += flag.help;
  if (!flag.choices.empty()) line += ": " + std::string(flag.choices);
  if (const std::string value = Default(flag); !value.empty()) line += " (default: " + value + ")";
  return line + "\n";
}

// The names of the commands of a flag, "run, bench".
std::string CommandNames(uint32_t commands) {
  if (commands == kAllCommands) return "all";
  std::string names;
  for (const CommandSpec& command : Commands()) {
    if ((commands & command.command) == 0) continue;
    names += (names.empty() ? "" : ", ") + std::string(command.name);
  }
  return names;
}

std::vector<std::string> FlagWords(Command command) {
  std::vector<std::string> words = {"--help"};
  for (const FlagSpec& flag : Flags()) {
    if (flag.commands & command) words.push_back("--" + std::string(flag.name));
  }
  return words;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string BashScript() {
  std::string names;
  std::string cases;
  for (const CommandSpec& command : Commands()) {
    names += (names.empty() ? "" : " ") + std::string(command.name);
    cases += "    " + std::string(command.name) + ") words=\"" +
             Joined(FlagWords(command.command)) + "\" ;;\n";
  }
  return "_mortar() {\n"
         "  local words word=\"${COMP_WORDS[COMP_CWORD]}\"\n"
         "  case \"${COMP_WORDS[1]}\" in\n" +
         cases + "    *) words=\"" + names +
         "\" ;;\n"
         "  esac\n"
         "  [[ $COMP_CWORD -eq 1 ]] && words=\"" +
         names +
         "\"\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -o default -F _mortar mortar\n";
}

// A word of fish between single quotes, within which it reads \' and \\ alone as escapes.
std::string FishQuoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string FishScript() {
  std::string out = "complete -c mortar -n __fish_use_subcommand -f\n";
  for (const CommandSpec& command : Commands()) {
    const std::string name(command.name);
    out += "complete -c mortar -n __fish_use_subcommand -f -a " + name + " -d " +
           FishQuoted(command.summary) + "\n";
    for (const FlagSpec& flag : Flags()) {
      if ((flag.commands & command.command) == 0) continue;
      out += "complete -c mortar -n " + FishQuoted("__fish_seen_subcommand_from " + name) + " -l " +
             std::string(flag.name) + (flag.type == FlagType::kBool ? "" : " -r") + "\n";
    }
  }
  return out;
}

}  // namespace

std::string ProgramHelp() {
  std::string out =
      "mortar runs one language model across a device and a cluster.\n\n"
      "Usage: mortar COMMAND [flags]\n\nCommands:\n";
  for (const CommandSpec& command : Commands()) {
    std::string line = "  " + std::string(command.name);
    line.resize(std::max<size_t>(line.size() + 1, 14), ' ');
    out += line + std::string(command.summary) + "\n";
  }
  out +=
      "\nmortar COMMAND --help lists the command's flags. Flag --some-flag is also variable\n"
      "MORTAR_SOME_FLAG and key some-flag of a TOML file given by --config: the command line wins\n"
      "over the environment, the environment over the file.\n"
      "Exit code: 0 done, 1 failed, 2 wrong usage; 130, 141, 143 after SIGINT, SIGPIPE, SIGTERM.\n";
  return out;
}

std::string CommandHelp(const CommandSpec& command) {
  std::string out = "mortar " + std::string(command.name) + ": " + std::string(command.summary) +
                    ".\n\nUsage: mortar " + std::string(command.name);
  std::vector<std::string_view> groups;
  for (const FlagSpec& flag : Flags()) {
    if ((flag.commands & command.command) == 0) continue;
    if (flag.positional & command.command) out += " [" + std::string(flag.value_name) + "]";
    if (std::ranges::find(groups, flag.group) == groups.end()) groups.push_back(flag.group);
  }
  out += " [flags]\n";
  if (!command.details.empty()) out += "\n" + std::string(command.details) + "\n";
  for (const std::string_view group : groups) {
    out += "\n" + std::string(group) + ":\n";
    for (const FlagSpec& flag : Flags()) {
      if ((flag.commands & command.command) && flag.group == group) out += FlagLine(flag);
    }
  }
  out += "  -h, --help" + std::string(kHelpColumn - 12, ' ') + "this text\n";
  return out + "\nExamples:\n" + Indented(command.examples);
}

std::string FlagsAsMarkdown() {
  std::string out =
      "| flag | variable | key | commands | meaning | default |\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  for (const FlagSpec& flag : Flags()) {
    std::string spelling = Spelling(flag);
    for (const std::string& alias : SplitCommas(flag.aliases)) spelling += ", --" + alias;
    const bool is_key = flag.name != "config";
    out += "| `" + spelling + "` | `" + EnvironmentName(flag) + "` | " +
           (is_key ? "`" + std::string(flag.name) + "`" : std::string("none")) + " | " +
           CommandNames(flag.commands) + " | " + std::string(flag.help) +
           (flag.choices.empty() ? "" : ": " + std::string(flag.choices)) + " | " + Default(flag) +
           " |\n";
  }
  return out;
}

std::string CompletionScript(std::string_view shell) {
  if (shell == "fish") return FishScript();
  // zsh reads bash's script through its own compatibility layer.
  if (shell == "zsh") {
    return "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n"
           "autoload -Uz bashcompinit && bashcompinit\n" +
           BashScript();
  }
  return BashScript();
}

}  // namespace mortar
