// Values as text, as numbers and as what a loop runs over: Python's str(), repr(), int(), float()
// and iter().
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"
#include "engine/text/jinja/value.h"

namespace mortar::jinja {

// The text that printing a value gives; lists and dicts as Python writes them. Unimplemented for
// what Python prints with an address, and for characters in a list or dict that it might escape.
absl::StatusOr<Text> Print(const Value& value);

// Python's shortest form: "1.0", "1e-05", "1e+16", "inf", "nan".
std::string PrintReal(double value);

// What a for loop runs over: items, characters, keys. Spends a generator. InvalidArgument for what
// has no items; Unimplemented for a generator run over before; ResourceExhausted above
// kListItemsMax.
absl::StatusOr<List> Items(const Value& value);

// The integer of a number (cut off) or text, as int(value) has it: InvalidArgument where Python
// raises, OutOfRange beyond 64 bits.
absl::StatusOr<int64_t> ToInteger(const Value& value);
absl::StatusOr<double> ToReal(const Value& value);

}  // namespace mortar::jinja
