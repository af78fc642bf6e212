// Runs a template's tree over variables and puts out text that knows its trust.
#pragma once

#include <ctime>
#include <functional>
#include <map>
#include <string>

#include "common/status.h"
#include "engine/text/jinja/ast.h"

namespace mortar::jinja {

using Variables = std::map<std::string, Value, std::less<>>;

// Does: what jinja2's sandbox does for the same tree; a for loop's body, each of its else parts,
// macros and blocks set variables of their own. `now` is what strftime_now tells of.
// Errors, with line and column: InvalidArgument where jinja2 raises, raise_exception included;
// Unimplemented for operations outside the supported set; ResourceExhausted for a bound of
// limits.h.
absl::StatusOr<Text> Evaluate(const Body& body, Variables variables, const std::tm& now);

}  // namespace mortar::jinja
