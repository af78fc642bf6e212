// Expressions of a template, in jinja2's precedence.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/signature.h"
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
  absl::StatusOr<ExprPtr> ParseTuple();       // expressions with commas between, or one alone
  absl::StatusOr<ExprPtr> ParseFilters(ExprPtr expr);  // what follows expr of | and is
  absl::StatusOr<ExprPtr> ParsePostfix(ExprPtr expr);  // what follows it of . [ and (

  // Whether the name 'caller' was read since the last call of this.
  bool TakeSawCaller() { return std::exchange(saw_caller_, false); }

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
  absl::StatusOr<ExprPtr> ParseFilter(ExprPtr expr);
  // `node` has the place of the filter, and becomes what these return.
  absl::StatusOr<ExprPtr> ParseNamedFilter(ExprPtr node, ExprPtr expr, const std::string& name,
                                           Arguments arguments);
  absl::StatusOr<ExprPtr> ParseMap(ExprPtr node, ExprPtr expr, Arguments arguments);
  absl::StatusOr<ExprPtr> ParseSelect(ExprPtr node, ExprPtr expr, const std::string& name,
                                      Arguments arguments);
  absl::StatusOr<ExprPtr> ParseTest(ExprPtr expr);
  absl::StatusOr<Arguments> ParseTestArguments();
  absl::StatusOr<ExprPtr> ParseAttribute(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParseMethod(ExprPtr object, ExprPtr attribute);
  absl::StatusOr<ExprPtr> ParseSubscript(ExprPtr expr);
  absl::StatusOr<ExprPtr> ParsePrimary();
  absl::StatusOr<ExprPtr> ParseName();
  absl::StatusOr<ExprPtr> ParseGlobal();
  absl::StatusOr<ExprPtr> ParseCall(ExprPtr callee);
  absl::StatusOr<ExprPtr> ParseString();
  absl::StatusOr<ExprPtr> ParseInteger();
  absl::StatusOr<ExprPtr> ParseReal();
  absl::StatusOr<ExprPtr> ParseParentheses();
  absl::StatusOr<ExprPtr> ParseList();
  absl::StatusOr<ExprPtr> ParseDict();
  absl::StatusOr<Arguments> ParseArguments();  // after the (, up to and with the )
  absl::Status AdoptBound(Expr* expr, std::string_view signature, const std::string& what,
                          Arguments arguments) const;
  absl::Status TooDeepHere() const;

  ExprPtr New(ExprKind kind) const;
  absl::Status Adopt(Expr* parent, ExprPtr argument) const;

  TokenStream& stream_;
  int nesting_ = 0;
  bool saw_caller_ = false;
};

}  // namespace mortar::jinja
