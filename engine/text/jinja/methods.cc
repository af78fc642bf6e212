// The methods of Python's str, list and dict that change nothing.
#include <algorithm>

#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/named.h"
#include "engine/text/jinja/sequence_filters.h"
#include "engine/text/jinja/text_operations.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

using Result = absl::StatusOr<Value>;

const Text& Self(const Args& args) { return *args[0].text(); }

Result AsValue(absl::StatusOr<Text> text) {
  if (!text.ok()) return text.status();
  return Value(*std::move(text));
}
Result AsValue(absl::StatusOr<List> list) {
  if (!list.ok()) return list.status();
  return Value(*std::move(list));
}

absl::StatusOr<const Text*> TextAt(const Args& args, size_t i) {
  if (args[i].undefined() != nullptr) return InvalidArgument(args[i].undefined()->why);
  if (args[i].text() == nullptr) {
    return InvalidArgument("expected a text as an argument, got a " + KindName(args[i]));
  }
  return args[i].text();
}
// Null for none.
absl::StatusOr<const Text*> TextOrNoneAt(const Args& args, size_t i) {
  if (args[i].is_none()) return nullptr;
  return TextAt(args, i);
}
absl::StatusOr<int64_t> IntegerAt(const Args& args, size_t i) {
  if (const auto number = AsInteger(args[i])) return *number;
  return InvalidArgument("expected an integer as an argument, got a " + KindName(args[i]));
}

template <Side kSide>
Result StripMethod(const Args& args) {
  ASSIGN_OR_RETURN(const Text* const taken, TextOrNoneAt(args, 1));
  return AsValue(Strip(Self(args), taken, kSide));
}

template <Case kWanted>
Result CaseMethod(const Args& args) {
  return AsValue(ToCase(Self(args), kWanted));
}

template <bool kFromRight>
Result SplitMethod(const Args& args) {
  ASSIGN_OR_RETURN(const Text* const separator, TextOrNoneAt(args, 1));
  ASSIGN_OR_RETURN(const int64_t splits, IntegerAt(args, 2));
  return AsValue(Split(Self(args), separator, splits, kFromRight));
}

Result SplitLinesMethod(const Args& args) {
  return AsValue(SplitLines(Self(args), IsTrue(args[1])));
}

Result ReplaceMethod(const Args& args) {
  ASSIGN_OR_RETURN(const Text* const from, TextAt(args, 1));
  ASSIGN_OR_RETURN(const Text* const to, TextAt(args, 2));
  ASSIGN_OR_RETURN(const int64_t count, IntegerAt(args, 3));
  return AsValue(ReplaceText(Self(args), *from, *to, count));
}

// Whether the text begins (ends, where kEnd) with the argument, or with one of a tuple.
template <bool kEnd>
Result Borders(const Args& args) {
  const List one = {args[1]};
  const List& affixes = args[1].Is(Sequence::kTuple) ? *args[1].list() : one;
  const std::string_view text = Self(args).bytes();
  bool found = false;
  for (size_t i = 0; i < affixes.size() && !found; ++i) {
    ASSIGN_OR_RETURN(const Text* const affix, TextAt(affixes, i));
    found = kEnd ? text.ends_with(affix->bytes()) : text.starts_with(affix->bytes());
  }
  return Value(found);
}

template <bool kEnd>
Result RemoveAffix(const Args& args) {
  ASSIGN_OR_RETURN(const Text* const affix, TextAt(args, 1));
  ASSIGN_OR_RETURN(const Value found, Borders<kEnd>({args[0], args[1]}));
  if (!IsTrue(found)) return args[0];
  const size_t n = Self(args).size();
  return Value(kEnd ? Self(args).Slice(0, n - affix->size()) : Self(args).Slice(affix->size(), n));
}

// The number of the character at which the argument begins, or -1.
Result FindInText(const Args& args) {
  ASSIGN_OR_RETURN(const Text* const what, TextAt(args, 1));
  const std::string_view text = Self(args).bytes();
  const size_t at = FindBytes(text, what->bytes());
  if (at == std::string_view::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(CountCodePoints(std::string(text.substr(0, at)))));
}

Result CountInText(const Args& args) {
  ASSIGN_OR_RETURN(const Text* const what, TextAt(args, 1));
  const std::string_view text = Self(args).bytes();
  int64_t n = 0;
  if (what->size() == 0)
    return Value(static_cast<int64_t>(CountCodePoints(Self(args).bytes()) + 1));
  for (size_t at = FindBytes(text, what->bytes()); at != std::string_view::npos; ++n) {
    at = FindBytes(text, what->bytes(), at + what->size());
  }
  return Value(n);
}

Result CountInList(const Args& args) {
  const List& list = *args[0].list();
  return Value(int64_t{std::count_if(list.begin(), list.end(),
                                     [&](const Value& item) { return Equal(item, args[1]); })});
}

Result JoinMethod(const Args& args) {
  if (args[1].undefined() != nullptr) return InvalidArgument(args[1].undefined()->why);
  ASSIGN_OR_RETURN(const List items, Items(args[1]));
  std::vector<Text> texts;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const Text* const text, TextAt(items, i));
    texts.push_back(*text);
  }
  return AsValue(JoinTexts(texts, Self(args)));
}

// Whether the text has characters, all of them ASCII digits or letters, or white space.
template <bool (*kIs)(char32_t)>
Result All(const Args& args) {
  const std::string_view text = Self(args).bytes();
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = NextUtf8(text.substr(at));
    if (step.code_point >= 0x80 && kIs != &IsPythonSpace) {
      return Unimplemented("kinds of characters are supported for ASCII text alone");
    }
    if (!kIs(step.code_point)) return Value(false);
    at += step.bytes;
  }
  return Value(!text.empty());
}
bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAlnum(char32_t c) { return IsDigit(c) || IsAlpha(c); }

Result Get(const Args& args) {
  if (args[1].list() != nullptr || args[1].dict() != nullptr) {
    return Unimplemented("a key that is a " + KindName(args[1]) + " is not supported");
  }
  const Value* const found =
      args[1].text() == nullptr ? nullptr : Find(*args[0].dict(), args[1].text()->bytes());
  return found == nullptr ? args[2] : *found;
}

Result KeysMethod(const Args& args) {
  ASSIGN_OR_RETURN(List keys, Items(args[0]));
  return Value(std::move(keys), Sequence::kView);
}
Result ValuesMethod(const Args& args) {
  List values;
  for (const auto& [key, value] : *args[0].dict()) values.push_back(value);
  return Value(std::move(values), Sequence::kView);
}
Result ItemsMethod(const Args& args) { return Value(Pairs(*args[0].dict()), Sequence::kView); }
Result Copy(const Args& args) { return args[0]; }  // values never change

// The sandbox of Hugging Face is immutable: these raise there.
Result Refuse(const Args& args) {
  return InvalidArgument("the sandbox keeps a " + KindName(args[0]) + " from being changed");
}

constexpr Method kMethods[] = {
    {Method::kList, "append", "object, /", Refuse},
    {Method::kText, "capitalize", "", CaseMethod<Case::kCapital>},
    {Method::kList, "clear", "", Refuse},
    {Method::kDict, "clear", "", Refuse},
    {Method::kDict, "copy", "", Copy},
    {Method::kList, "copy", "", Copy},
    {Method::kText, "count", "sub, /", CountInText},
    {Method::kList, "count", "sub, /", CountInList},
    {Method::kText, "endswith", "suffix, /", Borders<true>},
    {Method::kList, "extend", "iterable, /", Refuse},
    {Method::kText, "find", "sub, /", FindInText},
    {Method::kDict, "get", "key, default=none, /", Get},
    {Method::kList, "insert", "index, object, /", Refuse},
    {Method::kText, "isalnum", "", All<IsAlnum>},
    {Method::kText, "isalpha", "", All<IsAlpha>},
    {Method::kText, "isdigit", "", All<IsDigit>},
    {Method::kText, "isspace", "", All<IsPythonSpace>},
    {Method::kDict, "items", "", ItemsMethod},
    {Method::kText, "join", "iterable, /", JoinMethod},
    {Method::kDict, "keys", "", KeysMethod},
    {Method::kText, "lower", "", CaseMethod<Case::kLower>},
    {Method::kText, "lstrip", "chars=none, /", StripMethod<Side::kLeft>},
    {Method::kList, "pop", "index=none, default=none, /", Refuse},
    {Method::kDict, "pop", "index=none, default=none, /", Refuse},
    {Method::kList, "remove", "value, /", Refuse},
    {Method::kText, "removeprefix", "prefix, /", RemoveAffix<false>},
    {Method::kText, "removesuffix", "suffix, /", RemoveAffix<true>},
    {Method::kText, "replace", "old, new, count=-1, /", ReplaceMethod},
    {Method::kList, "reverse", "", Refuse},
    {Method::kText, "rsplit", "sep=none, maxsplit=-1", SplitMethod<true>},
    {Method::kText, "rstrip", "chars=none, /", StripMethod<Side::kRight>},
    {Method::kDict, "setdefault", "key, default=none, /", Refuse},
    {Method::kText, "split", "sep=none, maxsplit=-1", SplitMethod<false>},
    {Method::kText, "splitlines", "keepends=false", SplitLinesMethod},
    {Method::kText, "startswith", "prefix, /", Borders<false>},
    {Method::kText, "strip", "chars=none, /", StripMethod<Side::kBoth>},
    {Method::kText, "title", "", CaseMethod<Case::kTitle>},
    {Method::kDict, "update", "other, /", Refuse},
    {Method::kText, "upper", "", CaseMethod<Case::kUpper>},
    {Method::kDict, "values", "", ValuesMethod},
};

bool Fits(Method::Kind kind, const Value& value) {
  if (kind == Method::kText) return value.text() != nullptr;
  return kind == Method::kDict ? value.dict() != nullptr : value.Is(Sequence::kList);
}

}  // namespace

const Method* FindMethod(std::string_view name) { return FindNamed(kMethods, name); }
std::string MethodNames() { return Names(kMethods); }

absl::StatusOr<Value> CallMethod(std::string_view name, const Args& args) {
  for (const Method& method : kMethods) {
    if (method.name == name && Fits(method.kind, args[0])) return method.apply(args);
  }
  if (args[0].undefined() != nullptr) return InvalidArgument(args[0].undefined()->why);
  return InvalidArgument("a " + KindName(args[0]) + " has no method '" + std::string(name) + "'");
}

}  // namespace mortar::jinja
