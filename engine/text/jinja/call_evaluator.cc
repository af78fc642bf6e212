// Macros, what call blocks hand them, and the functions beside the variables.
#include <algorithm>

#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/lexer.h"

namespace mortar::jinja {
namespace {

// Bytes of one strftime: room for each directive, and no more than a page.
constexpr size_t kTimeBytesMax = 4096;

}  // namespace

// `caller` is none where no call block hands one over.
absl::StatusOr<Value> Interpreter::RunCall(const Expr& call, const Value& caller) {
  ASSIGN_OR_RETURN(std::vector<Value> args, RunAll(call));
  const Value callee = args[0];
  if (callee.undefined() != nullptr) return InvalidArgument(callee.undefined()->why);
  if (callee.callable() == nullptr) {
    return InvalidArgument("a " + KindName(callee) + " cannot be called");
  }
  if (callee.callable()->id >= targets_.size()) {
    return Unimplemented("calling a function through a variable is not supported");
  }
  const Target target = targets_[callee.callable()->id];
  if (target.frame == nullptr) {
    return Unimplemented("calling the body of a call block that has ended is not supported");
  }
  args.erase(args.begin());
  return CallTarget(target, std::move(args), call.ops, caller);
}

absl::StatusOr<Value> Interpreter::CallTarget(const Target& target, std::vector<Value> args,
                                              const std::vector<std::string>& names,
                                              const Value& caller) {
  const Statement& body = *target.statement;
  const Parameters& parameters = body.parameters;
  const size_t n_placed = args.size() - names.size();
  if (n_placed > parameters.names.size()) {
    return InvalidArgument("the macro takes at most " + std::to_string(parameters.names.size()) +
                           " arguments, got " + std::to_string(n_placed));
  }
  Frame frame{{}, target.frame};
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& name = i < n_placed ? parameters.names[i] : names[i - n_placed];
    const auto known = std::find(parameters.names.begin(), parameters.names.end(), name);
    if (known == parameters.names.end() || frame.variables.count(name) > 0) {
      return InvalidArgument("the macro takes no argument '" + name + "' here");
    }
    frame.variables[name] = std::move(args[i]);
  }
  if (parameters.uses_caller) {
    frame.variables["caller"] = caller.is_none() ? Value(Undefined{"No caller defined"}) : caller;
  } else if (!caller.is_none()) {
    return InvalidArgument("the macro does not use the caller that it is given");
  }
  const Inside inside(this, &frame);
  for (size_t i = 0; i < parameters.names.size(); ++i) {
    const std::string& name = parameters.names[i];
    if (frame.variables.count(name) > 0) continue;
    Value value = Undefined{"parameter '" + name + "' was not provided"};
    if (parameters.defaults[i] != nullptr) {
      ASSIGN_OR_RETURN(value, Run(*parameters.defaults[i]));
    }
    frame.variables[name] = std::move(value);
  }
  Text text;
  Text* const before = std::exchange(output_, &text);
  absl::Status status = Run(body.body);
  output_ = before;
  if (!status.ok()) return status;
  return Value(std::move(text));
}

absl::Status Interpreter::RunCallBlock(const Statement& block) {
  const size_t id = targets_.size();
  targets_.push_back({&block, frame_});
  const Result text = RunCall(*block.expr, Callable{id});
  targets_[id].frame = nullptr;
  if (!text.ok()) return Placed(text.status(), block.expr->line, block.expr->column);
  return Put(*text->text());
}

// dict(...) and namespace(...): a dict's entries, then those given by name.
absl::StatusOr<Value> Interpreter::RunDictOf(const Expr& expr) {
  ASSIGN_OR_RETURN(std::vector<Value> args, RunAll(expr));
  Dict dict;
  const size_t n_placed = args.size() - expr.ops.size();
  if (n_placed > 0) {
    if (args[0].dict() == nullptr) {
      return Unimplemented("a dict from a " + KindName(args[0]) + " is not supported");
    }
    RETURN_IF_ERROR(Charge(args[0].weight()));
    dict = *args[0].dict();
  }
  for (size_t i = n_placed; i < args.size(); ++i) {
    RETURN_IF_ERROR(Charge(8 * dict.size()));
    Set(&dict, Text(expr.ops[i - n_placed], true), std::move(args[i]));
  }
  if (expr.kind == ExprKind::kDictOf) return Value(std::move(dict));
  Variables variables;
  for (auto& [key, value] : dict) variables[key.bytes()] = std::move(value);
  namespaces_.push_back(std::move(variables));
  return Value(Namespace{namespaces_.size() - 1});
}

absl::StatusOr<Value> Interpreter::RunRaise(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, Run(*expr.args[0]));
  ASSIGN_OR_RETURN(const Text message, PrintCharged(value));
  return InvalidArgument(
      AtPlace(expr.line, expr.column, "raised by the template: " + message.bytes().substr(0, 500)));
}

// The time is trusted as far as its format is.
absl::StatusOr<Value> Interpreter::RunNow(const Expr& expr) {
  ASSIGN_OR_RETURN(Value value, Run(*expr.args[0]));
  if (value.text() == nullptr) {
    return InvalidArgument("strftime_now takes a text, not a " + KindName(value));
  }
  const Text& format = *value.text();
  if (format.size() == 0) return value;
  if (format.size() > kTimeBytesMax || format.bytes().find('\0') != std::string::npos) {
    return ResourceExhausted("a format of time has at most " + std::to_string(kTimeBytesMax) +
                             " bytes, none of them zero");
  }
  char buffer[kTimeBytesMax];
  const size_t n = std::strftime(buffer, sizeof(buffer), format.bytes().c_str(), &now_);
  if (n == 0) return ResourceExhausted("a time is empty or too long");
  const bool trusted = format.runs().size() == 1 && format.runs()[0].trusted;
  return Value(Text(std::string_view(buffer, n), trusted));
}

}  // namespace mortar::jinja
