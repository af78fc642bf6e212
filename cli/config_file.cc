#include "cli/config_file.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "cli/text_input.h"

namespace mortar {
namespace {

// A configuration is a page of text; more is some other file.
constexpr size_t kConfigBytesMax = 1 << 20;

template <typename T>
std::optional<FlagValue> ListOf(const toml::array& array) {
  std::vector<T> values;
  for (const toml::node& node : array) {
    const auto value = node.value_exact<T>();
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return FlagValue(std::move(values));
}

std::optional<FlagValue> ToFlagValue(const toml::node& node) {
  if (const auto* value = node.as_boolean()) return FlagValue(value->get());
  if (const auto* value = node.as_integer()) return FlagValue(value->get());
  if (const auto* value = node.as_floating_point()) return FlagValue(value->get());
  if (const auto* value = node.as_string()) return FlagValue(value->get());
  if (const auto* array = node.as_array(); array && !array->empty()) {
    if (array->front().is_integer()) return ListOf<int64_t>(*array);
    return ListOf<std::string>(*array);
  }
  return std::nullopt;
}

std::string At(const std::string& path, const toml::source_region& source) {
  return path + ":" + std::to_string(source.begin.line);
}

}  // namespace

absl::StatusOr<std::vector<ConfigEntry>> ReadConfigFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kConfigBytesMax));
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    return InvalidArgument(At(path, parsed.error().source()) +
                           ": not valid TOML: " + std::string(parsed.error().description()));
  }
  std::vector<ConfigEntry> entries;
  for (const auto& [key, node] : parsed.table()) {
    std::optional<FlagValue> value = ToFlagValue(node);
    const std::string name(key.str());
    if (!value) {
      return InvalidArgument(At(path, node.source()) + ": " + name +
                             " is not a value that a flag can have; give a string, a number, true, "
                             "false, or an array of strings or whole numbers");
    }
    entries.push_back({name, std::move(*value), static_cast<int>(node.source().begin.line)});
  }
  std::ranges::sort(entries, {}, &ConfigEntry::line);
  return entries;
}

}  // namespace mortar
