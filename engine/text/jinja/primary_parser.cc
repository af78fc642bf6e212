// The innermost parts of expressions: names, literals, calls, and what follows them with a dot
// or in brackets.
#include <algorithm>
#include <charconv>

#include "engine/text/jinja/expression_parser.h"

namespace mortar::jinja {
namespace {

// Attributes of Python's str, list, dict and int, which jinja2 finds before a dict's own items.
constexpr std::string_view kPythonNames[] = {"append",       "as_integer_ratio",
                                             "bit_count",    "bit_length",
                                             "capitalize",   "casefold",
                                             "center",       "clear",
                                             "conjugate",    "copy",
                                             "count",        "denominator",
                                             "encode",       "endswith",
                                             "expandtabs",   "extend",
                                             "find",         "format",
                                             "format_map",   "from_bytes",
                                             "fromkeys",     "get",
                                             "imag",         "index",
                                             "insert",       "isalnum",
                                             "isalpha",      "isascii",
                                             "isdecimal",    "isdigit",
                                             "isidentifier", "islower",
                                             "isnumeric",    "isprintable",
                                             "isspace",      "istitle",
                                             "isupper",      "items",
                                             "join",         "keys",
                                             "ljust",        "lower",
                                             "lstrip",       "maketrans",
                                             "numerator",    "partition",
                                             "pop",          "popitem",
                                             "real",         "remove",
                                             "removeprefix", "removesuffix",
                                             "replace",      "reverse",
                                             "rfind",        "rindex",
                                             "rjust",        "rpartition",
                                             "rsplit",       "rstrip",
                                             "setdefault",   "sort",
                                             "split",        "splitlines",
                                             "startswith",   "strip",
                                             "swapcase",     "title",
                                             "to_bytes",     "translate",
                                             "update",       "upper",
                                             "values",       "zfill"};

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
      return stream_.Unsupported("calling this");
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseAttribute(ExprPtr expr) {
  ExprPtr attribute = New(ExprKind::kAttribute);
  stream_.Take();
  if (stream_.Is(LexemeKind::kInteger)) return stream_.Unsupported("a number as an attribute");
  if (!stream_.Is(LexemeKind::kName)) return stream_.Unexpected("the name of an attribute");
  attribute->name = stream_.current().text;
  const bool of_loop = expr->kind == ExprKind::kName && expr->name == "loop";
  if (of_loop ? !Among(kLoopNames, attribute->name)
              : Among(kPythonNames, attribute->name) || attribute->name.starts_with('_')) {
    return stream_.Unsupported("the attribute '" + attribute->name + "'");
  }
  stream_.Take();
  RETURN_IF_ERROR(Adopt(attribute.get(), std::move(expr)));
  return attribute;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseSubscript(ExprPtr expr) {
  ExprPtr item = New(ExprKind::kItem);
  stream_.Take();
  RETURN_IF_ERROR(Adopt(item.get(), std::move(expr)));
  ExprPtr first;
  if (!stream_.IsOperator(":")) {
    const Lexeme& lexeme = stream_.current();
    if (lexeme.kind == LexemeKind::kString && Among(kPythonNames, lexeme.text)) {
      return stream_.Unsupported("the key '" + lexeme.text + "'");
    }
    ASSIGN_OR_RETURN(first, ParseExpression());
  }
  if (stream_.TakeOperator("]")) {
    RETURN_IF_ERROR(Adopt(item.get(), std::move(first)));
    return item;
  }
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple as a key");
  RETURN_IF_ERROR(stream_.Expect(":"));
  item->kind = ExprKind::kSlice;
  ExprPtr second;
  if (!stream_.IsOperator("]") && !stream_.IsOperator(":")) {
    ASSIGN_OR_RETURN(second, ParseExpression());
  }
  if (stream_.IsOperator(":")) return stream_.Unsupported("the step of a slice");
  RETURN_IF_ERROR(stream_.Expect("]"));
  for (ExprPtr* const bound : {&first, &second}) {
    if (*bound == nullptr) *bound = New(ExprKind::kLiteral);  // None, which Python takes as open
    RETURN_IF_ERROR(Adopt(item.get(), std::move(*bound)));
  }
  return item;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParsePrimary() {
  if (stream_.Is(LexemeKind::kName)) return ParseName();
  if (stream_.Is(LexemeKind::kString)) return ParseString();
  if (stream_.Is(LexemeKind::kInteger)) return ParseInteger();
  if (stream_.IsOperator("[")) return ParseList();
  if (stream_.IsOperator("{")) return stream_.Unsupported("a dict in braces");
  if (!stream_.IsOperator("(")) return stream_.Unexpected("an expression");
  stream_.Take();
  if (stream_.IsOperator(")")) return stream_.Unsupported("a tuple");
  ASSIGN_OR_RETURN(ExprPtr inner, ParseExpression());
  if (stream_.IsOperator(",")) return stream_.Unsupported("a tuple");
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
  if (called) return ParseCall();
  const bool attribute = stream_.next().kind == LexemeKind::kOperator && stream_.next().text == ".";
  if (const std::string why = ReservedName(name); !why.empty() && !(name == "loop" && attribute)) {
    return stream_.Unsupported(why);
  }
  ExprPtr expr = New(ExprKind::kName);
  expr->name = stream_.Take().text;
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseCall() {
  const std::string& name = stream_.current().text;
  const bool raise = name == "raise_exception";
  if (!raise && name != "range") {
    return stream_.Unsupported("the function '" + name + "' (known: raise_exception, range)");
  }
  ExprPtr call = New(raise ? ExprKind::kRaise : ExprKind::kRange);
  stream_.Take();
  stream_.Take();
  RETURN_IF_ERROR(ParseArguments(")", call.get()));
  const size_t n = call->args.size();
  if (n == 0 || n > (raise ? 1u : 3u)) {
    return stream_.Unsupported(std::string(raise ? "raise_exception" : "range") + " with " +
                               std::to_string(n) + " arguments");
  }
  return call;
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

absl::StatusOr<ExprPtr> ExpressionParser::ParseList() {
  ExprPtr list = New(ExprKind::kList);
  stream_.Take();
  RETURN_IF_ERROR(ParseArguments("]", list.get()));
  return list;
}

// Expressions with commas between them, up to and with `closing`; one comma may end them.
absl::Status ExpressionParser::ParseArguments(std::string_view closing, Expr* expr) {
  bool first = true;
  while (!stream_.TakeOperator(closing)) {
    if (!first) {
      RETURN_IF_ERROR(stream_.Expect(","));
      if (stream_.TakeOperator(closing)) break;
    }
    first = false;
    if (stream_.IsOperator("*") || stream_.IsOperator("**")) {
      return stream_.Unsupported("unpacking arguments");
    }
    ASSIGN_OR_RETURN(ExprPtr argument, ParseExpression());
    if (stream_.IsOperator("=")) return stream_.Unsupported("an argument given by name");
    RETURN_IF_ERROR(Adopt(expr, std::move(argument)));
  }
  return absl::OkStatus();
}

}  // namespace mortar::jinja
