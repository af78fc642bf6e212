#include "engine/text/jinja/operators.h"

#include <algorithm>
#include <cstring>

#include "engine/text/jinja/limits.h"
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

// The byte offset of character `index` of valid UTF-8, or its size when there are fewer.
size_t OffsetOf(std::string_view text, size_t index) {
  size_t at = 0;
  while (index > 0 && at < text.size()) {
    at += NextUtf8(text.substr(at)).bytes;
    --index;
  }
  return at;
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
  if (left.list() != nullptr && right.list() != nullptr) {
    if (left.list()->size() + right.list()->size() > kListItemsMax) {
      return ResourceExhausted("a list has more than " + std::to_string(kListItemsMax) + " items");
    }
    List items = *left.list();
    items.insert(items.end(), right.list()->begin(), right.list()->end());
    return Value(std::move(items));
  }
  return WrongKinds("+", left, right);
}

// Python's order: texts by code point, which in UTF-8 is by byte.
absl::StatusOr<bool> Less(std::string_view op, const Value& left, const Value& right) {
  const auto a = AsInteger(left);
  const auto b = AsInteger(right);
  if (a && b) return *a < *b;
  if (left.text() != nullptr && right.text() != nullptr) {
    return left.text()->bytes() < right.text()->bytes();
  }
  if (left.list() != nullptr && right.list() != nullptr) {
    return Unimplemented("ordering lists is not supported");
  }
  return WrongKinds(op, left, right);
}

absl::StatusOr<bool> Contains(const Value& box, const Value& value) {
  if (box.undefined() != nullptr) return false;  // jinja2 iterates it: it is empty
  if (box.list() != nullptr) {
    return std::any_of(box.list()->begin(), box.list()->end(),
                       [&value](const Value& item) { return Equal(item, value); });
  }
  if (box.text() != nullptr && value.text() != nullptr) {
    const std::string& in = box.text()->bytes();
    const std::string& what = value.text()->bytes();
    // memmem is linear also for hostile text, where std::string::find is quadratic.
    return memmem(in.data(), in.size(), what.data(), what.size()) != nullptr;
  }
  if (box.dict() != nullptr && value.list() == nullptr && value.dict() == nullptr) {
    return value.text() != nullptr && Find(*box.dict(), value.text()->bytes()) != nullptr;
  }
  return WrongKinds("in", value, box);
}

}  // namespace

absl::StatusOr<Value> GetAttribute(const Value& value, std::string_view name) {
  RETURN_IF_ERROR(IfUndefined(value));
  if (value.dict() != nullptr) {
    if (const Value* const found = Find(*value.dict(), name)) return *found;
  }
  return Missing(value, "attribute '" + std::string(name) + "'");
}

absl::StatusOr<Value> GetItem(const Value& value, const Value& key) {
  RETURN_IF_ERROR(IfUndefined(value));
  if (key.text() != nullptr) return GetAttribute(value, key.text()->bytes());
  const auto index = AsInteger(key);
  if (!index) return Missing(value, "such element");
  Value missing = Missing(value, "element " + std::to_string(*index));
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

absl::StatusOr<Value> GetSlice(const Value& value, const Value& begin, const Value& end) {
  RETURN_IF_ERROR(IfUndefined(value));
  const bool sliceable = (value.list() != nullptr || value.text() != nullptr) &&
                         (begin.is_none() || AsInteger(begin)) && (end.is_none() || AsInteger(end));
  if (!sliceable) return Missing(value, "such slice");
  const auto n = static_cast<int64_t>(
      value.list() != nullptr ? value.list()->size() : CountCodePoints(value.text()->bytes()));
  const auto clamp = [n](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + n : at, 0, n); };
  const int64_t first = begin.is_none() ? 0 : clamp(*AsInteger(begin));
  const int64_t last = std::max(first, end.is_none() ? n : clamp(*AsInteger(end)));
  if (value.list() != nullptr) {
    const auto from = value.list()->begin();
    return Value(List(from + first, from + last));
  }
  const std::string_view text = value.text()->bytes();
  const size_t from = OffsetOf(text, static_cast<size_t>(first));
  const size_t bytes = OffsetOf(text.substr(from), static_cast<size_t>(last - first));
  return Value(value.text()->Slice(from, from + bytes));
}

absl::StatusOr<Value> Arithmetic(std::string_view op, const Value& left, const Value& right) {
  const auto a = AsInteger(left);
  const auto b = AsInteger(right);
  if (!a || !b) {
    if (op == "+") return Joined(left, right);
    RETURN_IF_ERROR(IfUndefined(left));
    RETURN_IF_ERROR(IfUndefined(right));
    if (op == "-") return WrongKinds(op, left, right);
    return Unimplemented("'" + std::string(op) + "' is supported for integers alone");
  }
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(*a, *b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(*a, *b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(*a, *b, &result);
  } else if (*b == 0) {
    return InvalidArgument("integer division or modulo by zero");
  } else if (*b == -1) {  // INT64_MIN // -1 overflows, and so would its remainder
    overflow = op == "//" && __builtin_sub_overflow(int64_t{0}, *a, &result);
  } else {
    const int64_t remainder = *a % *b;
    const bool floors = remainder != 0 && (remainder < 0) != (*b < 0);
    result = op == "//" ? *a / *b - floors : remainder + (floors ? *b : 0);
  }
  if (overflow) return absl::Status(OutOfRange("an integer of more than 64 bits"));
  return Value(result);
}

absl::StatusOr<Value> Sign(const Value& value, bool negate) {
  RETURN_IF_ERROR(IfUndefined(value));
  if (!AsInteger(value)) return InvalidArgument("'" + KindName(value) + "' has no sign");
  return Arithmetic(negate ? "-" : "+", Value(int64_t{0}), value);
}

absl::StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right) {
  if (op == "==") return Equal(left, right);
  if (op == "!=") return !Equal(left, right);
  if (op == "<") return Less(op, left, right);
  if (op == ">") return Less(op, right, left);
  const bool contains = op == "in" || op == "not in";
  ASSIGN_OR_RETURN(const bool opposite, contains     ? Contains(right, left)
                                        : op == "<=" ? Less(op, right, left)
                                                     : Less(op, left, right));
  return op == "in" ? opposite : !opposite;
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
  return Value(std::move(numbers));
}

}  // namespace mortar::jinja
