#include "engine/text/jinja/value.h"

#include <algorithm>

namespace mortar::jinja {

Value::Value(Text text) : weight_(1 + text.memory_bytes()) {
  value_ = std::make_shared<const Text>(std::move(text));
}

Value::Value(List list) {
  for (const Value& item : list) Include(item);
  ++depth_;
  value_ = std::make_shared<const List>(std::move(list));
}

Value::Value(Dict dict) {
  for (const auto& [name, item] : dict) Include(item);
  ++depth_;
  value_ = std::make_shared<const Dict>(std::move(dict));
}

void Value::Include(const Value& part) {
  constexpr uint64_t kMax = uint64_t{1} << 62;
  weight_ = std::min(kMax, weight_ + part.weight_);
  depth_ = std::max(depth_, part.depth_);
}

std::string KindName(const Value& value) {
  if (value.is_none()) return "None";
  if (value.undefined() != nullptr) return "Undefined";
  if (value.boolean() != nullptr) return "bool object";
  if (value.integer() != nullptr) return "int object";
  if (value.text() != nullptr) return "str object";
  return value.list() != nullptr ? "list object" : "dict object";
}

bool IsTrue(const Value& value) {
  if (value.boolean() != nullptr) return *value.boolean();
  if (value.integer() != nullptr) return *value.integer() != 0;
  if (value.text() != nullptr) return value.text()->size() > 0;
  if (value.list() != nullptr) return !value.list()->empty();
  if (value.dict() != nullptr) return !value.dict()->empty();
  return false;
}

std::optional<int64_t> AsInteger(const Value& value) {
  if (value.boolean() != nullptr) return *value.boolean() ? 1 : 0;
  if (value.integer() != nullptr) return *value.integer();
  return std::nullopt;
}

const Value* Find(const Dict& dict, std::string_view key) {
  for (const auto& [name, value] : dict) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool Equal(const Value& a, const Value& b) {
  const auto left = AsInteger(a);
  const auto right = AsInteger(b);
  if (left.has_value() || right.has_value()) return left == right;
  if (a.text() != nullptr && b.text() != nullptr) return a.text()->bytes() == b.text()->bytes();
  if (a.list() != nullptr && b.list() != nullptr) {
    if (a.list()->size() != b.list()->size()) return false;
    for (size_t i = 0; i < a.list()->size(); ++i) {
      if (!Equal((*a.list())[i], (*b.list())[i])) return false;
    }
    return true;
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    if (a.dict()->size() != b.dict()->size()) return false;
    for (const auto& [name, value] : *a.dict()) {
      const Value* const other = Find(*b.dict(), name);
      if (other == nullptr || !Equal(value, *other)) return false;
    }
    return true;
  }
  return (a.is_none() && b.is_none()) || (a.undefined() != nullptr && b.undefined() != nullptr);
}

}  // namespace mortar::jinja
