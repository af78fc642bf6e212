// The filters and tests that templates may use, by name.
//
// Trust through a filter: trim, first, last, list, default and string hand on stretches of what
// they got; upper, lower and capitalize change bytes one for one and keep each one's trust; join
// and replace put stretches of their arguments together. None makes text trusted that was not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

struct Filter {
  std::string_view name;
  size_t n_args_min;  // beside the filtered value
  size_t n_args_max;
  // args[0] is the filtered value. InvalidArgument where jinja2 raises.
  absl::StatusOr<Value> (*apply)(const std::vector<Value>& args);
};
struct Test {
  std::string_view name;
  absl::StatusOr<bool> (*holds)(const Value& value);
};

const Filter* FindFilter(std::string_view name);  // null: not supported
const Test* FindTest(std::string_view name);
std::string FilterNames();  // all, for messages: "capitalize, count, ..."
std::string TestNames();

// The text that printing a value gives. Unimplemented for lists and dicts.
absl::StatusOr<Text> Print(const Value& value);

// What a for loop runs over: items, characters, keys. InvalidArgument for what has none;
// ResourceExhausted above kListItemsMax.
absl::StatusOr<List> Items(const Value& value);

}  // namespace mortar::jinja
