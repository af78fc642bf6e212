// The tree of a template. Built once by the parser, then read by any number of renderings.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/jinja/value.h"

namespace mortar::jinja {

enum class ExprKind {
  kLiteral,      // value
  kName,         // name
  kAttribute,    // args[0].name
  kItem,         // args[0][args[1]]
  kSlice,        // args[0][args[1]:args[2]]; either bound may be null
  kList,         // [args...]
  kNegate,       // -args[0]
  kPlus,         // +args[0]
  kNot,          // not args[0]
  kAnd,          // args[0] and args[1]
  kOr,           // args[0] or args[1]
  kArithmetic,   // args[0] op args[1], op one of + - * // %
  kConcat,       // args[0] ~ args[1] ~ ...
  kCompare,      // args[0] ops[0] args[1] ops[1] args[2] ...
  kConditional,  // args[1] if args[0] else args[2], which may be null
  kFilter,       // args[0] | name(args[1], ...)
  kTest,         // args[0] is name
  kRaise,        // raise_exception(args[0])
  kRange,        // range(args...)
};

struct Expr {
  ExprKind kind;
  int line;
  int column;
  int depth = 1;  // 1 + that of the deepest argument
  std::string name;
  Value value;
  std::vector<std::string> ops;
  std::vector<std::unique_ptr<Expr>> args;
};

struct Statement;
using Body = std::vector<Statement>;

struct Branch {
  std::unique_ptr<Expr> condition;  // null: else
  Body body;
};

enum class StatementKind {
  kText,    // text, trusted
  kOutput,  // {{ expr }}
  kFor,     // {% for name in expr if filter %} body {% else %} otherwise
  kIf,      // branches
  kSet,     // {% set name = expr %}
};

struct Statement {
  StatementKind kind;
  int line;
  int column;
  Text text;
  std::string name;
  std::unique_ptr<Expr> expr;
  std::unique_ptr<Expr> filter;  // null: every item
  Body body;
  Body otherwise;
  std::vector<Branch> branches;
};

}  // namespace mortar::jinja
