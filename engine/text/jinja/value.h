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
// A variable bag of a rendering, and a macro or a caller of one: numbers that its evaluator gave
// out. A number cannot own what it names, so values form no cycle. The functions of jinja2 and
// Hugging Face, read without a call, are Callables of the number SIZE_MAX.
struct Namespace {
  size_t id;
};
struct Callable {
  size_t id;
};
using List = std::vector<Value>;
using Dict = std::vector<std::pair<Text, Value>>;  // in order; keys differ

// Which of Python's sequences a list of values stands for: they print, index and compare apart.
enum class Sequence : uint8_t {
  kList,
  kTuple,
  kRange,      // what range() gives: has a length and items at numbers
  kView,       // keys(), values(), items() of a dict: has a length, no items at numbers
  kGenerator,  // what map, select, items give: run over once, has neither
};

class Value {
 public:
  Value() : value_(None{}) {}
  // NOLINTBEGIN(google-explicit-constructor): each kind of value converts to the sum of all.
  Value(Undefined undefined) : value_(std::move(undefined)) {}
  Value(bool value) : value_(value) {}
  Value(int64_t value) : value_(value) {}
  Value(double value) : value_(value) {}
  Value(Namespace value) : value_(value) {}
  Value(Callable value) : value_(value) {}
  Value(Text text);
  Value(List list, Sequence sequence = Sequence::kList);
  Value(Dict dict);
  Value(const char*) = delete;  // would be a bool
  // NOLINTEND(google-explicit-constructor)

  bool is_none() const { return std::holds_alternative<None>(value_); }
  // Null when the value is of another kind; lives as long as the value.
  const Undefined* undefined() const { return std::get_if<Undefined>(&value_); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&value_); }
  const double* real() const { return std::get_if<double>(&value_); }
  const Namespace* name_space() const { return std::get_if<Namespace>(&value_); }
  const Callable* callable() const { return std::get_if<Callable>(&value_); }
  const Text* text() const { return Shared<Text>(); }
  const List* list() const {  // of any Sequence
    const auto* const run = std::get_if<std::shared_ptr<const Run>>(&value_);
    return run == nullptr ? nullptr : &(*run)->items;
  }
  const Dict* dict() const { return Shared<Dict>(); }

  // What the filter 'safe' gives: a text that escapes what is added to it. It can be printed,
  // compared and tested; the rest is refused.
  static Value Markup(Text text) {
    Value value(std::move(text));
    value.is_markup_ = true;
    return value;
  }
  bool is_markup() const { return is_markup_; }

  // Whether the value is a sequence of this kind.
  bool Is(Sequence sequence) const {
    const auto* const run = std::get_if<std::shared_ptr<const Run>>(&value_);
    return run != nullptr && (*run)->sequence == sequence;
  }
  // Marks a generator as run over; false: it was before. True for all else.
  bool Spend() const;

  // Bytes and items that copying, comparing or printing the value touches, each place counted
  // where several share one: what a step bound charges. Saturates.
  uint64_t weight() const { return weight_; }
  // Lists and dicts inside one another: 0 for what is neither.
  int depth() const { return depth_; }

 private:
  // One rendering, in one thread, makes and spends a generator: literals of a tree have none.
  struct Run {
    List items;
    Sequence sequence;
    mutable bool spent = false;
  };
  void Include(const Value& part);

  template <typename T>
  const T* Shared() const {
    const auto* const shared = std::get_if<std::shared_ptr<const T>>(&value_);
    return shared == nullptr ? nullptr : shared->get();
  }
  std::variant<Undefined, None, bool, int64_t, double, Namespace, Callable,
               std::shared_ptr<const Text>, std::shared_ptr<const Run>, std::shared_ptr<const Dict>>
      value_;
  uint64_t weight_ = 1;
  int depth_ = 0;
  bool is_markup_ = false;
};

// The kind as jinja2's messages name it: "str object", "None".
std::string KindName(const Value& value);

// Python's truth: undefined, None, false, zero and what is empty are not true.
bool IsTrue(const Value& value);

// The number of an integer or, as in Python, of a boolean; nothing for other kinds.
std::optional<int64_t> AsInteger(const Value& value);

// The same, or the value of a real; nothing for other kinds.
std::optional<double> AsReal(const Value& value);

// An entry of a dict whose key the engine names itself, and which is trusted therefore.
inline std::pair<Text, Value> Entry(std::string_view key, Value value) {
  return {Text(key, true), std::move(value)};
}
const Value* Find(const Dict& dict, std::string_view key);  // null when absent
// Sets a key's value: in place where the key is there. Linear in the dict.
void Set(Dict* dict, const Text& key, Value value);

// Python's order of two numbers, exact: -1, 0 or 1; 2 where one is NaN. Needs: both are numbers.
int CompareNumbers(const Value& a, const Value& b);

// Python's ==. Takes about the lesser weight in steps, and the lesser depth in stack.
bool Equal(const Value& a, const Value& b);

}  // namespace mortar::jinja
