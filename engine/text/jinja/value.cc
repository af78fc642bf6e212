#include "engine/text/jinja/value.h"

#include <algorithm>
#include <limits>

namespace mortar::jinja {

Value::Value(Text text) : weight_(1 + text.memory_bytes()) {
  value_ = std::make_shared<const Text>(std::move(text));
}

Value::Value(List list, Sequence sequence) {
  for (const Value& item : list) Include(item);
  ++depth_;
  value_ = std::make_shared<const Run>(Run{std::move(list), sequence});
}

Value::Value(Dict dict) {
  for (const auto& [name, item] : dict) {
    Include(item);
    weight_ += name.memory_bytes();
  }
  ++depth_;
  value_ = std::make_shared<const Dict>(std::move(dict));
}

void Value::Include(const Value& part) {
  constexpr uint64_t kMax = uint64_t{1} << 62;
  weight_ = std::min(kMax, weight_ + part.weight_);
  depth_ = std::max(depth_, part.depth_);
}

bool Value::Spend() const {
  if (!Is(Sequence::kGenerator)) return true;
  const Run& run = *std::get<std::shared_ptr<const Run>>(value_);
  return !std::exchange(run.spent, true);
}

std::string KindName(const Value& value) {
  if (value.is_none()) return "None";
  if (value.undefined() != nullptr) return "Undefined";
  if (value.boolean() != nullptr) return "bool object";
  if (value.integer() != nullptr) return "int object";
  if (value.real() != nullptr) return "float object";
  if (value.text() != nullptr) return "str object";
  if (value.dict() != nullptr) return "dict object";
  if (value.name_space() != nullptr) return "Namespace object";
  if (value.callable() != nullptr) return "Macro object";
  if (value.Is(Sequence::kTuple)) return "tuple object";
  if (value.Is(Sequence::kRange)) return "range object";
  if (value.Is(Sequence::kView)) return "view object";
  return value.Is(Sequence::kGenerator) ? "generator object" : "list object";
}

bool IsTrue(const Value& value) {
  if (value.boolean() != nullptr) return *value.boolean();
  if (value.integer() != nullptr) return *value.integer() != 0;
  if (value.real() != nullptr) return *value.real() != 0;
  if (value.text() != nullptr) return value.text()->size() > 0;
  if (value.Is(Sequence::kGenerator)) return true;
  if (value.list() != nullptr) return !value.list()->empty();
  if (value.dict() != nullptr) return !value.dict()->empty();
  return value.name_space() != nullptr || value.callable() != nullptr;
}

std::optional<int64_t> AsInteger(const Value& value) {
  if (value.boolean() != nullptr) return *value.boolean() ? 1 : 0;
  if (value.integer() != nullptr) return *value.integer();
  return std::nullopt;
}

std::optional<double> AsReal(const Value& value) {
  if (value.real() != nullptr) return *value.real();
  if (const auto number = AsInteger(value)) return static_cast<double>(*number);
  return std::nullopt;
}

const Value* Find(const Dict& dict, std::string_view key) {
  for (const auto& [name, value] : dict) {
    if (name.bytes() == key) return &value;
  }
  return nullptr;
}

void Set(Dict* dict, const Text& key, Value value) {
  for (auto& [name, old] : *dict) {
    if (name.bytes() != key.bytes()) continue;
    old = std::move(value);
    return;
  }
  dict->emplace_back(key, std::move(value));
}

int CompareNumbers(const Value& a, const Value& b) {
  const auto order = [](auto x, auto y) { return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2; };
  const auto left = AsInteger(a);
  const auto right = AsInteger(b);
  if (left && right) return order(*left, *right);
  // Every int64 and every double is a long double: 64 bits of fraction at least.
  static_assert(std::numeric_limits<long double>::digits >= 64);
  const long double x = left ? static_cast<long double>(*left) : *a.real();
  const long double y = right ? static_cast<long double>(*right) : *b.real();
  return order(x, y);
}

namespace {

// The dict's entries in the order of their keys' bytes.
std::vector<const Dict::value_type*> Sorted(const Dict& dict) {
  std::vector<const Dict::value_type*> entries;
  for (const auto& entry : dict) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const auto* a, const auto* b) { return a->first.bytes() < b->first.bytes(); });
  return entries;
}

bool EqualDicts(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  const auto left = Sorted(a);
  const auto right = Sorted(b);
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i]->first.bytes() != right[i]->first.bytes()) return false;
    if (!Equal(left[i]->second, right[i]->second)) return false;
  }
  return true;
}

}  // namespace

bool Equal(const Value& a, const Value& b) {
  const bool numbers[] = {AsReal(a).has_value(), AsReal(b).has_value()};
  if (numbers[0] && numbers[1]) return CompareNumbers(a, b) == 0;
  if (numbers[0] || numbers[1]) return false;
  if (a.text() != nullptr && b.text() != nullptr) return a.text()->bytes() == b.text()->bytes();
  if (a.list() != nullptr && b.list() != nullptr) {
    if (a.Is(Sequence::kTuple) != b.Is(Sequence::kTuple)) return false;
    if (a.Is(Sequence::kRange) != b.Is(Sequence::kRange)) return false;
    return std::equal(a.list()->begin(), a.list()->end(), b.list()->begin(), b.list()->end(),
                      Equal);
  }
  if (a.dict() != nullptr && b.dict() != nullptr) return EqualDicts(*a.dict(), *b.dict());
  if (a.name_space() != nullptr && b.name_space() != nullptr) {
    return a.name_space()->id == b.name_space()->id;
  }
  if (a.callable() != nullptr && b.callable() != nullptr) {
    return a.callable()->id == b.callable()->id;
  }
  return (a.is_none() && b.is_none()) || (a.undefined() != nullptr && b.undefined() != nullptr);
}

}  // namespace mortar::jinja
