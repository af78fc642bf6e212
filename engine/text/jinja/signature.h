// What a filter, test, method or function takes, written as Python writes it, and the arguments
// of a call put into that order.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/ast.h"

namespace mortar::jinja {

// Arguments as a template gives them: the last names.size() have names.
struct Arguments {
  std::vector<std::unique_ptr<Expr>> values;
  std::vector<std::string> names;
};

// "chars=none", "old, new, count=-1, /": names in order, defaults (none, false, a text or a
// number), and after the last a / where none can be given by its name. A default has a place, that
// of the call. The first parameter, on which the filter, test or method works, is not among them.
//
// Does: one expression for each parameter of `signature`. Unimplemented, naming `what` ("the
// filter 'trim'"), for arguments that do not fit.
absl::StatusOr<std::vector<std::unique_ptr<Expr>>> Bind(std::string_view signature,
                                                        const std::string& what,
                                                        Arguments arguments, int line, int column);

}  // namespace mortar::jinja
