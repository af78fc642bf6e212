// Filters, tests and calls: a name, and arguments put into the order of its signature.
#include "engine/text/jinja/expression_parser.h"
#include "engine/text/jinja/filters.h"

namespace mortar::jinja {
namespace {

// The text of a literal, which says which filter or test is meant; null for all else.
const std::string* LiteralText(const std::vector<ExprPtr>& values, size_t i) {
  const bool literal = i < values.size() && values[i]->kind == ExprKind::kLiteral;
  return literal && values[i]->value.text() != nullptr ? &values[i]->value.text()->bytes()
                                                       : nullptr;
}

// Without the first n.
Arguments Rest(Arguments arguments, size_t n) {
  arguments.values.erase(arguments.values.begin(),
                         arguments.values.begin() + static_cast<std::ptrdiff_t>(n));
  return arguments;
}

}  // namespace

absl::Status ExpressionParser::AdoptBound(Expr* expr, std::string_view signature,
                                          const std::string& what, Arguments arguments) const {
  ASSIGN_OR_RETURN(std::vector<ExprPtr> bound,
                   Bind(signature, what, std::move(arguments), expr->line, expr->column));
  for (ExprPtr& argument : bound) RETURN_IF_ERROR(Adopt(expr, std::move(argument)));
  return absl::OkStatus();
}

absl::StatusOr<Arguments> ExpressionParser::ParseArguments() {
  Arguments arguments;
  while (!stream_.TakeOperator(")")) {
    if (!arguments.values.empty()) {
      RETURN_IF_ERROR(stream_.Expect(","));
      if (stream_.TakeOperator(")")) break;
    }
    if (stream_.IsOperator("*") || stream_.IsOperator("**")) {
      return stream_.Unsupported("unpacking arguments");
    }
    const bool named = stream_.Is(LexemeKind::kName) &&
                       stream_.next().kind == LexemeKind::kOperator && stream_.next().text == "=";
    if (!named && !arguments.names.empty()) return stream_.Unexpected("an argument with a name");
    if (named) {
      arguments.names.push_back(stream_.Take().text);
      stream_.Take();
    }
    ASSIGN_OR_RETURN(ExprPtr argument, ParseExpression());
    arguments.values.push_back(std::move(argument));
  }
  return arguments;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseFilters(ExprPtr expr) {
  for (;;) {
    if (stream_.IsOperator("|")) {
      ASSIGN_OR_RETURN(expr, ParseFilter(std::move(expr)));
    } else if (stream_.IsName("is")) {
      ASSIGN_OR_RETURN(expr, ParseTest(std::move(expr)));
    } else if (stream_.IsOperator("(")) {
      return stream_.Unsupported("calling the result of a filter");
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseFilter(ExprPtr expr) {
  stream_.Take();
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of a filter");
  ExprPtr node = New(ExprKind::kFilter);
  const std::string name = stream_.current().text;
  constexpr std::string_view kOverItems[] = {"map", "select", "reject", "selectattr", "rejectattr"};
  bool over_items = false;
  for (const std::string_view one : kOverItems) over_items |= name == one;
  if (!over_items && FindFilter(name) == nullptr) {
    return stream_.Unsupported("the filter '" + name + "' (known: " + FilterNames() +
                               ", map, reject, rejectattr, select, selectattr)");
  }
  stream_.Take();
  Arguments arguments;
  if (stream_.TakeOperator("(")) {
    ASSIGN_OR_RETURN(arguments, ParseArguments());
  }
  if (name == "map") return ParseMap(std::move(node), std::move(expr), std::move(arguments));
  if (over_items) {
    return ParseSelect(std::move(node), std::move(expr), name, std::move(arguments));
  }
  return ParseNamedFilter(std::move(node), std::move(expr), name, std::move(arguments));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseNamedFilter(ExprPtr filtered, ExprPtr expr,
                                                           const std::string& name,
                                                           Arguments arguments) {
  filtered->filter = FindFilter(name);
  if (filtered->filter == nullptr) {
    return stream_.Unsupported("the filter '" + name + "' (known: " + FilterNames() + ")");
  }
  RETURN_IF_ERROR(Adopt(filtered.get(), std::move(expr)));
  RETURN_IF_ERROR(AdoptBound(filtered.get(), filtered->filter->signature,
                             "the filter '" + name + "'", std::move(arguments)));
  return filtered;
}

// map('filter', its arguments...), or map(attribute=, default=).
absl::StatusOr<ExprPtr> ExpressionParser::ParseMap(ExprPtr map, ExprPtr expr, Arguments arguments) {
  const bool by_attribute =
      arguments.values.size() == arguments.names.size() && !arguments.names.empty();
  if (by_attribute) {
    const bool standard = arguments.names.size() == 2;
    map->kind = ExprKind::kMapAttribute;
    RETURN_IF_ERROR(Adopt(map.get(), std::move(expr)));
    RETURN_IF_ERROR(AdoptBound(map.get(), standard ? "attribute, default" : "attribute",
                               "the filter 'map'", std::move(arguments)));
    return map;
  }
  const std::string* const name = LiteralText(arguments.values, 0);
  if (name == nullptr) return stream_.Unsupported("the filter 'map' without a filter's name");
  const std::string filter = *name;
  ASSIGN_OR_RETURN(map, ParseNamedFilter(std::move(map), std::move(expr), filter,
                                         Rest(std::move(arguments), 1)));
  map->kind = ExprKind::kMap;
  return map;
}

// select('test', its arguments...), selectattr('attribute', 'test', its arguments...), and reject.
absl::StatusOr<ExprPtr> ExpressionParser::ParseSelect(ExprPtr select, ExprPtr expr,
                                                      const std::string& name,
                                                      Arguments arguments) {
  select->kind = ExprKind::kSelect;
  select->negated = name.starts_with("reject");
  RETURN_IF_ERROR(Adopt(select.get(), std::move(expr)));
  const bool by_attribute = name.ends_with("attr");
  const size_t n_placed = arguments.values.size() - arguments.names.size();
  if (by_attribute && n_placed == 0) {
    return stream_.Unsupported("the filter '" + name + "' without an attribute");
  }
  ExprPtr attribute =
      by_attribute ? std::move(arguments.values[0]) : New(ExprKind::kLiteral);  // none
  RETURN_IF_ERROR(Adopt(select.get(), std::move(attribute)));
  arguments = Rest(std::move(arguments), by_attribute ? 1 : 0);
  if (arguments.values.empty()) return select;
  const std::string* const test = LiteralText(arguments.values, 0);
  if (test == nullptr || FindTest(*test) == nullptr) {
    return stream_.Unsupported(
        "the filter '" + name + "' by " +
        (test == nullptr ? "what is no test's name" : "the test '" + *test + "'") +
        " (known: " + TestNames() + ")");
  }
  select->test = FindTest(*test);
  const std::string what = "the test '" + *test + "'";
  RETURN_IF_ERROR(
      AdoptBound(select.get(), select->test->signature, what, Rest(std::move(arguments), 1)));
  return select;
}

// In parentheses, or one operand without: x is divisibleby 3.
absl::StatusOr<Arguments> ExpressionParser::ParseTestArguments() {
  if (stream_.TakeOperator("(")) return ParseArguments();
  const bool name = stream_.Is(LexemeKind::kName) && !stream_.IsName("else") &&
                    !stream_.IsName("or") && !stream_.IsName("and");
  const bool operand = name || stream_.Is(LexemeKind::kString) ||
                       stream_.Is(LexemeKind::kInteger) || stream_.Is(LexemeKind::kReal) ||
                       stream_.IsOperator("[") || stream_.IsOperator("{");
  Arguments arguments;
  if (!operand) return arguments;
  if (stream_.IsName("is")) return stream_.Unexpected("one test");
  ASSIGN_OR_RETURN(ExprPtr primary, ParsePrimary());
  ASSIGN_OR_RETURN(primary, ParsePostfix(std::move(primary)));
  arguments.values.push_back(std::move(primary));
  return arguments;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseTest(ExprPtr expr) {
  stream_.Take();
  ExprPtr negation = New(ExprKind::kNot);
  const bool negated = stream_.TakeName("not");
  ExprPtr test = New(ExprKind::kTest);
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of a test");
  const std::string name = stream_.current().text;
  test->test = FindTest(name);
  if (test->test == nullptr) {
    return stream_.Unsupported("the test '" + name + "' (known: " + TestNames() + ")");
  }
  stream_.Take();
  RETURN_IF_ERROR(Adopt(test.get(), std::move(expr)));
  ASSIGN_OR_RETURN(Arguments arguments, ParseTestArguments());
  RETURN_IF_ERROR(AdoptBound(test.get(), test->test->signature, "the test '" + name + "'",
                             std::move(arguments)));
  if (!negated) return test;
  RETURN_IF_ERROR(Adopt(negation.get(), std::move(test)));
  return negation;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseMethod(ExprPtr object, ExprPtr attribute) {
  ExprPtr call = std::move(attribute);
  const std::string what = "the method '" + call->name + "'";
  call->kind = ExprKind::kMethod;
  call->method = FindMethod(call->name);
  if (call->method == nullptr) {
    return Unimplemented(
        AtPlace(call->line, call->column,
                what + " is not supported in chat templates (known: " + MethodNames() + ")"));
  }
  stream_.Take();
  RETURN_IF_ERROR(Adopt(call.get(), std::move(object)));
  ASSIGN_OR_RETURN(Arguments arguments, ParseArguments());
  RETURN_IF_ERROR(AdoptBound(call.get(), call->method->signature, what, std::move(arguments)));
  return call;
}

// A macro, or what a variable holds of one.
absl::StatusOr<ExprPtr> ExpressionParser::ParseCall(ExprPtr callee) {
  ExprPtr call = New(ExprKind::kCall);
  stream_.Take();
  RETURN_IF_ERROR(Adopt(call.get(), std::move(callee)));
  ASSIGN_OR_RETURN(Arguments arguments, ParseArguments());
  for (ExprPtr& argument : arguments.values)
    RETURN_IF_ERROR(Adopt(call.get(), std::move(argument)));
  call->ops = std::move(arguments.names);
  return call;
}

// A function that jinja2 or Hugging Face define beside the variables.
absl::StatusOr<ExprPtr> ExpressionParser::ParseGlobal() {
  struct Global {
    std::string_view name;
    ExprKind kind;
    std::string_view signature;  // of those that take no names of the template's own
  };
  constexpr Global kGlobals[] = {{"dict", ExprKind::kDictOf, ""},
                                 {"namespace", ExprKind::kNamespace, ""},
                                 {"raise_exception", ExprKind::kRaise, "message"},
                                 {"range", ExprKind::kRange, ""},
                                 {"strftime_now", ExprKind::kNow, "format"}};
  const std::string name = stream_.current().text;
  const Global* global = nullptr;
  for (const Global& one : kGlobals) global = one.name == name ? &one : global;
  if (global == nullptr) {
    return stream_.Unsupported("the function '" + name +
                               "' (known: dict, namespace, raise_exception, range, strftime_now)");
  }
  ExprPtr call = New(global->kind);
  stream_.Take();
  stream_.Take();
  ASSIGN_OR_RETURN(Arguments arguments, ParseArguments());
  if (!global->signature.empty()) {
    RETURN_IF_ERROR(AdoptBound(call.get(), global->signature, name, std::move(arguments)));
    return call;
  }
  const size_t n = arguments.values.size();
  const bool fits = global->kind == ExprKind::kRange ? n >= 1 && n <= 3 && arguments.names.empty()
                                                     : n - arguments.names.size() <= 1;
  if (!fits) return stream_.Unsupported(name + " with these " + std::to_string(n) + " arguments");
  for (ExprPtr& argument : arguments.values)
    RETURN_IF_ERROR(Adopt(call.get(), std::move(argument)));
  call->ops = std::move(arguments.names);
  return call;
}

}  // namespace mortar::jinja
