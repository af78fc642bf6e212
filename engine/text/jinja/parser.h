// From a template's source to its tree, in jinja2's grammar and precedence.
#pragma once

#include <string_view>

#include "common/status.h"
#include "engine/text/jinja/ast.h"

namespace mortar::jinja {

// Supported: text; {{ }}; for (with if, else and loop's numbers), if, set of one name; names,
// texts, integers, lists, true, false, none; . [] [:]; + - * // % ~ == != < <= > >= in, not in,
// and, or, not, x if y else z; the filters and tests of filters.h; raise_exception and range.
// Errors, each with line and column: InvalidArgument for what is no Jinja, Unimplemented
// (naming it) for Jinja outside this set, ResourceExhausted for kSourceBytesMax and kNestingMax.
absl::StatusOr<Body> ParseTemplate(std::string_view source);

}  // namespace mortar::jinja
