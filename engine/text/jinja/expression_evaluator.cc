#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/deeper.h"
#include "engine/text/jinja/filters.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/operators.h"

namespace mortar::jinja {
namespace {

// Python would go on with a text of another kind, and escape what is added to it.
absl::Status RefuseMarkup(const std::vector<Value>& args) {
  for (const Value& arg : args) {
    if (arg.is_markup()) {
      return Unimplemented("more than printing what the filter 'safe' gave is not supported");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Value> Interpreter::Run(const Expr& expr) {
  const Deeper deeper(&depth_);
  absl::Status status = CheckDepth();
  if (status.ok()) status = Charge(0);
  if (!status.ok()) return Placed(status, expr.line, expr.column);
  Result result = RunUnplaced(expr);
  if (!result.ok()) return Placed(result.status(), expr.line, expr.column);
  if (result->depth() > kNestingMax) {
    return Placed(ResourceExhausted("lists and dicts nest deeper than " +
                                    std::to_string(kNestingMax) + " levels"),
                  expr.line, expr.column);
  }
  return result;
}

absl::StatusOr<Value> Interpreter::RunUnplaced(const Expr& expr) {
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
    case ExprKind::kTest:
      return RunTest(expr);
    case ExprKind::kMap:
    case ExprKind::kMapAttribute:
      return RunMap(expr);
    case ExprKind::kSelect:
      return RunSelect(expr);
    case ExprKind::kMethod:
      return RunMethod(expr);
    case ExprKind::kDict:
      return RunDict(expr);
    case ExprKind::kCall:
      return RunCall(expr, Value());
    case ExprKind::kDictOf:
    case ExprKind::kNamespace:
      return RunDictOf(expr);
    case ExprKind::kRaise:
      return RunRaise(expr);
    case ExprKind::kNow:
      return RunNow(expr);
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
      return RunOnArguments(expr);
  }
}

// The kinds that need no more than their arguments' values.
absl::StatusOr<Value> Interpreter::RunOnArguments(const Expr& expr) {
  ASSIGN_OR_RETURN(std::vector<Value> args, RunAll(expr));
  const bool collects = expr.kind == ExprKind::kList || expr.kind == ExprKind::kTuple;
  if (!collects) RETURN_IF_ERROR(RefuseMarkup(args));
  switch (expr.kind) {
    case ExprKind::kAttribute:
      return RunAttribute(expr, args[0]);
    case ExprKind::kItem:
      return RunItem(args[0], args[1]);
    case ExprKind::kSlice:
      RETURN_IF_ERROR(Charge(args[0].weight()));
      return GetSlice(args[0], args[1], args[2], args[3]);
    case ExprKind::kArithmetic:
      RETURN_IF_ERROR(Charge(args[0].weight() + args[1].weight()));
      return Arithmetic(expr.name, args[0], args[1]);
    case ExprKind::kRange: {
      ASSIGN_OR_RETURN(Value numbers, Range(args));
      RETURN_IF_ERROR(ChargeItems(numbers.list()->size()));
      return numbers;
    }
    case ExprKind::kList:
    case ExprKind::kTuple:
      RETURN_IF_ERROR(ChargeItems(args.size()));
      return Value(std::move(args),
                   expr.kind == ExprKind::kTuple ? Sequence::kTuple : Sequence::kList);
    default:
      return Sign(args[0], expr.kind == ExprKind::kNegate);
  }
}

absl::StatusOr<std::vector<Value>> Interpreter::RunAll(const Expr& expr) {
  std::vector<Value> values;
  values.reserve(expr.args.size());
  for (const auto& arg : expr.args) {
    ASSIGN_OR_RETURN(Value value, Run(*arg));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<bool> Interpreter::IsTrueOf(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, Run(expr));
  return IsTrue(value);
}

absl::StatusOr<Value> Interpreter::RunName(const std::string& name) const {
  for (const Frame* frame = frame_; frame != nullptr; frame = frame->outer) {
    const auto found = frame->variables.find(name);
    if (found != frame->variables.end()) return found->second;
  }
  return Value(Undefined{"'" + name + "' is undefined"});
}

absl::StatusOr<Value> Interpreter::RunAttribute(const Expr& expr, const Value& value) {
  if (value.name_space() == nullptr) {
    // A dict is searched from its beginning.
    if (value.dict() != nullptr) RETURN_IF_ERROR(Charge(8 * value.dict()->size()));
    return GetAttribute(value, expr.name);
  }
  const Variables& variables = namespaces_[value.name_space()->id];
  const auto found = variables.find(expr.name);
  if (found != variables.end()) return found->second;
  return Value(Undefined{"'Namespace object' has no attribute '" + expr.name + "'"});
}

absl::StatusOr<Value> Interpreter::RunItem(const Value& value, const Value& key) {
  if (value.name_space() != nullptr && key.text() != nullptr) {
    Expr attribute{};
    attribute.name = key.text()->bytes();
    return RunAttribute(attribute, value);
  }
  if (value.text() != nullptr) RETURN_IF_ERROR(Charge(value.weight()));
  if (value.dict() != nullptr) RETURN_IF_ERROR(Charge(8 * value.dict()->size()));
  return GetItem(value, key);
}

// a < b < c is a < b and b < c, with each operand evaluated at most once.
absl::StatusOr<Value> Interpreter::RunCompare(const Expr& expr) {
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

absl::StatusOr<Value> Interpreter::RunConcat(const Expr& expr) {
  Text out;
  for (const auto& arg : expr.args) {
    ASSIGN_OR_RETURN(const Value value, Run(*arg));
    ASSIGN_OR_RETURN(const Text text, PrintCharged(value));
    if (text.size() > kOutputBytesMax - out.size()) {
      return ResourceExhausted("a text has more than " + std::to_string(kOutputBytesMax) +
                               " bytes");
    }
    out.Append(text);
  }
  RETURN_IF_ERROR(Charge(out.memory_bytes()));
  return Value(std::move(out));
}

absl::StatusOr<Value> Interpreter::RunFilter(const Expr& expr) {
  ASSIGN_OR_RETURN(const std::vector<Value> args, RunAll(expr));
  RETURN_IF_ERROR(RefuseMarkup(args));
  uint64_t weight = 0;
  for (const Value& arg : args) weight += arg.weight();
  RETURN_IF_ERROR(Charge(weight));
  ASSIGN_OR_RETURN(Value value, expr.filter->apply(args));
  RETURN_IF_ERROR(Charge(value.weight()));
  return value;
}

absl::StatusOr<Value> Interpreter::RunMethod(const Expr& expr) {
  ASSIGN_OR_RETURN(const std::vector<Value> args, RunAll(expr));
  RETURN_IF_ERROR(RefuseMarkup(args));
  uint64_t weight = 0;
  for (const Value& arg : args) weight += arg.weight();
  RETURN_IF_ERROR(Charge(weight));
  ASSIGN_OR_RETURN(Value value, CallMethod(expr.method->name, args));
  RETURN_IF_ERROR(Charge(value.weight()));
  return value;
}

absl::StatusOr<Value> Interpreter::RunTest(const Expr& expr) {
  ASSIGN_OR_RETURN(const std::vector<Value> args, RunAll(expr));
  // Tests with an argument compare.
  if (args.size() > 1) RETURN_IF_ERROR(Charge(args[0].weight() + args[1].weight()));
  ASSIGN_OR_RETURN(const bool holds, expr.test->holds(args));
  return Value(holds);
}

absl::StatusOr<Value> Interpreter::RunMap(const Expr& expr) {
  ASSIGN_OR_RETURN(std::vector<Value> args, RunAll(expr));
  RETURN_IF_ERROR(Charge(args[0].weight()));
  ASSIGN_OR_RETURN(const List items, Items(args[0]));
  List mapped;
  for (const Value& item : items) {
    args[0] = item;
    RETURN_IF_ERROR(RefuseMarkup(args));
    uint64_t weight = 0;
    for (const Value& arg : args) weight += arg.weight();
    RETURN_IF_ERROR(Charge(weight));
    Value value;
    if (expr.kind == ExprKind::kMapAttribute) {
      const bool standard = args.size() > 2 && !args[2].is_none();
      ASSIGN_OR_RETURN(value, AttributeAt(item, args[1], standard ? &args[2] : nullptr));
    } else {
      ASSIGN_OR_RETURN(value, expr.filter->apply(args));
    }
    RETURN_IF_ERROR(Charge(value.weight()));
    mapped.push_back(std::move(value));
  }
  return Value(std::move(mapped), Sequence::kGenerator);
}

absl::StatusOr<Value> Interpreter::RunSelect(const Expr& expr) {
  ASSIGN_OR_RETURN(std::vector<Value> args, RunAll(expr));
  RETURN_IF_ERROR(Charge(args[0].weight()));
  ASSIGN_OR_RETURN(List items, Items(args[0]));
  const Value attribute = args[1];
  args.erase(args.begin() + 1);  // what is left is the test's own
  List kept;
  for (Value& item : items) {
    uint64_t weight = item.weight();
    for (size_t i = 1; i < args.size(); ++i) weight += args[i].weight();
    RETURN_IF_ERROR(Charge(weight));
    ASSIGN_OR_RETURN(args[0], AttributeAt(item, attribute));
    bool holds = IsTrue(args[0]);
    if (expr.test != nullptr) {
      ASSIGN_OR_RETURN(holds, expr.test->holds(args));
    }
    if (holds != expr.negated) kept.push_back(std::move(item));
  }
  return Value(std::move(kept), Sequence::kGenerator);
}

absl::StatusOr<Value> Interpreter::RunDict(const Expr& expr) {
  ASSIGN_OR_RETURN(std::vector<Value> args, RunAll(expr));
  Dict dict;
  for (size_t i = 0; i < args.size(); i += 2) {
    if (args[i].text() == nullptr) {
      return Unimplemented("a key that is a " + KindName(args[i]) + " is not supported");
    }
    RETURN_IF_ERROR(Charge(args[i].weight() + 8 * dict.size()));
    Set(&dict, *args[i].text(), std::move(args[i + 1]));
  }
  return Value(std::move(dict));
}

}  // namespace mortar::jinja
