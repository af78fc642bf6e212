// See teacher.h.
#include "engine/batch/teacher.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <string>

#include "common/check.h"
#include "common/finite.h"
#include "engine/kernels/math.h"

namespace mortar {
namespace {

absl::Status CheckTokens(std::span<const int32_t> tokens, int n_vocab) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= n_vocab) {
      return InvalidArgument("token " + std::to_string(tokens[i]) + " at position " +
                             std::to_string(i) + " is outside the vocabulary of " +
                             std::to_string(n_vocab));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Teacher>> Teacher::Create(Engine& engine, int part) {
  if (engine.options().logit_rows_max < 1) {
    return InvalidArgument("teacher forcing needs an engine with logit_rows_max of at least 1");
  }
  std::unique_ptr<Teacher> teacher(new Teacher(engine, part));
  const size_t n = teacher->logit_rows_.size() * static_cast<size_t>(teacher->n_vocab());
  teacher->logits_.reset(new (std::nothrow) float[n]);
  if (teacher->logits_ == nullptr) {
    return ResourceExhausted("no memory for " + std::to_string(n * sizeof(float)) +
                             " bytes of logits");
  }
  return teacher;
}

Teacher::Teacher(Engine& engine, int part) : engine_(engine), part_(part) {
  const EngineOptions& options = engine.options();
  const int n_logit_rows = std::min(options.logit_rows_max, options.rows_max);
  rows_.resize(static_cast<size_t>(options.rows_max));
  logit_rows_.resize(static_cast<size_t>(n_logit_rows));
  std::iota(logit_rows_.begin(), logit_rows_.end(), 0);
}

Teacher::~Teacher() { engine_.kv().Release(kv_); }

absl::Status Teacher::Run(std::span<const int32_t> tokens, int first, const Visit& visit) {
  // KV comes in whole pages: the positions that they hold may exceed those that can be rotated.
  const int context_max = engine_.options().context_max;
  if (tokens.size() > static_cast<size_t>(context_max)) {
    return InvalidArgument("a list of " + std::to_string(tokens.size()) +
                           " tokens is longer than the context of " + std::to_string(context_max));
  }
  const int n_tokens = static_cast<int>(tokens.size());
  if (first < 0 || first > n_tokens) {
    return InvalidArgument("first visited position " + std::to_string(first) + " of a list of " +
                           std::to_string(n_tokens) + " tokens");
  }
  RETURN_IF_ERROR(CheckTokens(tokens, n_vocab()));
  RETURN_IF_ERROR(engine_.kv().Reserve(kv_, 0, n_tokens));
  const absl::Status status = Walk(tokens, first, visit);
  engine_.kv().Release(kv_);
  return status;
}

absl::Status Teacher::Walk(std::span<const int32_t> tokens, int first, const Visit& visit) {
  const int n_tokens = static_cast<int>(tokens.size());
  const int n_rows = static_cast<int>(rows_.size());
  const int n_logit_rows = static_cast<int>(logit_rows_.size());
  for (int at = 0; at < first;) {
    const int end = std::min(first, at + n_rows);
    RETURN_IF_ERROR(Step(tokens, at, end, nullptr));
    at = end;
  }
  for (int at = first; at < n_tokens;) {
    const int end = std::min(n_tokens, at + n_logit_rows);
    RETURN_IF_ERROR(Step(tokens, at, end, &visit));
    at = end;
  }
  return absl::OkStatus();
}

// One batch: positions [begin, end), all of whose logits are wanted where there is a visitor.
absl::Status Teacher::Step(std::span<const int32_t> tokens, int begin, int end,
                           const Visit* visit) {
  if (stop_ && stop_()) return Cancelled("interrupted");
  const size_t n = static_cast<size_t>(end - begin);
  for (size_t i = 0; i < n; ++i) rows_[i] = {&kv_, begin + static_cast<int>(i)};
  Batch batch;
  batch.rows = std::span<const BatchRow>(rows_).first(n);
  batch.tokens = tokens.subspan(static_cast<size_t>(begin), n);
  if (visit != nullptr) {
    batch.logit_rows = std::span<const int>(logit_rows_).first(n);
    batch.logits = logits_.get();
  }
  engine_.Run(part_, batch);
  if (visit == nullptr) return absl::OkStatus();
  const size_t n_logits = static_cast<size_t>(n_vocab());
  for (size_t i = 0; i < n; ++i) {
    const int position = begin + static_cast<int>(i);
    const std::span<const float> logits(logits_.get() + i * n_logits, n_logits);
    if (!AllFinite(logits)) {
      return DataLoss("the logits of position " + std::to_string(position) +
                      " are not finite: the model's weights are damaged or too large");
    }
    (*visit)(position, logits);
  }
  return absl::OkStatus();
}

double LogSumExp(std::span<const float> logits) {
  CHECK(!logits.empty());
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += Exp(logit - top);
  return top + LogTable(sum);
}

int32_t Argmax(std::span<const float> logits) {
  CHECK(!logits.empty());
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

absl::Status ScoreContext(Teacher& teacher, std::span<const int32_t> context,
                          std::vector<double>& nll) {
  if (context.size() < 2) return InvalidArgument("a context of fewer than 2 tokens scores none");
  RETURN_IF_ERROR(CheckTokens(context, teacher.n_vocab()));
  // The last token is only scored, never fed.
  return teacher.Run(context.first(context.size() - 1), static_cast<int>(context.size() / 2),
                     [&](int position, std::span<const float> logits) {
                       const int32_t next = context[static_cast<size_t>(position) + 1];
                       nll.push_back(LogSumExp(logits) - logits[static_cast<size_t>(next)]);
                     });
}

MeanAndError MeanWithError(std::span<const double> values) {
  CHECK(values.size() >= 2);
  const double n = static_cast<double>(values.size());
  MeanAndError out;
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - out.mean) * (value - out.mean);
  out.standard_error = std::sqrt(squares / (n - 1) / n);
  return out;
}

}  // namespace mortar
