#include "engine/text/jinja/filters.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/json.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/named.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/sequence_filters.h"
#include "engine/text/jinja/text_operations.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

absl::StatusOr<Value> AsValue(absl::StatusOr<Text> text) {
  if (!text.ok()) return text.status();
  return Value(*std::move(text));
}

absl::StatusOr<Value> Trim(const Args& args) {
  ASSIGN_OR_RETURN(const Text text, Print(args[0]));
  if (!args[1].is_none() && args[1].text() == nullptr) {
    return InvalidArgument("trim takes a text, not a " + KindName(args[1]));
  }
  return AsValue(Strip(text, args[1].text(), Side::kBoth));
}

absl::StatusOr<Value> Length(const Args& args) {
  const Value& value = args[0];
  if (value.undefined() != nullptr) return Value(int64_t{0});
  size_t n = 0;
  if (value.text() != nullptr) {
    n = CountCodePoints(value.text()->bytes());
  } else if (value.list() != nullptr && !value.Is(Sequence::kGenerator)) {
    n = value.list()->size();
  } else if (value.dict() != nullptr) {
    n = value.dict()->size();
  } else {
    return InvalidArgument("'" + KindName(value) + "' has no length");
  }
  return Value(static_cast<int64_t>(n));
}

template <Case kWanted>
absl::StatusOr<Value> MapCase(const Args& args) {
  ASSIGN_OR_RETURN(const Text text, Print(args[0]));
  return AsValue(ToCase(text, kWanted));
}

absl::StatusOr<Value> Default(const Args& args) {
  const bool keep = IsTrue(args[2]) ? IsTrue(args[0]) : args[0].undefined() == nullptr;
  return keep ? args[0] : args[1];
}

absl::StatusOr<Value> Replace(const Args& args) {
  ASSIGN_OR_RETURN(const Text text, Print(args[0]));
  ASSIGN_OR_RETURN(const Text from, Print(args[1]));
  ASSIGN_OR_RETURN(const Text to, Print(args[2]));
  if (!args[3].is_none() && !AsInteger(args[3])) {
    return InvalidArgument("replace takes an integer as its count, not a " + KindName(args[3]));
  }
  return AsValue(ReplaceText(text, from, to, args[3].is_none() ? -1 : *AsInteger(args[3])));
}

absl::StatusOr<Value> String(const Args& args) { return AsValue(Print(args[0])); }

absl::StatusOr<Value> Safe(const Args& args) {
  ASSIGN_OR_RETURN(Text text, Print(args[0]));
  return Value::Markup(std::move(text));
}

// Lines after the first get an indent, those without a character only where `blank`.
absl::StatusOr<Value> Indent(const Args& args) {
  if (args[0].text() == nullptr) {
    return InvalidArgument("indent takes a text, not a " + KindName(args[0]));
  }
  Text indent;
  if (args[1].text() != nullptr) {
    indent = *args[1].text();
  } else {
    const auto width = AsInteger(args[1]);
    if (!width) return InvalidArgument("indent takes an integer, not a " + KindName(args[1]));
    ASSIGN_OR_RETURN(indent, Repeat(Text(" ", true), *width));
  }
  Text text = *args[0].text();
  text.Append("\n", true);
  ASSIGN_OR_RETURN(const List lines, SplitLines(text, false));
  std::vector<Text> out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Text& line = *lines[i].text();
    const bool moved = i == 0 ? IsTrue(args[2]) : line.size() > 0 || IsTrue(args[3]);
    out.push_back(moved ? indent : Text());
    if (out.back().size() + line.size() > kOutputBytesMax) {
      return ResourceExhausted("indent makes more than 16 MiB");
    }
    out.back().Append(line);
  }
  return AsValue(JoinTexts(out, Text("\n", true)));
}

absl::StatusOr<Value> Json(const Args& args) {
  JsonStyle style;
  style.ascii = IsTrue(args[1]);
  style.sorted = IsTrue(args[4]);
  if (!args[2].is_none()) {
    const auto indent = AsInteger(args[2]);
    if (!indent) return Unimplemented("tojson with an indent other than an integer");
    if (*indent > 100) return ResourceExhausted("tojson with an indent of more than 100");
    style.lines = true;
    style.indent = std::max<int64_t>(*indent, 0);
    style.between = Text(",", true);
  }
  if (!args[3].is_none()) {
    const List* const both = args[3].list();
    if (both == nullptr || both->size() != 2 || (*both)[0].text() == nullptr ||
        (*both)[1].text() == nullptr) {
      return InvalidArgument("tojson takes two texts as its separators");
    }
    style.between = *(*both)[0].text();
    style.after_key = *(*both)[1].text();
  }
  return AsValue(ToJson(args[0], style));
}

// The number, or the default where the value is no number.
absl::StatusOr<Value> Int(const Args& args) {
  if (args[0].undefined() != nullptr) return InvalidArgument(args[0].undefined()->why);
  if (args[2].integer() == nullptr || *args[2].integer() != 10) {
    return Unimplemented("int is supported for base 10 alone");
  }
  const auto number = ToInteger(args[0]);
  if (number.ok()) return Value(*number);
  if (!absl::IsInvalidArgument(number.status())) return number.status();
  const auto real = ToReal(args[0]);
  if (real.ok() && std::isfinite(*real)) {
    ASSIGN_OR_RETURN(const int64_t cut, ToInteger(Value(*real)));
    return Value(cut);
  }
  if (real.ok() || absl::IsInvalidArgument(real.status())) return args[1];
  return real.status();
}

absl::StatusOr<Value> Float(const Args& args) {
  if (args[0].undefined() != nullptr) return InvalidArgument(args[0].undefined()->why);
  const auto number = ToReal(args[0]);
  if (number.ok()) return Value(*number);
  if (absl::IsInvalidArgument(number.status())) return args[1];
  return number.status();
}

absl::StatusOr<Value> Abs(const Args& args) {
  if (args[0].real() != nullptr) return Value(std::fabs(*args[0].real()));
  if (const auto number = AsInteger(args[0]); number && *number >= 0) return Value(*number);
  return Sign(args[0], true);
}

absl::StatusOr<Value> Round(const Args& args) {
  const auto number = AsReal(args[0]);
  const auto digits = AsInteger(args[1]);
  const std::string method = args[2].text() == nullptr ? "" : args[2].text()->bytes();
  if (!number || !digits) return InvalidArgument("round takes numbers");
  if (*digits < 0 || *digits > 15) return Unimplemented("round to other than 0 to 15 digits");
  if (method == "common") {
    if (args[0].real() == nullptr) return Value(*AsInteger(args[0]));
    if (!std::isfinite(*number)) return args[0];
    char buffer[400];  // rounds the exact number half to even, as Python does
    std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(*digits), *number);
    return Value(std::strtod(buffer, nullptr));
  }
  if (method != "ceil" && method != "floor") {
    return InvalidArgument("method must be common, ceil or floor");
  }
  double scale = 1;  // exact: at most 1e15
  for (int64_t i = 0; i < *digits; ++i) scale *= 10;
  return Value((method == "ceil" ? std::ceil(*number * scale) : std::floor(*number * scale)) /
               scale);
}

constexpr Filter kFilters[] = {
    {"abs", "", Abs},
    {"capitalize", "", MapCase<Case::kCapital>},
    {"count", "", Length},
    {"d", "default_value='', boolean=false", Default},
    {"default", "default_value='', boolean=false", Default},
    {"dictsort", "case_sensitive=false, by='key', reverse=false", SortDict},
    {"first", "", FirstItem},
    {"float", "default=0.0", Float},
    {"indent", "width=4, first=false, blank=false", Indent},
    {"int", "default=0, base=10", Int},
    {"items", "", DictItems},
    {"join", "d='', attribute=none", JoinItems},
    {"last", "", LastItem},
    {"length", "", Length},
    {"list", "", ListOf},
    {"lower", "", MapCase<Case::kLower>},
    {"max", "case_sensitive=false, attribute=none", Greatest},
    {"min", "case_sensitive=false, attribute=none", Least},
    {"replace", "old, new, count=none", Replace},
    {"reverse", "", Reversed},
    {"round", "precision=0, method='common'", Round},
    {"safe", "", Safe},
    {"sort", "reverse=false, case_sensitive=false, attribute=none", SortItems},
    {"string", "", String},
    {"sum", "attribute=none, start=0", SumItems},
    {"title", "", MapCase<Case::kWords>},
    {"tojson", "ensure_ascii=false, indent=none, separators=none, sort_keys=false", Json},
    {"trim", "chars=none", Trim},
    {"unique", "case_sensitive=false, attribute=none", UniqueItems},
    {"upper", "", MapCase<Case::kUpper>},
};

}  // namespace

const Filter* FindFilter(std::string_view name) { return FindNamed(kFilters, name); }
std::string FilterNames() { return Names(kFilters); }

}  // namespace mortar::jinja
