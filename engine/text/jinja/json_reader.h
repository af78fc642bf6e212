// JSON as the values of a template: what Python's json.loads gives.
#pragma once

#include <string_view>

#include "common/status.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

// Every text and key in it is untrusted. Of a key given twice the last value counts.
// InvalidArgument for what is no JSON, OutOfRange for integers beyond 64 bits, ResourceExhausted
// for more than kJsonBytesMax, kListItemsMax items of one list or dict, or nesting deeper than
// kJsonNestingMax.
absl::StatusOr<Value> ReadJson(std::string_view json);

}  // namespace mortar::jinja
