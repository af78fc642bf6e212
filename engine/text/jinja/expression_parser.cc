// Operators. call_parser.cc has filters, tests and calls, primary_parser.cc what they stand
// between.
#include "engine/text/jinja/expression_parser.h"

#include <algorithm>

#include "engine/text/jinja/deeper.h"
#include "engine/text/jinja/limits.h"

namespace mortar::jinja {
namespace {

absl::Status TooDeep(int line, int column) {
  return ResourceExhausted(AtPlace(
      line, column, "expressions nest deeper than " + std::to_string(kNestingMax) + " levels"));
}

}  // namespace

absl::Status ExpressionParser::TooDeepHere() const {
  return TooDeep(stream_.current().line, stream_.current().column);
}

ExprPtr ExpressionParser::New(ExprKind kind) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = stream_.current().line;
  expr->column = stream_.current().column;
  return expr;
}

absl::Status ExpressionParser::Adopt(Expr* parent, ExprPtr argument) const {
  parent->depth = std::max(parent->depth, argument->depth + 1);
  if (parent->depth > kNestingMax) return TooDeep(parent->line, parent->column);
  parent->args.push_back(std::move(argument));
  return absl::OkStatus();
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseExpression() {
  const Deeper deeper(&nesting_);
  if (nesting_ > kNestingMax) return TooDeepHere();
  ASSIGN_OR_RETURN(ExprPtr value, ParseOr());
  while (stream_.IsName("if")) {
    ExprPtr choice = New(ExprKind::kConditional);
    stream_.Take();
    ASSIGN_OR_RETURN(ExprPtr condition, ParseOr());
    RETURN_IF_ERROR(Adopt(choice.get(), std::move(condition)));
    RETURN_IF_ERROR(Adopt(choice.get(), std::move(value)));
    if (stream_.TakeName("else")) {
      ASSIGN_OR_RETURN(ExprPtr otherwise, ParseExpression());
      RETURN_IF_ERROR(Adopt(choice.get(), std::move(otherwise)));
    }
    value = std::move(choice);
  }
  return value;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseTuple() {
  ASSIGN_OR_RETURN(ExprPtr first, ParseExpression());
  if (!stream_.IsOperator(",")) return first;
  ExprPtr tuple = New(ExprKind::kTuple);
  RETURN_IF_ERROR(Adopt(tuple.get(), std::move(first)));
  while (stream_.TakeOperator(",")) {
    const bool ends = stream_.IsOperator(")") || stream_.Is(LexemeKind::kOutputEnd) ||
                      stream_.Is(LexemeKind::kBlockEnd) || stream_.IsName("in");
    if (ends) break;
    ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    RETURN_IF_ERROR(Adopt(tuple.get(), std::move(item)));
  }
  return tuple;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseChain(Rule operand, std::string_view word,
                                                     ExprKind kind) {
  ASSIGN_OR_RETURN(ExprPtr left, (this->*operand)());
  while (stream_.IsName(word)) {
    ExprPtr expr = New(kind);
    stream_.Take();
    RETURN_IF_ERROR(Adopt(expr.get(), std::move(left)));
    ASSIGN_OR_RETURN(ExprPtr right, (this->*operand)());
    RETURN_IF_ERROR(Adopt(expr.get(), std::move(right)));
    left = std::move(expr);
  }
  return left;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseOr() {
  return ParseChain(&ExpressionParser::ParseAnd, "or", ExprKind::kOr);
}
absl::StatusOr<ExprPtr> ExpressionParser::ParseAnd() {
  return ParseChain(&ExpressionParser::ParseNot, "and", ExprKind::kAnd);
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseNot() {
  if (!stream_.IsName("not")) return ParseCompare();
  const Deeper deeper(&nesting_);
  if (nesting_ > kNestingMax) return TooDeepHere();
  ExprPtr expr = New(ExprKind::kNot);
  stream_.Take();
  ASSIGN_OR_RETURN(ExprPtr operand, ParseNot());
  RETURN_IF_ERROR(Adopt(expr.get(), std::move(operand)));
  return expr;
}

bool ExpressionParser::TakeComparison(std::string* op) {
  for (const char* const known : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (stream_.IsOperator(known)) *op = stream_.Take().text;
    if (*op == known) return true;
  }
  if (stream_.TakeName("in")) {
    *op = "in";
  } else if (stream_.IsName("not") && stream_.next().kind == LexemeKind::kName &&
             stream_.next().text == "in") {
    stream_.Take();
    stream_.Take();
    *op = "not in";
  }
  return !op->empty();
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseCompare() {
  ASSIGN_OR_RETURN(ExprPtr first, ParseSum());
  ExprPtr expr = New(ExprKind::kCompare);
  std::string op;
  while (TakeComparison(&op)) {
    if (expr->args.empty()) RETURN_IF_ERROR(Adopt(expr.get(), std::move(first)));
    expr->ops.push_back(std::move(op));
    op.clear();
    ASSIGN_OR_RETURN(ExprPtr operand, ParseSum());
    RETURN_IF_ERROR(Adopt(expr.get(), std::move(operand)));
  }
  return expr->args.empty() ? std::move(first) : std::move(expr);
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseArithmetic(Rule operand,
                                                          std::vector<std::string_view> ops) {
  ASSIGN_OR_RETURN(ExprPtr left, (this->*operand)());
  for (;;) {
    const bool known = std::any_of(ops.begin(), ops.end(),
                                   [this](std::string_view op) { return stream_.IsOperator(op); });
    if (!known) return left;
    ExprPtr expr = New(ExprKind::kArithmetic);
    expr->name = stream_.Take().text;
    RETURN_IF_ERROR(Adopt(expr.get(), std::move(left)));
    ASSIGN_OR_RETURN(ExprPtr right, (this->*operand)());
    RETURN_IF_ERROR(Adopt(expr.get(), std::move(right)));
    left = std::move(expr);
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseSum() {
  return ParseArithmetic(&ExpressionParser::ParseConcat, {"+", "-"});
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseConcat() {
  ASSIGN_OR_RETURN(ExprPtr first, ParseProduct());
  if (!stream_.IsOperator("~")) return first;
  ExprPtr expr = New(ExprKind::kConcat);
  RETURN_IF_ERROR(Adopt(expr.get(), std::move(first)));
  while (stream_.TakeOperator("~")) {
    ASSIGN_OR_RETURN(ExprPtr operand, ParseProduct());
    RETURN_IF_ERROR(Adopt(expr.get(), std::move(operand)));
  }
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseProduct() {
  ASSIGN_OR_RETURN(ExprPtr expr,
                   ParseArithmetic(&ExpressionParser::ParseUnary, {"*", "/", "//", "%"}));
  if (stream_.IsOperator("**")) {
    return stream_.Unsupported("the operator '" + stream_.current().text + "'");
  }
  return expr;
}

// As in jinja2, filters and tests bind to the whole of -x.y, and a sign to x.y.
absl::StatusOr<ExprPtr> ExpressionParser::ParseUnary() {
  ASSIGN_OR_RETURN(ExprPtr expr, ParseUnaryPlain());
  return ParseFilters(std::move(expr));
}

absl::StatusOr<ExprPtr> ExpressionParser::ParseUnaryPlain() {
  const bool minus = stream_.IsOperator("-");
  if (!minus && !stream_.IsOperator("+")) {
    ASSIGN_OR_RETURN(ExprPtr primary, ParsePrimary());
    return ParsePostfix(std::move(primary));
  }
  const Deeper deeper(&nesting_);
  if (nesting_ > kNestingMax) return TooDeepHere();
  ExprPtr expr = New(minus ? ExprKind::kNegate : ExprKind::kPlus);
  stream_.Take();
  ASSIGN_OR_RETURN(ExprPtr operand, ParseUnaryPlain());
  RETURN_IF_ERROR(Adopt(expr.get(), std::move(operand)));
  return ParsePostfix(std::move(expr));
}

}  // namespace mortar::jinja
