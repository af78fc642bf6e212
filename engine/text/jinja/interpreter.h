// One rendering: its variables, its output and what it has spent. evaluator.cc has the statements,
// expression_evaluator.cc the expressions, call_evaluator.cc macros and functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/limits.h"

namespace mortar::jinja {

class Interpreter {
 public:
  Interpreter(Variables variables, const std::tm& now)
      : root_{std::move(variables), nullptr}, now_(now) {}
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  absl::Status Run(const Body& body);
  Text TakeOutput() { return std::move(text_); }

 private:
  using Result = absl::StatusOr<Value>;

  // Variables, and those around them. Lives on the stack of what opened it.
  struct Frame {
    Variables variables;
    Frame* outer;
  };
  // Makes a frame the innermost for as long as it lives.
  class Inside {
   public:
    Inside(Interpreter* interpreter, Frame* frame)
        : interpreter_(interpreter), before_(interpreter->frame_) {
      interpreter->frame_ = frame;
    }
    ~Inside() { interpreter_->frame_ = before_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Interpreter* const interpreter_;
    Frame* const before_;
  };
  // What a Callable's id stands for: a macro, for ever, or the body of a call block, which can be
  // called as long as the block's macro runs.
  struct Target {
    const Statement* statement;
    Frame* frame;  // the variables that it sees; null: its call block has ended
  };
  enum class Jump : uint8_t { kNone, kBreak, kContinue };

  // Statements.
  absl::Status RunStatement(const Statement& statement);
  absl::Status RunFor(const Statement& loop);
  absl::StatusOr<List> FilteredItems(const Statement& loop);
  absl::Status RunIf(const Statement& choice);
  absl::Status RunInScope(const Body& body);
  absl::Status RunSetAttribute(const Statement& set);
  absl::Status RunCallBlock(const Statement& block);
  absl::StatusOr<Text> Capture(const Body& body);
  absl::Status Assign(const std::vector<std::string>& targets, Value value, Variables* variables);
  absl::Status Put(const Text& text);
  absl::StatusOr<Text> PrintCharged(const Value& value);

  // Expressions.
  Result Run(const Expr& expr);
  Result RunUnplaced(const Expr& expr);
  Result RunOnArguments(const Expr& expr);
  Result RunName(const std::string& name) const;
  Result RunAttribute(const Expr& expr, const Value& value);
  Result RunItem(const Value& value, const Value& key);
  Result RunCompare(const Expr& expr);
  Result RunConcat(const Expr& expr);
  Result RunFilter(const Expr& expr);
  Result RunMap(const Expr& expr);
  Result RunSelect(const Expr& expr);
  Result RunTest(const Expr& expr);
  Result RunMethod(const Expr& expr);
  Result RunDict(const Expr& expr);
  absl::StatusOr<std::vector<Value>> RunAll(const Expr& expr);
  absl::StatusOr<bool> IsTrueOf(const Expr& expr);

  // Calls.
  Result RunCall(const Expr& call, const Value& caller);
  Result CallTarget(const Target& target, std::vector<Value> args,
                    const std::vector<std::string>& names, const Value& caller);
  Result RunDictOf(const Expr& expr);
  Result RunRaise(const Expr& expr);
  Result RunNow(const Expr& expr);

  // Counts one step, and those that handling `weight` bytes and items takes.
  absl::Status Charge(uint64_t weight) {
    steps_ += 1 + weight / kBytesPerStep;
    if (steps_ <= kStepsMax) return absl::OkStatus();
    return ResourceExhausted("rendering takes more than " + std::to_string(kStepsMax) + " steps");
  }
  // Each item a step.
  absl::Status ChargeItems(size_t n) { return Charge(n * kBytesPerStep); }
  absl::Status CheckDepth() const {
    if (depth_ <= kDepthMax) return absl::OkStatus();
    return ResourceExhausted("statements, expressions and calls nest deeper than " +
                             std::to_string(kDepthMax) + " levels");
  }

  Frame root_;
  Frame* frame_ = &root_;              // the innermost
  std::vector<Variables> namespaces_;  // by Namespace::id
  std::vector<Target> targets_;        // by Callable::id
  Text text_;
  Text* output_ = &text_;  // of the template, or of the block that is being kept
  Jump jump_ = Jump::kNone;
  const std::tm now_;
  uint64_t steps_ = 0;
  int depth_ = 0;
};

// The message gets the place of the innermost expression or statement that failed.
absl::Status Placed(const absl::Status& status, int line, int column);

}  // namespace mortar::jinja
