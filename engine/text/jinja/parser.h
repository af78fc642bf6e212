// From a template's source to its tree, in jinja2's grammar and precedence.
#pragma once

#include <string_view>

#include "common/status.h"
#include "engine/text/jinja/ast.h"

namespace mortar::jinja {

// Supported: text; {{ }}; for (with if, else and loop's values), break, continue, if, set (one
// name, several, a namespace's attribute, a block), macro, call, generation; names, texts, numbers,
// lists, tuples, dicts, true, false, none; . [] [:] + - * / // % ~ == != < <= > >= in, not in, and,
// or, not, x if y else z; the filters, tests and methods of filters.h, and map, select, reject,
// selectattr, rejectattr; dict, namespace, raise_exception, range, strftime_now.
// Errors, each with line and column: InvalidArgument for what is no Jinja, Unimplemented
// (naming it) for Jinja outside this set, ResourceExhausted for kSourceBytesMax and kNestingMax.
absl::StatusOr<Body> ParseTemplate(std::string_view source);

}  // namespace mortar::jinja
