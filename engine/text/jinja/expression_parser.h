// Expressions of a template, in jinja2's precedence.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/token_stream.h"

namespace mortar::jinja {

using ExprPtr = std::unique_ptr<Expr>;

// Why a name cannot be read or set by a template ("loop" alone, jinja2's globals); empty: it can.
std::string ReservedName(std::string_view name);

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  absl::StatusOr<ExprPtr> ParseExpression();  // with x if y else z
  absl::StatusOr<ExprPtr> ParseOr();          // without

 private:
  using Rule = absl::StatusOr<ExprPtr> (ExpressionParser::*)();

  absl::StatusOr<ExprPtr> ParseChain(Rule operand, std::string_view word, ExprKind kind);
  absl::StatusOr<ExprPtr> ParseAnd();
  absl::StatusOr<ExprPtr> ParseNot();
  absl::StatusOr<ExprPtr> ParseCompare();
  bool TakeComparison(std::string* op);
  absl::StatusOr<ExprPtr> ParseSum();
  absl::StatusOr<ExprPtr> ParseConcat();
  absl::StatusOr<ExprPtr> ParseProduct();
  absl::StatusOr<ExprPtr> ParseArithmetic(Rule operand, std::vector<std::string_view> ops);
  absl::StatusOr<ExprPtr> ParseUnary();
  absl::StatusOr<ExprPtr> ParseUnaryPlain();
  absl::StatusOr<ExprPtr> ParseFilters(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseFilter(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseTest(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParsePostfix(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseAttribute(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseSubscript(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParsePrimary();
  absl::StatusOr<ExprPtr> ParseName();
  absl::StatusOr<ExprPtr> ParseCall();
  absl::StatusOr<ExprPtr> ParseString();
  absl::StatusOr<ExprPtr> ParseInteger();
  absl::StatusOr<ExprPtr> ParseList();
  absl::Status ParseArguments(std::string_view closing, Expr* expr);

  ExprPtr New(ExprKind kind) const;
  absl::Status Adopt(Expr* parent, ExprPtr argument) const;

  TokenStream& stream_;
  int nesting_ = 0;
};

}  // namespace mortar::jinja
