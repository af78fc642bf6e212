#include "engine/text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/python_names.h"
#include "engine/text/jinja/text_operations.h"
#include "engine/text/utf8.h"

namespace mortar::jinja {
namespace {

absl::Status IfUndefined(const Value& value) {
  return value.undefined() == nullptr ? absl::OkStatus() : InvalidArgument(value.undefined()->why);
}

absl::Status WrongKinds(std::string_view op, const Value& left, const Value& right) {
  RETURN_IF_ERROR(IfUndefined(left));
  RETURN_IF_ERROR(IfUndefined(right));
  return InvalidArgument("'" + std::string(op) + "' cannot join a " + KindName(left) + " and a " +
                         KindName(right));
}

Value Missing(const Value& value, const std::string& what) {
  return Undefined{"'" + KindName(value) + "' has no " + what};
}

absl::StatusOr<Value> Joined(const Value& left, const Value& right) {
  if (left.text() != nullptr && right.text() != nullptr) {
    if (left.text()->size() + right.text()->size() > kOutputBytesMax) {
      return ResourceExhausted("a text has more than " + std::to_string(kOutputBytesMax) +
                               " bytes");
    }
    Text text = *left.text();
    text.Append(*right.text());
    return Value(std::move(text));
  }
  for (const Sequence kind : {Sequence::kList, Sequence::kTuple}) {
    if (!left.Is(kind) || !right.Is(kind)) continue;
    if (left.list()->size() + right.list()->size() > kListItemsMax) {
      return ResourceExhausted("a list has more than " + std::to_string(kListItemsMax) + " items");
    }
    List items = *left.list();
    items.insert(items.end(), right.list()->begin(), right.list()->end());
    return Value(std::move(items), kind);
  }
  return WrongKinds("+", left, right);
}

absl::StatusOr<Value> IntegerArithmetic(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (b == 0) {
    return InvalidArgument("integer division or modulo by zero");
  } else if (b == -1) {  // INT64_MIN // -1 overflows, and so would its remainder
    overflow = op == "//" && __builtin_sub_overflow(int64_t{0}, a, &result);
  } else {
    const int64_t remainder = a % b;
    const bool floors = remainder != 0 && (remainder < 0) != (b < 0);
    result = op == "//" ? a / b - floors : remainder + (floors ? b : 0);
  }
  if (overflow) return OutOfRange("an integer of more than 64 bits");
  return Value(result);
}

// Division of integers gives a real too, where double holds both.
absl::StatusOr<Value> RealArithmetic(std::string_view op, const Value& left, const Value& right) {
  constexpr int64_t kExactMax = int64_t{1} << 53;
  for (const Value* const value : {&left, &right}) {
    const auto integer = AsInteger(*value);
    if (integer && (*integer > kExactMax || *integer < -kExactMax)) {
      return OutOfRange("an integer of more than 53 bits beside a fraction");
    }
  }
  const double a = *AsReal(left);
  const double b = *AsReal(right);
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (b == 0) return InvalidArgument("division by zero");
  if (op == "/") return Value(a / b);
  double remainder = std::fmod(a, b);
  const bool floors = remainder != 0 && (remainder < 0) != (b < 0);
  if (floors) remainder += b;
  if (op == "%") return Value(remainder == 0 ? std::copysign(0.0, b) : remainder);
  return Value(std::round((a - remainder) / b));
}

// Python's order: texts by code point, which in UTF-8 is by byte. -1, 0, 1; 2: none of these.
absl::StatusOr<int> Order(std::string_view op, const Value& left, const Value& right) {
  if (AsReal(left) && AsReal(right)) return CompareNumbers(left, right);
  if (left.text() != nullptr && right.text() != nullptr) {
    const int order = left.text()->bytes().compare(right.text()->bytes());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (left.list() != nullptr && right.list() != nullptr) {
    return Unimplemented("ordering lists is not supported");
  }
  return WrongKinds(op, left, right);
}

absl::StatusOr<bool> Contains(const Value& box, const Value& value) {
  if (box.undefined() != nullptr) return false;  // jinja2 iterates it: it is empty
  if (box.list() != nullptr) {
    ASSIGN_OR_RETURN(const List items, Items(box));
    return std::any_of(items.begin(), items.end(),
                       [&value](const Value& item) { return Equal(item, value); });
  }
  if (box.text() != nullptr && value.text() != nullptr) {
    return FindBytes(box.text()->bytes(), value.text()->bytes()) != std::string_view::npos;
  }
  if (box.dict() != nullptr && value.list() == nullptr && value.dict() == nullptr) {
    return value.text() != nullptr && Find(*box.dict(), value.text()->bytes()) != nullptr;
  }
  return WrongKinds("in", value, box);
}

absl::Status MethodAsValue(std::string_view name) {
  return Unimplemented("the method '" + std::string(name) + "' without a call is not supported");
}

// Without a list of the text's characters, which could be long.
Value SliceOfText(const Text& text, const Value& begin, const Value& end) {
  const std::string_view view = text.bytes();
  const auto n = static_cast<int64_t>(CountCodePoints(view));
  const auto clamp = [n](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + n : at, 0, n); };
  const int64_t first = begin.is_none() ? 0 : clamp(*AsInteger(begin));
  const int64_t last = std::max(first, end.is_none() ? n : clamp(*AsInteger(end)));
  const size_t from = OffsetOf(view, static_cast<size_t>(first));
  const size_t bytes = OffsetOf(view.substr(from), static_cast<size_t>(last - first));
  return text.Slice(from, from + bytes);
}

}  // namespace

absl::StatusOr<Value> GetAttribute(const Value& value, std::string_view name) {
  RETURN_IF_ERROR(IfUndefined(value));
  if (HasPythonName(value, name)) return MethodAsValue(name);
  if (value.dict() != nullptr) {
    if (const Value* const found = Find(*value.dict(), name)) return *found;
  }
  return Missing(value, "attribute '" + std::string(name) + "'");
}

absl::StatusOr<Value> GetItem(const Value& value, const Value& key) {
  RETURN_IF_ERROR(IfUndefined(value));
  if (key.text() != nullptr) {
    const std::string& name = key.text()->bytes();
    const Value* const found = value.dict() == nullptr ? nullptr : Find(*value.dict(), name);
    if (found != nullptr) return *found;
    if (HasPythonName(value, name)) return MethodAsValue(name);
    return Missing(value, "attribute '" + name + "'");
  }
  const auto index = AsInteger(key);
  if (!index) return Missing(value, "such element");
  Value missing = Missing(value, "element " + std::to_string(*index));
  if (value.Is(Sequence::kView) || value.Is(Sequence::kGenerator)) return missing;
  if (value.list() != nullptr) {
    const auto n = static_cast<int64_t>(value.list()->size());
    const int64_t at = *index < 0 ? *index + n : *index;
    return at < 0 || at >= n ? missing : (*value.list())[static_cast<size_t>(at)];
  }
  if (value.text() == nullptr) return missing;
  const std::string_view text = value.text()->bytes();
  const auto n = static_cast<int64_t>(CountCodePoints(text));
  const int64_t at = *index < 0 ? *index + n : *index;
  if (at < 0 || at >= n) return missing;
  const size_t begin = OffsetOf(text, static_cast<size_t>(at));
  return Value(value.text()->Slice(begin, begin + NextUtf8(text.substr(begin)).bytes));
}

absl::StatusOr<Value> GetSlice(const Value& value, const Value& begin, const Value& end,
                               const Value& step) {
  RETURN_IF_ERROR(IfUndefined(value));
  const auto bound = [](const Value& v) { return v.is_none() || AsInteger(v); };
  const bool indexed =
      value.text() != nullptr ||
      (value.list() != nullptr && !value.Is(Sequence::kView) && !value.Is(Sequence::kGenerator));
  if (!indexed || !bound(begin) || !bound(end) || !bound(step)) {
    return Missing(value, "such slice");
  }
  const int64_t by = step.is_none() ? 1 : *AsInteger(step);
  if (by == 0) return InvalidArgument("slice step cannot be zero");
  if (value.text() != nullptr && by == 1) return SliceOfText(*value.text(), begin, end);
  ASSIGN_OR_RETURN(const List items, Items(value));
  const auto n = static_cast<int64_t>(items.size());
  // Where a bound lies in [low, high]; counting down, the end may lie before the first item.
  const int64_t low = by > 0 ? 0 : -1;
  const int64_t high = by > 0 ? n : n - 1;
  const auto clamp = [&](int64_t at) {
    return at < 0 ? std::max(low, at < -n ? low : at + n) : std::min(high, at);
  };
  int64_t at = begin.is_none() ? (by > 0 ? low : high) : clamp(*AsInteger(begin));
  const int64_t stop = end.is_none() ? (by > 0 ? high : low) : clamp(*AsInteger(end));
  List kept;
  while (by > 0 ? at < stop : at > stop) {
    kept.push_back(items[static_cast<size_t>(at)]);
    if (__builtin_add_overflow(at, by, &at)) break;
  }
  if (value.text() == nullptr) {
    return Value(std::move(kept), value.Is(Sequence::kTuple)   ? Sequence::kTuple
                                  : value.Is(Sequence::kRange) ? Sequence::kRange
                                                               : Sequence::kList);
  }
  Text text;
  for (const Value& character : kept) text.Append(*character.text());
  return Value(std::move(text));
}

absl::StatusOr<Value> Arithmetic(std::string_view op, const Value& left, const Value& right) {
  if (AsReal(left) && AsReal(right)) {
    const auto a = AsInteger(left);
    const auto b = AsInteger(right);
    if (a && b && op != "/") return IntegerArithmetic(op, *a, *b);
    return RealArithmetic(op, left, right);
  }
  if (op == "+") return Joined(left, right);
  RETURN_IF_ERROR(IfUndefined(left));
  RETURN_IF_ERROR(IfUndefined(right));
  if (op == "-" || op == "/" || op == "//") return WrongKinds(op, left, right);
  const Text* const text = left.text() != nullptr ? left.text() : right.text();
  const auto count = AsInteger(left.text() != nullptr ? right : left);
  if (op == "*" && text != nullptr && count) {
    ASSIGN_OR_RETURN(Text repeated, Repeat(*text, *count));
    return Value(std::move(repeated));
  }
  return Unimplemented("'" + std::string(op) + "' is not supported for a " + KindName(left) +
                       " and a " + KindName(right));
}

absl::StatusOr<Value> Sign(const Value& value, bool negate) {
  RETURN_IF_ERROR(IfUndefined(value));
  if (value.real() != nullptr) return Value(negate ? -*value.real() : *value.real());
  if (!AsInteger(value)) return InvalidArgument("'" + KindName(value) + "' has no sign");
  return Arithmetic(negate ? "-" : "+", Value(int64_t{0}), value);
}

absl::StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right) {
  if (op == "==" || op == "!=") {
    for (const Value* const value : {&left, &right}) {
      if (!value->Is(Sequence::kView) && !value->Is(Sequence::kGenerator)) continue;
      return Unimplemented("comparing a " + KindName(*value) + " is not supported");
    }
    return Equal(left, right) == (op == "==");
  }
  if (op == "in" || op == "not in") {
    ASSIGN_OR_RETURN(const bool contains, Contains(right, left));
    return contains == (op == "in");
  }
  ASSIGN_OR_RETURN(const int order, Order(op, left, right));
  if (order == 2) return false;
  if (op == "<") return order < 0;
  if (op == ">") return order > 0;
  return op == "<=" ? order <= 0 : order >= 0;
}

absl::StatusOr<Value> Range(const std::vector<Value>& args) {
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < args.size(); ++i) {
    RETURN_IF_ERROR(IfUndefined(args[i]));
    const auto number = AsInteger(args[i]);
    if (!number) return InvalidArgument("range takes integers, not a " + KindName(args[i]));
    bounds[args.size() == 1 ? 1 : i] = *number;
  }
  const auto [begin, end, step] = bounds;
  if (step == 0) return InvalidArgument("range takes a step other than zero");
  List numbers;
  int64_t at = begin;
  while (step > 0 ? at < end : at > end) {
    if (numbers.size() == kListItemsMax) {
      return ResourceExhausted("a range has more than " + std::to_string(kListItemsMax) +
                               " numbers");
    }
    numbers.push_back(Value(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return Value(std::move(numbers), Sequence::kRange);
}

}  // namespace mortar::jinja
