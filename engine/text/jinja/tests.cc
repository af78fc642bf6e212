// The tests of `x is name(...)`.
#include <cmath>

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/named.h"
#include "engine/text/jinja/operators.h"

namespace mortar::jinja {
namespace {

using Answer = absl::StatusOr<bool>;

bool IsIterable(const Value& v) {
  return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr ||
         v.undefined() != nullptr;  // jinja2's undefined is empty
}

// What has a length and items.
bool IsSequence(const Value& v) {
  return IsIterable(v) && !v.Is(Sequence::kView) && !v.Is(Sequence::kGenerator);
}

// Whether the number leaves `remainder` when halved.
Answer Halves(const Value& value, double remainder) {
  const auto number = AsReal(value);
  if (!number) return InvalidArgument("'" + KindName(value) + "' is not odd or even");
  if (const auto integer = AsInteger(value)) return (*integer & 1) == (remainder != 0 ? 1 : 0);
  return std::fabs(std::fmod(*number, 2)) == remainder;
}

Answer Divides(const Args& args) {
  ASSIGN_OR_RETURN(const Value rest, Arithmetic("%", args[0], args[1]));
  return !IsTrue(rest);
}

// Python's islower and isupper, for ASCII: a letter, and none of the other case.
Answer HasCase(const Value& value, char first, char other) {
  if (value.text() == nullptr) {
    return Unimplemented("the case of a " + KindName(value) + " is not supported");
  }
  bool any = false;
  for (const char c : value.text()->bytes()) {
    if (static_cast<uint8_t>(c) >= 0x80) {
      return Unimplemented("upper and lower case are supported for ASCII text alone");
    }
    if (c >= other && c <= other + 25) return false;
    any |= c >= first && c <= first + 25;
  }
  return any;
}

// Python's `is`, for what has one identity.
Answer IsSame(const Args& args) {
  const auto single = [](const Value& v) { return v.is_none() || v.boolean() != nullptr; };
  if (!single(args[0]) && !single(args[1])) {
    return Unimplemented("sameas is supported for true, false and none alone");
  }
  return single(args[0]) && single(args[1]) && args[0].is_none() == args[1].is_none() &&
         Equal(args[0], args[1]);
}

constexpr Test kTests[] = {
    {"!=", "b", [](const Args& a) { return Compare("!=", a[0], a[1]); }},
    {"<", "b", [](const Args& a) { return Compare("<", a[0], a[1]); }},
    {"<=", "b", [](const Args& a) { return Compare("<=", a[0], a[1]); }},
    {"==", "b", [](const Args& a) { return Compare("==", a[0], a[1]); }},
    {">", "b", [](const Args& a) { return Compare(">", a[0], a[1]); }},
    {">=", "b", [](const Args& a) { return Compare(">=", a[0], a[1]); }},
    {"boolean", "", [](const Args& a) -> Answer { return a[0].boolean() != nullptr; }},
    {"callable", "", [](const Args& a) -> Answer { return a[0].callable() != nullptr; }},
    {"defined", "", [](const Args& a) -> Answer { return a[0].undefined() == nullptr; }},
    {"divisibleby", "num", Divides},
    {"eq", "b", [](const Args& a) { return Compare("==", a[0], a[1]); }},
    {"equalto", "b", [](const Args& a) { return Compare("==", a[0], a[1]); }},
    {"even", "", [](const Args& a) { return Halves(a[0], 0); }},
    {"false", "", [](const Args& a) -> Answer { return a[0].boolean() && !*a[0].boolean(); }},
    {"float", "", [](const Args& a) -> Answer { return a[0].real() != nullptr; }},
    {"ge", "b", [](const Args& a) { return Compare(">=", a[0], a[1]); }},
    {"greaterthan", "b", [](const Args& a) { return Compare(">", a[0], a[1]); }},
    {"gt", "b", [](const Args& a) { return Compare(">", a[0], a[1]); }},
    {"in", "seq", [](const Args& a) { return Compare("in", a[0], a[1]); }},
    {"integer", "", [](const Args& a) -> Answer { return a[0].integer() != nullptr; }},
    {"iterable", "", [](const Args& a) -> Answer { return IsIterable(a[0]); }},
    {"le", "b", [](const Args& a) { return Compare("<=", a[0], a[1]); }},
    {"lessthan", "b", [](const Args& a) { return Compare("<", a[0], a[1]); }},
    {"lower", "", [](const Args& a) { return HasCase(a[0], 'a', 'A'); }},
    {"lt", "b", [](const Args& a) { return Compare("<", a[0], a[1]); }},
    {"mapping", "", [](const Args& a) -> Answer { return a[0].dict() != nullptr; }},
    {"ne", "b", [](const Args& a) { return Compare("!=", a[0], a[1]); }},
    {"none", "", [](const Args& a) -> Answer { return a[0].is_none(); }},
    {"number", "", [](const Args& a) -> Answer { return AsReal(a[0]).has_value(); }},
    {"odd", "", [](const Args& a) { return Halves(a[0], 1); }},
    {"sameas", "other", IsSame},
    {"sequence", "", [](const Args& a) -> Answer { return IsSequence(a[0]); }},
    {"string", "", [](const Args& a) -> Answer { return a[0].text() != nullptr; }},
    {"true", "", [](const Args& a) -> Answer { return a[0].boolean() && *a[0].boolean(); }},
    {"undefined", "", [](const Args& a) -> Answer { return a[0].undefined() != nullptr; }},
    {"upper", "", [](const Args& a) { return HasCase(a[0], 'A', 'a'); }},
};

}  // namespace

const Test* FindTest(std::string_view name) { return FindNamed(kTests, name); }
std::string TestNames() { return Names(kTests); }

}  // namespace mortar::jinja
