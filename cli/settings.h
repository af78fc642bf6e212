// What holds for this run: every flag of the command with its value, taken from the command line,
// else the environment, else the configuration file, else the table's default.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "cli/flags.h"
#include "common/status.h"

namespace mortar {

// Later ones win.
enum class FlagSource { kDefault, kFile, kEnvironment, kCommandLine };

using Environment = std::map<std::string, std::string, std::less<>>;

class Settings {
 public:
  // Asked by the command that has the flag; a flag that it has not, or of another type, is a bug
  // of ours. The plain readers need a flag with a default.
  bool Bool(std::string_view name) const;
  int64_t Int(std::string_view name) const;
  double Float(std::string_view name) const;
  const std::string& String(std::string_view name) const;
  const std::vector<int64_t>& Ints(std::string_view name) const;
  // Without a default: nothing, or empty, when it was not set.
  std::optional<int64_t> OptionalInt(std::string_view name) const;
  std::optional<std::string> OptionalString(std::string_view name) const;
  std::vector<std::string> Strings(std::string_view name) const;
  std::vector<int64_t> OptionalInts(std::string_view name) const;

  bool Has(std::string_view name) const { return values_.contains(name); }
  FlagSource Source(std::string_view name) const;  // kDefault when not set
  // How the value's giver wrote the flag, for error messages: "--front", "MORTAR_FRONT", …
  std::string Where(std::string_view name) const;

  void Set(const FlagSpec& flag, FlagValue value, FlagSource source, std::string where);

 private:
  struct Entry {
    FlagValue value;
    FlagSource source;
    std::string where;
  };
  template <typename T>
  const T& Get(std::string_view name) const;

  std::map<std::string, Entry, std::less<>> values_;
};

struct Resolved {
  Settings settings;
  std::vector<std::string> warnings;  // one line each: variables that are no flag
};

// InvalidArgument for a value out of bounds or of a wrong type, an unknown key, or a file that
// cannot be read; the message says who gave it. Empty variables count as not set. Keys and
// variables of other commands' flags are checked and left.
absl::StatusOr<Resolved> Resolve(const CommandLine& line, const Environment& environment);

}  // namespace mortar
