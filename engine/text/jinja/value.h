// What an expression of a template can be. Values never change once made; copies share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/jinja/text.h"

namespace mortar::jinja {

class Value;

// What a missing name, attribute or element gives: empty when printed, an error when used.
struct Undefined {
  std::string why;  // "'x' is undefined"
};
struct None {};
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;  // in order; keys differ

class Value {
 public:
  Value() : value_(None{}) {}
  // NOLINTBEGIN(google-explicit-constructor): each kind of value converts to the sum of all.
  Value(Undefined undefined) : value_(std::move(undefined)) {}
  Value(bool value) : value_(value) {}
  Value(int64_t value) : value_(value) {}
  Value(Text text);
  Value(List list);
  Value(Dict dict);
  Value(const char*) = delete;  // would be a bool
  // NOLINTEND(google-explicit-constructor)

  bool is_none() const { return std::holds_alternative<None>(value_); }
  // Null when the value is of another kind; lives as long as the value.
  const Undefined* undefined() const { return std::get_if<Undefined>(&value_); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&value_); }
  const Text* text() const { return Shared<Text>(); }
  const List* list() const { return Shared<List>(); }
  const Dict* dict() const { return Shared<Dict>(); }

  // Bytes and items that copying, comparing or printing the value touches, each place counted
  // where several share one: what a step bound charges. Saturates.
  uint64_t weight() const { return weight_; }
  // Lists and dicts inside one another: 0 for what is neither.
  int depth() const { return depth_; }

 private:
  void Include(const Value& part);

  template <typename T>
  const T* Shared() const {
    const auto* const shared = std::get_if<std::shared_ptr<const T>>(&value_);
    return shared == nullptr ? nullptr : shared->get();
  }
  std::variant<Undefined, None, bool, int64_t, std::shared_ptr<const Text>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>>
      value_;
  uint64_t weight_ = 1;
  int depth_ = 0;
};

// The kind as jinja2's messages name it: "str object", "None".
std::string KindName(const Value& value);

// Python's truth: undefined, None, false, zero and what is empty are not true.
bool IsTrue(const Value& value);

// The number of an integer or, as in Python, of a boolean; nothing for other kinds.
std::optional<int64_t> AsInteger(const Value& value);

const Value* Find(const Dict& dict, std::string_view key);  // null when absent

// Python's ==. Takes at most the lesser weight in steps, and the lesser depth in stack.
bool Equal(const Value& a, const Value& b);

}  // namespace mortar::jinja
