// Runs a template's tree over variables and puts out text that knows its trust.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/ast.h"

namespace mortar::jinja {

using Variables = std::map<std::string, Value, std::less<>>;

// Does: what jinja2's sandbox does for the same tree; a for loop's body and each of its else
// parts set variables of their own.
// Errors, with line and column: InvalidArgument where jinja2 raises, raise_exception included;
// Unimplemented for operations outside the supported set; ResourceExhausted for a bound of
// limits.h.
absl::StatusOr<Text> Evaluate(const Body& body, Variables variables);

}  // namespace mortar::jinja
