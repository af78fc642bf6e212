#include "cli/flags.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/check.h"

namespace mortar {
namespace {

bool ListHas(std::string_view list, std::string_view item) {
  for (const std::string& part : SplitCommas(list)) {
    if (part == item) return true;
  }
  return false;
}

std::string Number(double value) {
  if (value == std::floor(value)) return std::to_string(static_cast<int64_t>(value));
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

std::string Bounds(const FlagSpec& flag) { return Number(flag.min) + " to " + Number(flag.max); }

absl::Status Wrong(const std::string& where, std::string_view text, const std::string& wanted) {
  return InvalidArgument(where + ": \"" + std::string(text) + "\" is not " + wanted);
}

// A value refused on purpose is answered with its reason rather than with bounds.
absl::Status CheckRefused(const FlagSpec& flag, std::string_view text, const std::string& where) {
  if (flag.refused.empty() || text != flag.refused) return absl::OkStatus();
  return InvalidArgument(where + ": " + std::string(text) +
                         " is refused on purpose: " + std::string(flag.refused_why));
}

absl::Status OutOfBounds(const FlagSpec& flag, const std::string& shown, const std::string& where) {
  return InvalidArgument(where + ": " + shown + " is out of bounds; give " + Bounds(flag));
}

absl::Status CheckNumber(const FlagSpec& flag, double value, const std::string& shown,
                         const std::string& where) {
  RETURN_IF_ERROR(CheckRefused(flag, shown, where));
  if (std::isfinite(value) && value >= flag.min && value <= flag.max) return absl::OkStatus();
  return OutOfBounds(flag, shown, where);
}

absl::StatusOr<int64_t> ParseInt(const FlagSpec& flag, std::string_view text,
                                 const std::string& where) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range && end == text.data() + text.size()) {
    return OutOfBounds(flag, std::string(text), where);
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return Wrong(where, text, "a whole number; give " + Bounds(flag));
  }
  RETURN_IF_ERROR(CheckNumber(flag, static_cast<double>(value), std::string(text), where));
  return value;
}

absl::StatusOr<double> ParseFloat(const FlagSpec& flag, std::string_view text,
                                  const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range && end == text.data() + text.size()) {
    return OutOfBounds(flag, std::string(text), where);
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return Wrong(where, text, "a number; give " + Bounds(flag));
  }
  RETURN_IF_ERROR(CheckNumber(flag, value, std::string(text), where));
  return value;
}

absl::StatusOr<bool> ParseBool(std::string_view text, const std::string& where) {
  for (const std::string_view yes : {"true", "1", "on", "yes"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"false", "0", "off", "no"}) {
    if (text == no) return false;
  }
  return Wrong(where, text, "true or false");
}

absl::StatusOr<std::string> ParseChoice(const FlagSpec& flag, std::string_view text,
                                        const std::string& where) {
  RETURN_IF_ERROR(CheckRefused(flag, text, where));
  if (ListHas(flag.choices, text)) return std::string(text);
  return Wrong(where, text, "one of " + std::string(flag.choices));
}

absl::StatusOr<std::vector<int64_t>> ParseInts(const FlagSpec& flag, std::string_view text,
                                               const std::string& where) {
  // More than a list can mean anything for: each entry is a worker, a test or a batch.
  constexpr size_t kEntriesMax = 64;
  std::vector<int64_t> values;
  for (const std::string& part : SplitCommas(text)) {
    ASSIGN_OR_RETURN(const int64_t value, ParseInt(flag, part, where));
    values.push_back(value);
    if (values.size() > kEntriesMax) {
      return InvalidArgument(where + ": more than " + std::to_string(kEntriesMax) + " entries");
    }
  }
  if (values.empty()) return Wrong(where, text, "a list of numbers, such as 1,8,16");
  return values;
}

std::string_view TypeWanted(FlagType type) {
  switch (type) {
    case FlagType::kBool:
      return "true or false";
    case FlagType::kInt:
      return "a whole number";
    case FlagType::kFloat:
      return "a number";
    case FlagType::kString:
    case FlagType::kChoice:
      return "a string";
    case FlagType::kInts:
      return "a whole number or an array of them";
    case FlagType::kStrings:
      return "a string or an array of them";
  }
  return "of another type";
}

absl::StatusOr<FlagValue> CheckInts(const FlagSpec& flag, const std::vector<int64_t>& values,
                                    const std::string& where) {
  std::string joined;
  for (const int64_t value : values) joined += (joined.empty() ? "" : ",") + std::to_string(value);
  ASSIGN_OR_RETURN(std::vector<int64_t> checked, ParseInts(flag, joined, where));
  return FlagValue(std::move(checked));
}

}  // namespace

std::vector<std::string> SplitCommas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) parts.emplace_back();  // "1," has an empty last part
  }
  return parts;
}

const CommandSpec* FindCommand(std::string_view name) {
  for (const CommandSpec& command : Commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

const CommandSpec& SpecOf(Command command) {
  const auto commands = Commands();
  const auto found = std::ranges::find(commands, command, &CommandSpec::command);
  CHECK(found != commands.end());
  return *found;
}

const FlagSpec* FindFlag(std::string_view name, Command command) {
  for (const FlagSpec& flag : Flags()) {
    if ((flag.commands & command) && (flag.name == name || ListHas(flag.aliases, name))) {
      return &flag;
    }
  }
  return nullptr;
}

const FlagSpec* FindFlagOfAny(std::string_view name) {
  for (const FlagSpec& flag : Flags()) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

std::string EnvironmentName(const FlagSpec& flag) {
  std::string name = "MORTAR_";
  for (const char c : flag.name) {
    name += c == '-' ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

absl::StatusOr<FlagValue> ParseFlag(const FlagSpec& flag, const std::vector<std::string>& given,
                                    const std::string& where) {
  CHECK(!given.empty());
  if (flag.type == FlagType::kStrings) return FlagValue(given);
  const std::string& text = given.back();
  switch (flag.type) {
    case FlagType::kBool: {
      ASSIGN_OR_RETURN(const bool value, ParseBool(text, where));
      return FlagValue(value);
    }
    case FlagType::kInt: {
      ASSIGN_OR_RETURN(const int64_t value, ParseInt(flag, text, where));
      return FlagValue(value);
    }
    case FlagType::kFloat: {
      ASSIGN_OR_RETURN(const double value, ParseFloat(flag, text, where));
      return FlagValue(value);
    }
    case FlagType::kChoice: {
      ASSIGN_OR_RETURN(std::string value, ParseChoice(flag, text, where));
      return FlagValue(std::move(value));
    }
    case FlagType::kInts: {
      ASSIGN_OR_RETURN(std::vector<int64_t> values, ParseInts(flag, text, where));
      return FlagValue(std::move(values));
    }
    case FlagType::kString:
    case FlagType::kStrings:
      break;
  }
  return FlagValue(text);
}

absl::StatusOr<FlagValue> CheckFlag(const FlagSpec& flag, const FlagValue& value,
                                    const std::string& where) {
  const auto* number = std::get_if<int64_t>(&value);
  const auto* text = std::get_if<std::string>(&value);
  switch (flag.type) {
    case FlagType::kBool:
      if (std::holds_alternative<bool>(value)) return value;
      break;
    case FlagType::kInt:
    case FlagType::kInts:
      if (number && flag.type == FlagType::kInts) return CheckInts(flag, {*number}, where);
      if (number) return ParseFlag(flag, {std::to_string(*number)}, where);
      if (const auto* list = std::get_if<std::vector<int64_t>>(&value);
          list && flag.type == FlagType::kInts) {
        return CheckInts(flag, *list, where);
      }
      break;
    case FlagType::kFloat:
      if (number) return CheckFlag(flag, static_cast<double>(*number), where);
      if (const auto* real = std::get_if<double>(&value)) {
        RETURN_IF_ERROR(CheckNumber(flag, *real, std::to_string(*real), where));
        return value;
      }
      break;
    case FlagType::kString:
      if (text) return value;
      break;
    case FlagType::kChoice:
      if (text) return ParseFlag(flag, {*text}, where);
      break;
    case FlagType::kStrings:
      if (text) return FlagValue(std::vector<std::string>{*text});
      if (std::holds_alternative<std::vector<std::string>>(value)) return value;
      break;
  }
  return InvalidArgument(where + ": has the wrong type; give " +
                         std::string(TypeWanted(flag.type)));
}

}  // namespace mortar
