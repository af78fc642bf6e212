#include "engine/text/jinja/filters.h"

#include <algorithm>
#include <cstring>

#include "engine/text/jinja/limits.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

using Args = std::vector<Value>;

absl::Status NoItems(const Value& value) {
  return InvalidArgument("'" + KindName(value) + "' has no items");
}

Value Nothing(const char* why) { return Undefined{why}; }

// Where the last character begins. Needs: valid UTF-8, not empty.
size_t LastCharacter(std::string_view text) {
  size_t at = text.size() - 1;
  while ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

// Each character as a text of its own.
absl::StatusOr<List> Characters(const Text& text) {
  if (CountCodePoints(text.bytes()) > kListItemsMax) {
    return ResourceExhausted("a text of more than 100000 characters cannot become a list");
  }
  List out;
  const std::string_view view = text.bytes();
  for (size_t at = 0; at < view.size();) {
    const size_t bytes = NextUtf8(view.substr(at)).bytes;
    out.push_back(text.Slice(at, at + bytes));
    at += bytes;
  }
  return out;
}

absl::StatusOr<Value> Trim(const Args& args) {
  ASSIGN_OR_RETURN(const Text text, Print(args[0]));
  const std::string_view view = text.bytes();
  size_t begin = 0;
  size_t end = view.size();
  if (args.size() == 1 || args[1].is_none()) {
    begin = LeadingSpaceBytes(view);
    if (begin < end) end -= TrailingSpaceBytes(view);
    return text.Slice(begin, end);
  }
  if (args[1].text() == nullptr)
    return InvalidArgument("trim takes a text, not a " + KindName(args[1]));
  const std::string_view taken = args[1].text()->bytes();
  if (taken.size() > kTrimBytesMax) {
    return ResourceExhausted("trim takes at most " + std::to_string(kTrimBytesMax) + " bytes");
  }
  const auto is_taken = [&](size_t at, size_t bytes) {
    return taken.find(view.substr(at, bytes)) != std::string_view::npos;
  };
  while (begin < end) {
    const size_t bytes = NextUtf8(view.substr(begin)).bytes;
    if (!is_taken(begin, bytes)) break;
    begin += bytes;
  }
  while (end > begin) {
    const size_t last = LastCharacter(view.substr(0, end));
    if (!is_taken(last, end - last)) break;
    end = last;
  }
  return text.Slice(begin, end);
}

absl::StatusOr<Value> Length(const Args& args) {
  const Value& value = args[0];
  if (value.undefined() != nullptr) return Value(int64_t{0});
  size_t n = 0;
  if (value.text() != nullptr) {
    n = CountCodePoints(value.text()->bytes());
  } else if (value.list() != nullptr) {
    n = value.list()->size();
  } else if (value.dict() != nullptr) {
    n = value.dict()->size();
  } else {
    return InvalidArgument("'" + KindName(value) + "' has no length");
  }
  return Value(static_cast<int64_t>(n));
}

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Letters outside ASCII would need Unicode's case tables: refused, never left as they are.
absl::StatusOr<Value> MapCase(const Args& args, char (*first)(char), char (*rest)(char)) {
  ASSIGN_OR_RETURN(Text text, Print(args[0]));
  std::string bytes = text.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (static_cast<uint8_t>(bytes[i]) >= 0x80) {
      return Unimplemented("case filters are supported for ASCII text alone");
    }
    bytes[i] = i == 0 ? first(bytes[i]) : rest(bytes[i]);
  }
  text.ReplaceBytes(std::move(bytes));
  return Value(std::move(text));
}
absl::StatusOr<Value> UpperAll(const Args& args) { return MapCase(args, Upper, Upper); }
absl::StatusOr<Value> LowerAll(const Args& args) { return MapCase(args, Lower, Lower); }
absl::StatusOr<Value> Capitalize(const Args& args) { return MapCase(args, Upper, Lower); }

// Text is looked at in place: a list of its characters could be long.
absl::StatusOr<Value> First(const Args& args) {
  if (const Text* const text = args[0].text(); text != nullptr && text->size() > 0) {
    return text->Slice(0, NextUtf8(text->bytes()).bytes);
  }
  if (args[0].text() != nullptr) return Nothing("there is no first item");
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  return items.empty() ? Nothing("there is no first item") : items.front();
}

absl::StatusOr<Value> Last(const Args& args) {
  if (const Text* const text = args[0].text(); text != nullptr && text->size() > 0) {
    return text->Slice(LastCharacter(text->bytes()), text->size());
  }
  if (args[0].text() != nullptr) return Nothing("there is no last item");
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  return items.empty() ? Nothing("there is no last item") : items.back();
}

absl::StatusOr<Value> ToList(const Args& args) {
  ASSIGN_OR_RETURN(List items, Items(args[0]));
  return Value(std::move(items));
}

absl::StatusOr<Value> Default(const Args& args) {
  const bool when_false = args.size() > 2 && IsTrue(args[2]);
  if (args[0].undefined() == nullptr && (!when_false || IsTrue(args[0]))) return args[0];
  return args.size() > 1 ? args[1] : Value(Text());
}

absl::StatusOr<Value> Join(const Args& args) {
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  Text separator;
  if (args.size() > 1) {
    ASSIGN_OR_RETURN(separator, Print(args[1]));
  }
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const Text text, Print(items[i]));
    if (out.size() + separator.size() + text.size() > kOutputBytesMax) {
      return ResourceExhausted("join makes more than 16 MiB");
    }
    if (i > 0) out.Append(separator);
    out.Append(text);
  }
  return Value(std::move(out));
}

absl::StatusOr<Value> Replace(const Args& args) {
  ASSIGN_OR_RETURN(const Text text, Print(args[0]));
  ASSIGN_OR_RETURN(const Text from, Print(args[1]));
  ASSIGN_OR_RETURN(const Text to, Print(args[2]));
  if (from.size() == 0) return Unimplemented("replacing an empty text is not supported");
  Text out;
  const char* const begin = text.bytes().data();
  size_t at = 0;
  for (;;) {
    // memmem is linear also for hostile text, where std::string::find is quadratic.
    const void* const hit = memmem(begin + at, text.size() - at, from.bytes().data(), from.size());
    const size_t found =
        hit == nullptr ? text.size() : static_cast<size_t>(static_cast<const char*>(hit) - begin);
    if (out.size() + (found - at) + to.size() > kOutputBytesMax) {
      return ResourceExhausted("replace makes more than 16 MiB");
    }
    out.AppendSlice(text, at, found);
    if (hit == nullptr) return Value(std::move(out));
    out.Append(to);
    at = found + from.size();
  }
}

absl::StatusOr<Value> String(const Args& args) {
  ASSIGN_OR_RETURN(Text text, Print(args[0]));
  return Value(std::move(text));
}

constexpr Filter kFilters[] = {
    {"capitalize", 0, 0, Capitalize},
    {"count", 0, 0, Length},
    {"d", 0, 2, Default},
    {"default", 0, 2, Default},
    {"first", 0, 0, First},
    {"join", 0, 1, Join},
    {"last", 0, 0, Last},
    {"length", 0, 0, Length},
    {"list", 0, 0, ToList},
    {"lower", 0, 0, LowerAll},
    {"replace", 2, 2, Replace},
    {"string", 0, 0, String},
    {"trim", 0, 1, Trim},
    {"upper", 0, 0, UpperAll},
};

bool IsSequence(const Value& v) {
  return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr ||
         v.undefined() != nullptr;  // jinja2's undefined is an empty sequence
}

// Whether the number leaves `remainder` when halved.
absl::StatusOr<bool> Halves(const Value& value, int64_t remainder) {
  const auto number = AsInteger(value);
  if (!number) return InvalidArgument("'" + KindName(value) + "' is not odd or even");
  return (*number & 1) == remainder;
}

using Answer = absl::StatusOr<bool>;
constexpr Test kTests[] = {
    {"boolean", [](const Value& v) -> Answer { return v.boolean() != nullptr; }},
    {"defined", [](const Value& v) -> Answer { return v.undefined() == nullptr; }},
    {"even", [](const Value& v) -> Answer { return Halves(v, 0); }},
    {"false", [](const Value& v) -> Answer { return v.boolean() != nullptr && !*v.boolean(); }},
    {"integer", [](const Value& v) -> Answer { return v.integer() != nullptr; }},
    {"iterable", [](const Value& v) -> Answer { return IsSequence(v); }},
    {"mapping", [](const Value& v) -> Answer { return v.dict() != nullptr; }},
    {"none", [](const Value& v) -> Answer { return v.is_none(); }},
    {"number", [](const Value& v) -> Answer { return AsInteger(v).has_value(); }},
    {"odd", [](const Value& v) -> Answer { return Halves(v, 1); }},
    {"sequence", [](const Value& v) -> Answer { return IsSequence(v); }},
    {"string", [](const Value& v) -> Answer { return v.text() != nullptr; }},
    {"true", [](const Value& v) -> Answer { return v.boolean() != nullptr && *v.boolean(); }},
    {"undefined", [](const Value& v) -> Answer { return v.undefined() != nullptr; }},
};

template <typename T, size_t kN>
const T* FindNamed(const T (&table)[kN], std::string_view name) {
  const T* const found =
      std::find_if(table, table + kN, [name](const T& entry) { return entry.name == name; });
  return found == table + kN ? nullptr : found;
}

template <typename T, size_t kN>
std::string Names(const T (&table)[kN]) {
  std::string out;
  for (const T& entry : table) out += (out.empty() ? "" : ", ") + std::string(entry.name);
  return out;
}

}  // namespace

const Filter* FindFilter(std::string_view name) { return FindNamed(kFilters, name); }
const Test* FindTest(std::string_view name) { return FindNamed(kTests, name); }
std::string FilterNames() { return Names(kFilters); }
std::string TestNames() { return Names(kTests); }

// Numbers, truth values and None are trusted: their text holds no byte of a message.
absl::StatusOr<Text> Print(const Value& value) {
  if (value.text() != nullptr) return *value.text();
  if (value.undefined() != nullptr) return Text();
  if (value.is_none()) return Text("None", true);
  if (value.boolean() != nullptr) return Text(*value.boolean() ? "True" : "False", true);
  if (value.integer() != nullptr) return Text(std::to_string(*value.integer()), true);
  return Unimplemented("printing a " + KindName(value) + " is not supported");
}

absl::StatusOr<List> Items(const Value& value) {
  if (value.undefined() != nullptr) return List();
  if (value.list() != nullptr) return *value.list();
  if (value.text() != nullptr) return Characters(*value.text());
  if (value.dict() == nullptr) return NoItems(value);
  List keys;
  for (const auto& [name, item] : *value.dict()) keys.push_back(Text(name, true));
  return keys;
}

}  // namespace mortar::jinja
