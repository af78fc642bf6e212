// The attributes of Python's own kinds, which jinja2 finds before a dict's keys: a template that
// reads one without calling it gets a method there, which this engine has no value for.
#pragma once

#include <string_view>

#include "engine/text/jinja/value.h"

namespace mortar::jinja {

// Whether Python's str, list, tuple, dict, int or float has an attribute of this name.
bool IsPythonName(std::string_view name);

// Whether the kind of `value` has one. Kinds other than dict count as one: none has keys.
bool HasPythonName(const Value& value, std::string_view name);

}  // namespace mortar::jinja
