#include "cli/settings.h"

#include <array>

#include "cli/config_file.h"
#include "common/check.h"

namespace mortar {
namespace {

constexpr std::string_view kPrefix = "MORTAR_";

// Variables that are read by others than the flag table.
constexpr std::array<std::string_view, 1> kOtherVariables = {
    "MORTAR_TEST_MODEL",  // the model of the test programs
};

// A short name is shown as it was most likely typed.
std::string CommandLineName(const FlagSpec& flag) {
  const auto shorts = SplitCommas(flag.shorts);
  return (shorts.empty() ? "" : "-" + shorts.front() + "/") + "--" + std::string(flag.name);
}

absl::Status ApplyDefaults(Command command, Settings& settings) {
  for (const FlagSpec& flag : Flags()) {
    if ((flag.commands & command) == 0 || flag.fallback.empty()) continue;
    const std::string where = "default of --" + std::string(flag.name);
    ASSIGN_OR_RETURN(FlagValue value, ParseFlag(flag, {std::string(flag.fallback)}, where));
    settings.Set(flag, std::move(value), FlagSource::kDefault, where);
  }
  return absl::OkStatus();
}

absl::Status ApplyFile(const std::string& path, Command command, Settings& settings) {
  ASSIGN_OR_RETURN(const std::vector<ConfigEntry> entries, ReadConfigFile(path));
  for (const ConfigEntry& entry : entries) {
    const std::string where = path + ":" + std::to_string(entry.line) + ": " + entry.key;
    const FlagSpec* own = FindFlag(entry.key, command);
    if (own != nullptr && own->name != entry.key) own = nullptr;  // keys have no aliases
    const FlagSpec* flag = own != nullptr ? own : FindFlagOfAny(entry.key);
    if (flag == nullptr || flag->name == "config") {
      return InvalidArgument(where +
                             ": unknown key; keys are the long flags of mortar --help, "
                             "without dashes in front");
    }
    ASSIGN_OR_RETURN(FlagValue value, CheckFlag(*flag, entry.value, where));
    if (own != nullptr) settings.Set(*flag, std::move(value), FlagSource::kFile, where);
  }
  return absl::OkStatus();
}

absl::Status ApplyEnvironment(const Environment& environment, Command command, Settings& settings,
                              std::vector<std::string>& warnings) {
  std::map<std::string, const FlagSpec*, std::less<>> known;
  for (const FlagSpec& flag : Flags()) {
    const bool own = (flag.commands & command) != 0;
    const FlagSpec*& slot = known[EnvironmentName(flag)];
    if (own || slot == nullptr) slot = &flag;
  }
  for (const std::string_view other : kOtherVariables) known.emplace(other, nullptr);
  for (const auto& [name, text] : environment) {
    if (!name.starts_with(kPrefix) || text.empty()) continue;
    const auto found = known.find(name);
    if (found == known.end()) {
      warnings.push_back(name + " is set but no flag has this variable; see mortar --help");
      continue;
    }
    const FlagSpec* flag = found->second;
    if (flag == nullptr) continue;
    ASSIGN_OR_RETURN(FlagValue value, ParseFlag(*flag, {text}, name));
    if ((flag->commands & command) == 0) continue;
    settings.Set(*flag, std::move(value), FlagSource::kEnvironment, name);
  }
  return absl::OkStatus();
}

absl::Status ApplyCommandLine(const CommandLine& line, Settings& settings) {
  for (const auto& [name, given] : line.given) {
    const FlagSpec* flag = FindFlag(name, line.command);
    CHECK(flag != nullptr);
    const std::string where = CommandLineName(*flag);
    ASSIGN_OR_RETURN(FlagValue value, ParseFlag(*flag, given, where));
    settings.Set(*flag, std::move(value), FlagSource::kCommandLine, where);
  }
  return absl::OkStatus();
}

std::optional<std::string> ConfigPath(const CommandLine& line, const Environment& environment) {
  if (const auto given = line.given.find("config"); given != line.given.end()) {
    return given->second.back();
  }
  const auto variable = environment.find("MORTAR_CONFIG");
  if (variable == environment.end() || variable->second.empty()) return std::nullopt;
  return variable->second;
}

}  // namespace

void Settings::Set(const FlagSpec& flag, FlagValue value, FlagSource source, std::string where) {
  values_.insert_or_assign(std::string(flag.name),
                           Entry{std::move(value), source, std::move(where)});
}

template <typename T>
const T& Settings::Get(std::string_view name) const {
  const auto found = values_.find(name);
  CHECK(found != values_.end());
  const T* value = std::get_if<T>(&found->second.value);
  CHECK(value != nullptr);
  return *value;
}

bool Settings::Bool(std::string_view name) const { return Get<bool>(name); }
int64_t Settings::Int(std::string_view name) const { return Get<int64_t>(name); }
double Settings::Float(std::string_view name) const { return Get<double>(name); }
const std::string& Settings::String(std::string_view name) const { return Get<std::string>(name); }
const std::vector<int64_t>& Settings::Ints(std::string_view name) const {
  return Get<std::vector<int64_t>>(name);
}

std::optional<int64_t> Settings::OptionalInt(std::string_view name) const {
  return Has(name) ? std::optional(Get<int64_t>(name)) : std::nullopt;
}
std::optional<std::string> Settings::OptionalString(std::string_view name) const {
  return Has(name) ? std::optional(Get<std::string>(name)) : std::nullopt;
}
std::vector<std::string> Settings::Strings(std::string_view name) const {
  return Has(name) ? Get<std::vector<std::string>>(name) : std::vector<std::string>();
}
std::vector<int64_t> Settings::OptionalInts(std::string_view name) const {
  return Has(name) ? Get<std::vector<int64_t>>(name) : std::vector<int64_t>();
}

FlagSource Settings::Source(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? FlagSource::kDefault : found->second.source;
}

std::string Settings::Where(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? "--" + std::string(name) : found->second.where;
}

absl::StatusOr<Resolved> Resolve(const CommandLine& line, const Environment& environment) {
  Resolved resolved;
  RETURN_IF_ERROR(ApplyDefaults(line.command, resolved.settings));
  if (const auto path = ConfigPath(line, environment)) {
    RETURN_IF_ERROR(ApplyFile(*path, line.command, resolved.settings));
  }
  RETURN_IF_ERROR(
      ApplyEnvironment(environment, line.command, resolved.settings, resolved.warnings));
  RETURN_IF_ERROR(ApplyCommandLine(line, resolved.settings));
  return resolved;
}

}  // namespace mortar
