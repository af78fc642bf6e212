// Every flag of the mortar program, as data: one table from which the command line, the
// environment, the configuration file, --help, completion and docs/cli.md are all made.
//
// Flag `ctx-size` is --ctx-size on the command line, MORTAR_CTX_SIZE in the environment and
// ctx-size in the file. A name may stand in the table more than once when commands give it
// another default; no two rows of one name share a command.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/status.h"

namespace mortar {

// The subcommands, as bits of FlagSpec::commands.
enum Command : uint32_t {
  kRun = 1 << 0,
  kBench = 1 << 1,
  kPerplexity = 1 << 2,
  kCompare = 1 << 3,
  kTokenize = 1 << 4,
  kInspect = 1 << 5,
  kPlan = 1 << 6,
  kCompletion = 1 << 7,
  kVersion = 1 << 8,
  kEdge = 1 << 9,
  kCoordinator = 1 << 10,
  kWorker = 1 << 11,
  kRelay = 1 << 12,
  kEmbed = 1 << 13,
  kKeys = 1 << 14,
  kCluster = 1 << 15,
  kAllCommands = (1 << 16) - 1,
};

struct CommandSpec {
  Command command;
  std::string_view name;      // as typed
  std::string_view summary;   // one line
  std::string_view details;   // paragraphs of --help
  std::string_view examples;  // lines of --help
};

enum class FlagType {
  kBool,     // --x, --no-x; x = true
  kInt,      // --x 4
  kFloat,    // --x 0.5
  kString,   // --x text
  kChoice,   // --x one-of
  kInts,     // --x 1,8,16; x = [1, 8, 16]
  kStrings,  // --x a --x b; x = ["a", "b"]; in the environment a single one
};

using FlagValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::vector<std::string>>;

struct FlagSpec {
  std::string_view name;
  FlagType type = FlagType::kString;
  uint32_t commands = 0;  // bits of Command
  std::string_view help;  // one sentence without a full stop
  std::string_view group = "General";
  std::string_view shorts = "";      // "c", or several: "b,ub"
  std::string_view aliases = "";     // other long names, separated by commas
  std::string_view value_name = "";  // "N"
  std::string_view fallback = "";    // the default as it would be typed; empty: not set
  std::string_view unset = "";       // what happens when it is not set, for --help
  double min = 0;                    // of numbers, both ends allowed
  double max = 0;
  std::string_view choices = "";  // of kChoice: "f16,f32"
  std::string_view refused = "";  // a value refused on purpose, as typed
  std::string_view refused_why = "";
  uint32_t positional = 0;  // commands in which it may stand without its name
};

std::span<const CommandSpec> Commands();
const CommandSpec* FindCommand(std::string_view name);  // null when there is none
const CommandSpec& SpecOf(Command command);

std::span<const FlagSpec> Flags();
// The row of `name` for `command`, or null. Long names and aliases, without dashes.
const FlagSpec* FindFlag(std::string_view name, Command command);
// Any row of `name`, whichever its command; null when no command has such a flag.
const FlagSpec* FindFlagOfAny(std::string_view name);

std::string EnvironmentName(const FlagSpec& flag);  // "MORTAR_CTX_SIZE"

// The value that a text means, within the flag's bounds. `given` holds one text, or several for
// kStrings. `where` says who gave it ("-n", "MORTAR_N_PREDICT") and begins every error.
absl::StatusOr<FlagValue> ParseFlag(const FlagSpec& flag, const std::vector<std::string>& given,
                                    const std::string& where);
// The same for a value that came with a type of its own, from a file: no text is read as a number.
absl::StatusOr<FlagValue> CheckFlag(const FlagSpec& flag, const FlagValue& value,
                                    const std::string& where);

// "a,b,c" as its parts; an empty text has none.
std::vector<std::string> SplitCommas(std::string_view text);

}  // namespace mortar
