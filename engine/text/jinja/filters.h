// The filters, tests and methods that templates may use, by name.
//
// Trust through them: what takes stretches of its arguments apart, or puts them together, keeps
// the trust of each byte; upper, lower, title and capitalize change bytes one for one and keep each
// one's trust; escapes in JSON have the trust of what they stand for. None makes text trusted that
// was not.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

// args[0] is what the filter, test or method works on; then one value for each parameter of the
// signature (signature.h).
using Args = std::vector<Value>;

// InvalidArgument where jinja2 raises.
struct Filter {
  std::string_view name;
  std::string_view signature;
  absl::StatusOr<Value> (*apply)(const Args& args);
};
struct Test {
  std::string_view name;
  std::string_view signature;
  absl::StatusOr<bool> (*holds)(const Args& args);
};
// Methods of one name that several kinds have share a signature.
struct Method {
  enum Kind : uint8_t { kText, kList, kDict } kind;
  std::string_view name;
  std::string_view signature;
  absl::StatusOr<Value> (*apply)(const Args& args);
};

const Filter* FindFilter(std::string_view name);  // null: not supported
const Test* FindTest(std::string_view name);
const Method* FindMethod(std::string_view name);
std::string FilterNames();  // all, for messages: "capitalize, count, ..."
std::string TestNames();
std::string MethodNames();

// Calls the method of this name that the kind of args[0] has. InvalidArgument where it has none.
absl::StatusOr<Value> CallMethod(std::string_view name, const Args& args);

// The value at "a.b.0" in `value`, as the filters' parameter `attribute` names it: Undefined where
// a part is missing, or `standard` where this is given. None names the value itself.
absl::StatusOr<Value> AttributeAt(const Value& value, const Value& attribute,
                                  const Value* standard = nullptr);

}  // namespace mortar::jinja
