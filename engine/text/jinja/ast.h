// The tree of a template. Built once by the parser, then read by any number of renderings.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/jinja/value.h"

namespace mortar::jinja {

struct Filter;
struct Method;
struct Test;

enum class ExprKind {
  kLiteral,       // value
  kName,          // name
  kAttribute,     // args[0].name
  kItem,          // args[0][args[1]]
  kSlice,         // args[0][args[1]:args[2]:args[3]]; none leaves a bound open
  kList,          // [args...]
  kTuple,         // (args...)
  kDict,          // {args[0]: args[1], args[2]: args[3], ...}
  kNegate,        // -args[0]
  kPlus,          // +args[0]
  kNot,           // not args[0]
  kAnd,           // args[0] and args[1]
  kOr,            // args[0] or args[1]
  kArithmetic,    // args[0] op args[1], op one of + - * / // %
  kConcat,        // args[0] ~ args[1] ~ ...
  kCompare,       // args[0] ops[0] args[1] ops[1] args[2] ...
  kConditional,   // args[1] if args[0] else args[2], which may be missing
  kFilter,        // args[0] | filter(args[1], ...)
  kTest,          // args[0] is test(args[1], ...)
  kMap,           // args[0] | map of filter(args[1], ...)
  kMapAttribute,  // args[0] | map of the attribute args[1], by default args[2], which may be
                  // missing
  kSelect,     // args[0] | those whose attribute args[1] (none: themselves) is test(args[2], ...)
               // (null: true); those which are not, where negated
  kMethod,     // args[0].method(args[1], ...)
  kCall,       // args[0](args[1], ..., ops[0]=, ...): ops name the last arguments
  kDictOf,     // dict(args..., ops=...): at most one argument without a name
  kNamespace,  // namespace(args..., ops=...): likewise
  kRaise,      // raise_exception(args[0])
  kRange,      // range(args...)
  kNow,        // strftime_now(args[0])
};

struct Expr {
  ExprKind kind;
  int line;
  int column;
  int depth = 1;  // 1 + that of the deepest argument
  std::string name;
  Value value;
  const Filter* filter = nullptr;
  const Test* test = nullptr;
  const Method* method = nullptr;
  bool negated = false;
  std::vector<std::string> ops;
  std::vector<std::unique_ptr<Expr>> args;
};

struct Statement;
using Body = std::vector<Statement>;

struct Branch {
  std::unique_ptr<Expr> condition;  // null: else
  Body body;
};

// What a macro or a call block takes. Each parameter's default may be null: there is none.
struct Parameters {
  std::vector<std::string> names;
  std::vector<std::unique_ptr<Expr>> defaults;  // as many as names
  bool uses_caller = false;                     // the body speaks of 'caller'
};

enum class StatementKind {
  kText,          // text, trusted
  kOutput,        // {{ expr }}
  kFor,           // {% for targets in expr if filter %} body {% else %} otherwise
  kIf,            // branches
  kSet,           // {% set targets = expr %}
  kSetAttribute,  // {% set targets[0].attribute = expr %}
  kSetBlock,      // {% set targets[0] %} body
  kMacro,         // {% macro targets[0](parameters) %} body
  kCallBlock,     // {% call(parameters) expr %} body; expr is a kCall
  kScope,         // {% generation %} body: variables that it sets are its own
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind;
  int line;
  int column;
  Text text;
  std::vector<std::string> targets;  // several: each takes one item
  std::string attribute;
  std::unique_ptr<Expr> expr;
  std::unique_ptr<Expr> filter;  // null: every item
  Parameters parameters;
  Body body;
  Body otherwise;
  std::vector<Branch> branches;
};

}  // namespace mortar::jinja
