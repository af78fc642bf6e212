// Teacher forcing: what a model says at every position of a text that is given, not generated.
//
// `mortar perplexity`, `mortar compare` and the golden tests all walk a token list through this
// one place. Sums over logits are taken in double, with the project's own exp and log, so that
// the perplexity of a text is the same number on every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "common/status.h"
#include "engine/batch/engine.h"

namespace mortar {

// Borrows an engine whose part `part` has embedding, all layers and head. One thread at a time.
class Teacher {
 public:
  // logits: [n_vocab], valid during the call.
  using Visit = std::function<void(int position, std::span<const float> logits)>;

  // InvalidArgument when the engine cannot give logits (logit_rows_max is 0), ResourceExhausted
  // when there is no memory for those of one batch.
  static absl::StatusOr<std::unique_ptr<Teacher>> Create(Engine& engine, int part);
  ~Teacher();
  Teacher(const Teacher&) = delete;
  Teacher& operator=(const Teacher&) = delete;

  // Runs one sequence from position 0 and visits [first, tokens.size()) in ascending order. The
  // sequence's KV is given back at the end. By the numeric contract the cut into batches, of
  // rows_max rows before `first` and of logit_rows_max from there on, changes no bit.
  // Errors: InvalidArgument names a token outside the vocabulary, a `first` outside the list or a
  // list longer than the engine's context; ResourceExhausted when others hold the engine's KV.
  // Nothing was visited then. DataLoss when logits are not finite; earlier positions were visited.
  absl::Status Run(std::span<const int32_t> tokens, int first, const Visit& visit);

  // From now on Run asks before each batch, and ends with Cancelled where the answer is yes.
  void StopWhen(std::function<bool()> stop) { stop_ = std::move(stop); }

  int n_vocab() const { return engine_.config().n_vocab; }

 private:
  Teacher(Engine& engine, int part);
  absl::Status Walk(std::span<const int32_t> tokens, int first, const Visit& visit);
  absl::Status Step(std::span<const int32_t> tokens, int begin, int end, const Visit* visit);

  Engine& engine_;
  const int part_;
  std::function<bool()> stop_;
  KvTable kv_;
  std::vector<BatchRow> rows_;       // [rows_max]
  std::vector<int> logit_rows_;      // [logit_rows_max], 0, 1, 2, ...
  std::unique_ptr<float[]> logits_;  // [logit_rows_max, n_vocab]
};

// ln sum exp(logits), with a relative error of the sum below 2^-22. Needs at least one.
double LogSumExp(std::span<const float> logits);

// The id of the largest logit, the lowest id of those that tie. Needs at least one.
int32_t Argmax(std::span<const float> logits);

// Appends -ln p(token) for the scored tokens of one context, as llama-perplexity defines them:
// the logits of positions [n / 2, n - 1) score the tokens that follow. Errors: those of Run(),
// and InvalidArgument for n < 2. The perplexity of a text is exp of the mean over its contexts.
absl::Status ScoreContext(Teacher& teacher, std::span<const int32_t> context,
                          std::vector<double>& nll);

// Mean and its standard error, for -ln p or for paired differences of it. Needs n >= 2.
struct MeanAndError {
  double mean = 0;
  double standard_error = 0;
};
MeanAndError MeanWithError(std::span<const double> values);

}  // namespace mortar
