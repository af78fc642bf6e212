// What operators do to values, as Python and jinja2 have it.
#pragma once

#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

// All: InvalidArgument where Python raises; Unimplemented where it would go on with what
// templates have no need of; texts keep the trust of each byte.

// value.name; Undefined when there is none.
absl::StatusOr<Value> GetAttribute(const Value& value, std::string_view name);
// value[key]; Undefined when there is none. Negative numbers count from the end.
absl::StatusOr<Value> GetItem(const Value& value, const Value& key);
// value[begin:end:step]; none leaves each open.
absl::StatusOr<Value> GetSlice(const Value& value, const Value& begin, const Value& end,
                               const Value& step);

// op: one of + - * / // %. Integers of 64 bits: beyond them OutOfRange.
absl::StatusOr<Value> Arithmetic(std::string_view op, const Value& left, const Value& right);
absl::StatusOr<Value> Sign(const Value& value, bool negate);

// op: one of == != < <= > >= in, not in. Linear in both values.
absl::StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right);

// range(end), range(begin, end), range(begin, end, step).
absl::StatusOr<Value> Range(const std::vector<Value>& args);

}  // namespace mortar::jinja
