#include "engine/text/jinja/signature.h"

#include <algorithm>
#include <cstdlib>

#include "engine/text/jinja/lexer.h"

namespace mortar::jinja {
namespace {

struct Parameter {
  std::string_view name;
  std::string_view standard;  // the default, as written; empty: none
};

std::vector<Parameter> Parse(std::string_view signature) {
  std::vector<Parameter> parameters;
  while (!signature.empty()) {
    const size_t comma = std::min(signature.find(", "), signature.size());
    const std::string_view one = signature.substr(0, comma);
    const size_t equals = one.find('=');
    parameters.push_back({one.substr(0, equals), equals == std::string_view::npos
                                                     ? std::string_view()
                                                     : one.substr(equals + 1)});
    signature.remove_prefix(std::min(comma + 2, signature.size()));
  }
  return parameters;
}

Value Literal(std::string_view written) {
  if (written == "none") return Value();
  if (written == "false") return Value(false);
  if (written.front() == '\'') return Text(written.substr(1, written.size() - 2), true);
  const std::string number(written);
  if (number.find('.') != std::string::npos) return Value(std::strtod(number.c_str(), nullptr));
  return Value(int64_t{std::strtoll(number.c_str(), nullptr, 10)});
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Expr>>> Bind(std::string_view signature,
                                                        const std::string& what,
                                                        Arguments arguments, int line, int column) {
  std::vector<Parameter> parameters = Parse(signature);
  const bool by_position = !parameters.empty() && parameters.back().name == "/";
  if (by_position) parameters.pop_back();
  const auto refuse = [&](const std::string& how) {
    return Unimplemented(
        AtPlace(line, column, what + " with " + how + " is not supported in chat templates"));
  };
  const size_t n = arguments.values.size();
  const size_t n_placed = n - arguments.names.size();
  if (n > parameters.size()) return refuse(std::to_string(n) + " arguments");
  std::vector<std::unique_ptr<Expr>> bound(parameters.size());
  for (size_t i = 0; i < n; ++i) {
    size_t to = i;
    if (i >= n_placed) {
      const std::string& name = arguments.names[i - n_placed];
      const auto found = std::find_if(parameters.begin(), parameters.end(),
                                      [&](const Parameter& p) { return p.name == name; });
      to = static_cast<size_t>(found - parameters.begin());
      if (by_position || found == parameters.end() || bound[to] != nullptr) {
        return refuse("an argument named '" + name + "'");
      }
    }
    bound[to] = std::move(arguments.values[i]);
  }
  for (size_t i = 0; i < bound.size(); ++i) {
    if (bound[i] != nullptr) continue;
    if (parameters[i].standard.empty()) return refuse(std::to_string(n) + " arguments");
    bound[i] = std::make_unique<Expr>();
    bound[i]->kind = ExprKind::kLiteral;
    bound[i]->line = line;
    bound[i]->column = column;
    bound[i]->value = Literal(parameters[i].standard);
  }
  return bound;
}

}  // namespace mortar::jinja
