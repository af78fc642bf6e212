// The innermost parts of expressions: names, literals, and what follows them with a dot or in
// brackets.
#include <algorithm>
#include <charconv>

#include "engine/text/jinja/expression_parser.h"
#include "engine/text/jinja/python_names.h"

namespace mortar::jinja {
namespace {

constexpr std::string_view kLoopNames[] = {"depth",    "depth0",   "first",    "index",
                                           "index0",   "last",     "length",   "nextitem",
                                           "previtem", "revindex", "revindex0"};

// Names that jinja2 or Hugging Face define beside the variables.
constexpr std::string_view kGlobals[] = {"cycler",          "dict",      "joiner",
                                         "lipsum",          "namespace", "range",
                                         "raise_exception", "self",      "strftime_now"};

template <size_t kN>
bool Among(const std::string_view (&names)[kN], std::string_view name) {
  return std::find(names, names + kN, name) != names + kN;
}

}  // namespace

std::string ReservedName(std::string_view name) {
  if (name == "loop") return "'loop' other than its attributes";
  return Among(kGlobals, name) ? "the global '" + std::string(name) + "'" : "";
}

absl::StatusOr<ExprPtr> ExpressionParser::ParsePostfix(ExprPtr expr) {
  for (;;) {
    if (stream_.IsOperator(".")) {
      ASSIGN_OR_RETURN(expr, ParseAttribute(std::move(expr)));
    } else if (stream_.IsOperator("[")) {
      ASSIGN_OR_RETURN(expr, ParseSubscript(std::move(expr)));
    } else if (stream_.IsOperator("(")) {
      ASSIGN_OR_RETURN(expr, ParseCall(std::move(expr)));
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseAttribute(ExprPtr expr) {
  ExprPtr attribute = New(ExprKind::kAttribute);
  stream_.Take();
  if (stream_.Is(LexemeKind::kInteger)) {  // a.0 is a[0]
    attribute->kind = ExprKind::kItem;
    RETURN_IF_ERROR(Adopt(attribute.get(), std::move(expr)));
    ASSIGN_OR_RETURN(ExprPtr index, ParseInteger());
    RETURN_IF_ERROR(Adopt(attribute.get(), std::move(index)));
    return attribute;
  }
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of an attribute");
  attribute->name = stream_.current().text;
  const bool of_loop = expr->kind == ExprKind::kName && expr->name == "loop";
  if (of_loop ? !Among(kLoopNames, attribute->name) : attribute->name.starts_with('_')) {
    return stream_.Unsupported("the attribute '" + attribute->name + "'");
  }
  stream_.Take();
  if (stream_.IsOperator("(") && IsPythonName(attribute->name)) {
    return ParseMethod(std::move(expr), std::move(attribute));
  }
  RETURN_IF_ERROR(Adopt(attribute.get(), std::move(expr)));
  return attribute;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseSubscript(ExprPtr expr) {
  ExprPtr item = New(ExprKind::kItem);
  stream_.Take();
  RETURN_IF_ERROR(Adopt(item.get(), std::move(expr)));
  ExprPtr bounds[3];
  if (!stream_.IsOperator(":")) {
    ASSIGN_OR_RETURN(bounds[0], ParseExpression());
  }
  if (stream_.TakeOperator("]")) {
    RETURN_IF_ERROR(Adopt(item.get(), std::move(bounds[0])));
    return item;
  }
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple as a key");
  item->kind = ExprKind::kSlice;
  for (int i = 1; i < 3; ++i) {
    if (i == 1) RETURN_IF_ERROR(stream_.Expect(":"));
    if (i == 2 && !stream_.TakeOperator(":")) break;
    if (stream_.IsOperator("]") || stream_.IsOperator(":")) continue;
    ASSIGN_OR_RETURN(bounds[i], ParseExpression());
  }
  RETURN_IF_ERROR(stream_.Expect("]"));
  for (ExprPtr& bound : bounds) {
    if (bound == nullptr) bound = New(ExprKind::kLiteral);  // None, which Python takes as open
    RETURN_IF_ERROR(Adopt(item.get(), std::move(bound)));
  }
  return item;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParsePrimary() {
  if (stream_.Is(LexemeKind::kName)) return ParseName();
  if (stream_.Is(LexemeKind::kString)) return ParseString();
  if (stream_.Is(LexemeKind::kInteger)) return ParseInteger();
  if (stream_.Is(LexemeKind::kReal)) return ParseReal();
  if (stream_.IsOperator("[")) return ParseList();
  if (stream_.IsOperator("{")) return ParseDict();
  if (stream_.IsOperator("(")) return ParseParentheses();
  return stream_.Unexpected("an expression");
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseParentheses() {
  ExprPtr empty = New(ExprKind::kTuple);
  stream_.Take();
  if (stream_.TakeOperator(")")) return empty;
  ASSIGN_OR_RETURN(ExprPtr inner, ParseTuple());
  RETURN_IF_ERROR(stream_.Expect(")"));
  return inner;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseName() {
  const std::string& name = stream_.current().text;
  if (name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
      name == "None") {
    ExprPtr literal = New(ExprKind::kLiteral);
    if (name[0] != 'n' && name[0] != 'N') literal->value = Value(name[0] == 't' || name[0] == 'T');
    stream_.Take();
    return literal;
  }
  const bool called = stream_.next().kind == LexemeKind::kOperator && stream_.next().text == "(";
  if (called && name != "loop" && !ReservedName(name).empty()) return ParseGlobal();
  const bool attribute = stream_.next().kind == LexemeKind::kOperator && stream_.next().text == ".";
  // "strftime_now is defined" is asked of the functions that there are.
  constexpr std::string_view kFunctions[] = {"dict", "namespace", "raise_exception", "range",
                                             "strftime_now"};
  if (Among(kFunctions, name)) {
    ExprPtr function = New(ExprKind::kLiteral);
    function->value = Callable{SIZE_MAX};
    stream_.Take();
    return function;
  }
  if (const std::string why = ReservedName(name); !why.empty() && !(name == "loop" && attribute)) {
    return stream_.Unsupported(why);
  }
  ExprPtr expr = New(ExprKind::kName);
  expr->name = stream_.Take().text;
  saw_caller_ |= expr->name == "caller";
  return expr;
}

// Neighbouring strings are one, as in jinja2.
absl::StatusOr<ExprPtr> ExpressionParser::ParseString() {
  ExprPtr literal = New(ExprKind::kLiteral);
  std::string text;
  while (stream_.Is(LexemeKind::kString)) text += stream_.Take().text;
  literal->value = Value(Text(text, true));
  return literal;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseInteger() {
  ExprPtr literal = New(ExprKind::kLiteral);
  const std::string& digits = stream_.current().text;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc()) return stream_.Unsupported("an integer of more than 64 bits");
  literal->value = Value(number);
  stream_.Take();
  return literal;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseReal() {
  ExprPtr literal = New(ExprKind::kLiteral);
  const std::string& digits = stream_.current().text;
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc()) return stream_.Unsupported("a number outside of what doubles hold");
  literal->value = Value(number);
  stream_.Take();
  return literal;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseList() {
  ExprPtr list = New(ExprKind::kList);
  stream_.Take();
  while (!stream_.TakeOperator("]")) {
    if (!list->args.empty()) {
      RETURN_IF_ERROR(stream_.Expect(","));
      if (stream_.TakeOperator("]")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    RETURN_IF_ERROR(Adopt(list.get(), std::move(item)));
  }
  return list;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseDict() {
  ExprPtr dict = New(ExprKind::kDict);
  stream_.Take();
  while (!stream_.TakeOperator("}")) {
    if (!dict->args.empty()) {
      RETURN_IF_ERROR(stream_.Expect(","));
      if (stream_.TakeOperator("}")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr key, ParseExpression());
    RETURN_IF_ERROR(stream_.Expect(":"));
    ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
    RETURN_IF_ERROR(Adopt(dict.get(), std::move(key)));
    RETURN_IF_ERROR(Adopt(dict.get(), std::move(value)));
  }
  return dict;
}

}  // namespace mortar::jinja
