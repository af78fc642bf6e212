#include "engine/text/jinja/evaluator.h"

#include "engine/text/jinja/conversion.h"
#include "engine/text/jinja/deeper.h"
#include "engine/text/jinja/interpreter.h"

namespace mortar::jinja {

absl::Status Placed(const absl::Status& status, int line, int column) {
  const std::string message = Message(status);
  if (status.ok() || message.starts_with("line ")) return status;
  return WithContext(status, "line " + std::to_string(line) + ", column " + std::to_string(column));
}

absl::Status Interpreter::Run(const Body& body) {
  const Deeper deeper(&depth_);
  for (const Statement& statement : body) {
    absl::Status status = CheckDepth();
    if (status.ok()) status = RunStatement(statement);
    if (!status.ok()) return Placed(status, statement.line, statement.column);
    if (jump_ != Jump::kNone) break;
  }
  return absl::OkStatus();
}

absl::Status Interpreter::RunStatement(const Statement& statement) {
  RETURN_IF_ERROR(Charge(0));
  switch (statement.kind) {
    case StatementKind::kText:
      return Put(statement.text);
    case StatementKind::kOutput: {
      ASSIGN_OR_RETURN(const Value value, Run(*statement.expr));
      ASSIGN_OR_RETURN(const Text text, PrintCharged(value));
      return Put(text);
    }
    case StatementKind::kFor:
      return RunFor(statement);
    case StatementKind::kIf:
      return RunIf(statement);
    case StatementKind::kSet: {
      ASSIGN_OR_RETURN(Value value, Run(*statement.expr));
      return Assign(statement.targets, std::move(value), &frame_->variables);
    }
    case StatementKind::kSetAttribute:
      return RunSetAttribute(statement);
    case StatementKind::kSetBlock: {
      ASSIGN_OR_RETURN(Text text, Capture(statement.body));
      frame_->variables[statement.targets[0]] = std::move(text);
      return absl::OkStatus();
    }
    case StatementKind::kMacro:
      targets_.push_back({&statement, frame_});
      frame_->variables[statement.targets[0]] = Callable{targets_.size() - 1};
      return absl::OkStatus();
    case StatementKind::kCallBlock:
      return RunCallBlock(statement);
    case StatementKind::kScope:
      return RunInScope(statement.body);
    case StatementKind::kBreak:
      jump_ = Jump::kBreak;
      return absl::OkStatus();
    case StatementKind::kContinue:
      break;
  }
  jump_ = Jump::kContinue;
  return absl::OkStatus();
}

absl::Status Interpreter::Put(const Text& text) {
  if (text.size() > kOutputBytesMax - output_->size()) {
    return ResourceExhausted("the output has more than " + std::to_string(kOutputBytesMax) +
                             " bytes");
  }
  RETURN_IF_ERROR(Charge(text.memory_bytes()));
  output_->Append(text);
  return absl::OkStatus();
}

// What is no text yet is written first, which takes steps of its own.
absl::StatusOr<Text> Interpreter::PrintCharged(const Value& value) {
  if (value.depth() > 0) RETURN_IF_ERROR(Charge(value.weight()));
  return Print(value);
}

absl::Status Interpreter::RunInScope(const Body& body) {
  Frame frame{{}, frame_};
  const Inside inside(this, &frame);
  return Run(body);
}

// What the body puts out, kept from the output.
absl::StatusOr<Text> Interpreter::Capture(const Body& body) {
  Text text;
  Text* const before = std::exchange(output_, &text);
  absl::Status status = RunInScope(body);
  output_ = before;
  if (!status.ok()) return status;
  return text;
}

absl::Status Interpreter::RunIf(const Statement& choice) {
  for (const Branch& branch : choice.branches) {
    bool taken = branch.condition == nullptr;
    if (!taken) {
      ASSIGN_OR_RETURN(taken, IsTrueOf(*branch.condition));
    }
    if (taken) return Run(branch.body);
  }
  return absl::OkStatus();
}

// One name takes the value; several take its items.
absl::Status Interpreter::Assign(const std::vector<std::string>& targets, Value value,
                                 Variables* variables) {
  if (targets.size() == 1) {
    (*variables)[targets[0]] = std::move(value);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Charge(value.weight()));
  ASSIGN_OR_RETURN(List items, Items(value));
  if (items.size() != targets.size()) {
    return InvalidArgument("expected " + std::to_string(targets.size()) +
                           " values to unpack, got " + std::to_string(items.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) (*variables)[targets[i]] = std::move(items[i]);
  return absl::OkStatus();
}

absl::Status Interpreter::RunSetAttribute(const Statement& set) {
  ASSIGN_OR_RETURN(Value value, Run(*set.expr));
  ASSIGN_OR_RETURN(const Value target, RunName(set.targets[0]));
  if (target.name_space() == nullptr) {
    return InvalidArgument("cannot assign attribute on non-namespace object");
  }
  namespaces_[target.name_space()->id][set.attribute] = std::move(value);
  return absl::OkStatus();
}

absl::StatusOr<List> Interpreter::FilteredItems(const Statement& loop) {
  ASSIGN_OR_RETURN(const Value value, Run(*loop.expr));
  RETURN_IF_ERROR(Charge(value.weight()));
  ASSIGN_OR_RETURN(List items, Items(value));
  RETURN_IF_ERROR(ChargeItems(items.size()));
  if (loop.filter == nullptr) return items;
  List kept;
  for (Value& item : items) {
    Frame frame{{}, frame_};
    RETURN_IF_ERROR(Assign(loop.targets, item, &frame.variables));
    const Inside inside(this, &frame);
    ASSIGN_OR_RETURN(const bool taken, IsTrueOf(*loop.filter));
    if (taken) kept.push_back(std::move(item));
  }
  return kept;
}

namespace {

// The variable 'loop' inside a loop's body, for item `i` of `items`.
Value LoopState(const List& items, size_t i, int64_t depth) {
  const auto n = static_cast<int64_t>(items.size());
  const auto index = static_cast<int64_t>(i);
  const Value next = index + 1 < n ? items[i + 1] : Value(Undefined{"there is no next item"});
  const Value previous = i > 0 ? items[i - 1] : Value(Undefined{"there is no previous item"});
  return Dict{
      Entry("depth", depth),        Entry("depth0", depth - 1),       Entry("first", i == 0),
      Entry("index", index + 1),    Entry("index0", index),           Entry("last", index + 1 == n),
      Entry("length", n),           Entry("nextitem", next),          Entry("previtem", previous),
      Entry("revindex", n - index), Entry("revindex0", n - index - 1)};
}

}  // namespace

absl::Status Interpreter::RunFor(const Statement& loop) {
  ASSIGN_OR_RETURN(const List items, FilteredItems(loop));
  // The else part runs, as in jinja2, unless a body ran to its end without a break or continue.
  bool ended = false;
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(Charge(0));
    // jinja2 counts depth for recursive loops alone, which are not supported.
    Frame frame{{{"loop", LoopState(items, i, 1)}}, frame_};
    RETURN_IF_ERROR(Assign(loop.targets, items[i], &frame.variables));
    const Inside inside(this, &frame);
    RETURN_IF_ERROR(Run(loop.body));
    const Jump jump = std::exchange(jump_, Jump::kNone);
    ended |= jump == Jump::kNone;
    if (jump == Jump::kBreak) break;
  }
  return ended ? absl::OkStatus() : RunInScope(loop.otherwise);
}

absl::StatusOr<Text> Evaluate(const Body& body, Variables variables, const std::tm& now) {
  Interpreter interpreter(std::move(variables), now);
  RETURN_IF_ERROR(interpreter.Run(body));
  return interpreter.TakeOutput();
}

}  // namespace mortar::jinja
