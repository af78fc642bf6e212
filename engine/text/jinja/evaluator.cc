#include "engine/text/jinja/evaluator.h"

#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/limits.h"
#include "engine/text/jinja/operators.h"

namespace mortar::jinja {
namespace {

using Result = absl::StatusOr<Value>;

class Evaluator {
 public:
  explicit Evaluator(Variables variables) { scopes_.push_back(std::move(variables)); }

  absl::Status Run(const Body& body);
  Text TakeOutput() { return std::move(output_); }

 private:
  absl::Status RunStatement(const Statement& statement);
  absl::Status RunFor(const Statement& loop);
  absl::StatusOr<List> FilteredItems(const Statement& loop);
  absl::Status RunIf(const Statement& choice);
  absl::Status Put(const Text& text);

  Result Run(const Expr& expr);
  Result RunUnplaced(const Expr& expr);
  Result RunName(const std::string& name) const;
  Result RunCompare(const Expr& expr);
  Result RunConcat(const Expr& expr);
  Result RunFilter(const Expr& expr);
  Result RunList(const Expr& expr);
  Result RunRaise(const Expr& expr);
  absl::StatusOr<std::vector<Value>> RunAll(const Expr& expr);
  absl::StatusOr<bool> IsTrueOf(const Expr& expr);

  // Counts one step, and those that handling `weight` bytes and items takes.
  absl::Status Charge(uint64_t weight) {
    steps_ += 1 + weight / kBytesPerStep;
    if (steps_ <= kStepsMax) return absl::OkStatus();
    return ResourceExhausted("rendering takes more than " + std::to_string(kStepsMax) + " steps");
  }

  std::vector<Variables> scopes_;  // innermost last
  Text output_;
  uint64_t steps_ = 0;
};

// The message gets the place of the innermost expression or statement that failed.
absl::Status Placed(const absl::Status& status, int line, int column) {
  const std::string message = Message(status);
  if (status.ok() || message.starts_with("line ")) return status;
  return WithContext(status, "line " + std::to_string(line) + ", column " + std::to_string(column));
}

absl::Status Evaluator::Run(const Body& body) {
  for (const Statement& statement : body) {
    const absl::Status status = RunStatement(statement);
    if (!status.ok()) return Placed(status, statement.line, statement.column);
  }
  return absl::OkStatus();
}

absl::Status Evaluator::RunStatement(const Statement& statement) {
  RETURN_IF_ERROR(Charge(0));
  switch (statement.kind) {
    case StatementKind::kText:
      return Put(statement.text);
    case StatementKind::kOutput: {
      ASSIGN_OR_RETURN(const Value value, Run(*statement.expr));
      ASSIGN_OR_RETURN(const Text text, Print(value));
      return Put(text);
    }
    case StatementKind::kFor:
      return RunFor(statement);
    case StatementKind::kIf:
      return RunIf(statement);
    case StatementKind::kSet:
      break;
  }
  ASSIGN_OR_RETURN(scopes_.back()[statement.name], Run(*statement.expr));
  return absl::OkStatus();
}

absl::Status Evaluator::Put(const Text& text) {
  if (text.size() > kOutputBytesMax - output_.size()) {
    return ResourceExhausted("the output has more than " + std::to_string(kOutputBytesMax) +
                             " bytes");
  }
  RETURN_IF_ERROR(Charge(text.memory_bytes()));
  output_.Append(text);
  return absl::OkStatus();
}

absl::Status Evaluator::RunIf(const Statement& choice) {
  for (const Branch& branch : choice.branches) {
    bool taken = branch.condition == nullptr;
    if (!taken) {
      ASSIGN_OR_RETURN(taken, IsTrueOf(*branch.condition));
    }
    if (taken) return Run(branch.body);
  }
  return absl::OkStatus();
}

absl::StatusOr<List> Evaluator::FilteredItems(const Statement& loop) {
  ASSIGN_OR_RETURN(const Value value, Run(*loop.expr));
  RETURN_IF_ERROR(Charge(value.weight()));
  ASSIGN_OR_RETURN(List items, Items(value));
  RETURN_IF_ERROR(Charge(items.size() * kBytesPerStep));
  if (loop.filter == nullptr) return items;
  List kept;
  for (Value& item : items) {
    scopes_.push_back({{loop.name, item}});
    const absl::StatusOr<bool> taken = IsTrueOf(*loop.filter);
    scopes_.pop_back();
    if (!taken.ok()) return taken.status();
    if (*taken) kept.push_back(std::move(item));
  }
  return kept;
}

// The variable 'loop' inside a loop's body, for item `i` of `items`.
Value LoopState(const List& items, size_t i, int64_t depth) {
  const auto n = static_cast<int64_t>(items.size());
  const auto index = static_cast<int64_t>(i);
  Dict loop;
  loop.emplace_back("depth", Value(depth));
  loop.emplace_back("depth0", Value(depth - 1));
  loop.emplace_back("first", Value(i == 0));
  loop.emplace_back("index", Value(index + 1));
  loop.emplace_back("index0", Value(index));
  loop.emplace_back("last", Value(index + 1 == n));
  loop.emplace_back("length", Value(n));
  loop.emplace_back("nextitem",
                    index + 1 < n ? items[i + 1] : Value(Undefined{"there is no next item"}));
  loop.emplace_back("previtem",
                    i > 0 ? items[i - 1] : Value(Undefined{"there is no previous item"}));
  loop.emplace_back("revindex", Value(n - index));
  loop.emplace_back("revindex0", Value(n - index - 1));
  return loop;
}

absl::Status Evaluator::RunFor(const Statement& loop) {
  ASSIGN_OR_RETURN(const List items, FilteredItems(loop));
  const size_t n_scopes = scopes_.size();
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(Charge(0));
    // jinja2 counts depth for recursive loops alone, which are not supported.
    scopes_.push_back({{loop.name, items[i]}, {"loop", LoopState(items, i, 1)}});
    const absl::Status status = Run(loop.body);
    scopes_.resize(n_scopes);
    RETURN_IF_ERROR(status);
  }
  if (!items.empty()) return absl::OkStatus();
  scopes_.emplace_back();
  const absl::Status status = Run(loop.otherwise);
  scopes_.resize(n_scopes);
  return status;
}

Result Evaluator::Run(const Expr& expr) {
  Result result = RunUnplaced(expr);
  if (!result.ok()) return Placed(result.status(), expr.line, expr.column);
  return result;
}

Result Evaluator::RunUnplaced(const Expr& expr) {
  RETURN_IF_ERROR(Charge(0));
  switch (expr.kind) {
    case ExprKind::kLiteral:
      return expr.value;
    case ExprKind::kName:
      return RunName(expr.name);
    case ExprKind::kCompare:
      return RunCompare(expr);
    case ExprKind::kConcat:
      return RunConcat(expr);
    case ExprKind::kFilter:
      return RunFilter(expr);
    case ExprKind::kList:
      return RunList(expr);
    case ExprKind::kRaise:
      return RunRaise(expr);
    case ExprKind::kNot: {
      ASSIGN_OR_RETURN(const bool value, IsTrueOf(*expr.args[0]));
      return Value(!value);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      ASSIGN_OR_RETURN(Value left, Run(*expr.args[0]));
      if (IsTrue(left) == (expr.kind == ExprKind::kOr)) return left;
      return Run(*expr.args[1]);
    }
    case ExprKind::kConditional: {
      ASSIGN_OR_RETURN(const bool condition, IsTrueOf(*expr.args[0]));
      if (condition) return Run(*expr.args[1]);
      if (expr.args.size() > 2) return Run(*expr.args[2]);
      return Value(Undefined{"the condition is false and there is no else"});
    }
    default:
      break;  // the kinds that need no more than their arguments' values
  }
  ASSIGN_OR_RETURN(const std::vector<Value> args, RunAll(expr));
  uint64_t weight = 0;
  switch (expr.kind) {
    case ExprKind::kAttribute:
      return GetAttribute(args[0], expr.name);
    case ExprKind::kItem:
      weight = args[0].text() != nullptr ? args[0].weight() : 0;
      RETURN_IF_ERROR(Charge(weight));
      return GetItem(args[0], args[1]);
    case ExprKind::kSlice:
      RETURN_IF_ERROR(Charge(args[0].weight()));
      return GetSlice(args[0], args[1], args[2]);
    case ExprKind::kArithmetic:
      RETURN_IF_ERROR(Charge(args[0].weight() + args[1].weight()));
      return Arithmetic(expr.name, args[0], args[1]);
    case ExprKind::kTest: {
      ASSIGN_OR_RETURN(const bool holds, FindTest(expr.name)->holds(args[0]));
      return Value(holds);
    }
    case ExprKind::kRange: {
      ASSIGN_OR_RETURN(Value numbers, Range(args));
      RETURN_IF_ERROR(Charge(numbers.weight() * kBytesPerStep));
      return numbers;
    }
    default:
      return Sign(args[0], expr.kind == ExprKind::kNegate);
  }
}

absl::StatusOr<std::vector<Value>> Evaluator::RunAll(const Expr& expr) {
  std::vector<Value> values;
  values.reserve(expr.args.size());
  for (const auto& arg : expr.args) {
    ASSIGN_OR_RETURN(Value value, Run(*arg));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<bool> Evaluator::IsTrueOf(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, Run(expr));
  return IsTrue(value);
}

Result Evaluator::RunName(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) return found->second;
  }
  return Value(Undefined{"'" + name + "' is undefined"});
}

// a < b < c is a < b and b < c, with each operand evaluated at most once.
Result Evaluator::RunCompare(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Run(*expr.args[0]));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Run(*expr.args[i + 1]));
    RETURN_IF_ERROR(Charge(left.weight() + right.weight()));
    ASSIGN_OR_RETURN(const bool holds, Compare(expr.ops[i], left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result Evaluator::RunConcat(const Expr& expr) {
  Text out;
  for (const auto& arg : expr.args) {
    ASSIGN_OR_RETURN(const Value value, Run(*arg));
    ASSIGN_OR_RETURN(const Text text, Print(value));
    if (text.size() > kOutputBytesMax - out.size()) {
      return ResourceExhausted("a text has more than " + std::to_string(kOutputBytesMax) +
                               " bytes");
    }
    out.Append(text);
  }
  RETURN_IF_ERROR(Charge(out.memory_bytes()));
  return Value(std::move(out));
}

Result Evaluator::RunFilter(const Expr& expr) {
  ASSIGN_OR_RETURN(const std::vector<Value> args, RunAll(expr));
  uint64_t weight = 0;
  for (const Value& arg : args) weight += arg.weight();
  RETURN_IF_ERROR(Charge(weight));
  ASSIGN_OR_RETURN(Value value, FindFilter(expr.name)->apply(args));
  RETURN_IF_ERROR(Charge(value.weight()));
  return value;
}

Result Evaluator::RunList(const Expr& expr) {
  ASSIGN_OR_RETURN(List items, RunAll(expr));
  RETURN_IF_ERROR(Charge(items.size() * kBytesPerStep));
  Value list(std::move(items));
  if (list.depth() > kNestingMax) {
    return ResourceExhausted("lists nest deeper than " + std::to_string(kNestingMax) + " levels");
  }
  return list;
}

Result Evaluator::RunRaise(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, Run(*expr.args[0]));
  ASSIGN_OR_RETURN(const Text message, Print(value));
  return InvalidArgument(
      AtPlace(expr.line, expr.column, "raised by the template: " + message.bytes().substr(0, 500)));
}

}  // namespace

absl::StatusOr<Text> Evaluate(const Body& body, Variables variables) {
  Evaluator evaluator(std::move(variables));
  RETURN_IF_ERROR(evaluator.Run(body));
  return evaluator.TakeOutput();
}

}  // namespace mortar::jinja
