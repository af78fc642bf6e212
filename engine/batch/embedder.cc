// See embedder.h.
#include "engine/batch/embedder.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>

#include "common/check.h"
#include "common/finite.h"

namespace mortar {
namespace {

constexpr size_t kSums = 16;  // rule 5

// Folds the partial sums of rule 5, each [n], into the first.
void Fold(std::vector<float>& sums, size_t n) {
  for (size_t half = kSums / 2; half >= 1; half /= 2) {
    for (size_t i = 0; i < half * n; ++i) sums[i] += sums[i + half * n];
  }
}

// Takes the rows of a text as they come and keeps what its pooling wants of them.
class Pool {
 public:
  Pool(Pooling pooling, int n_tokens, size_t n_embd)
      : pooling_(pooling),
        n_tokens_(n_tokens),
        n_embd_(n_embd),
        sums_((pooling == Pooling::kMean ? kSums : 1) * n_embd) {}

  void Take(int first_position, std::span<const float> rows) {
    for (size_t at = 0; at < rows.size(); at += n_embd_) {
      TakeRow(first_position + static_cast<int>(at / n_embd_), rows.subspan(at, n_embd_));
    }
  }

  std::vector<float> Finish() {
    if (pooling_ == Pooling::kMean) {
      Fold(sums_, n_embd_);
      sums_.resize(n_embd_);
      for (float& value : sums_) value /= static_cast<float>(n_tokens_);
    }
    return std::move(sums_);
  }

 private:
  void TakeRow(int position, std::span<const float> row) {
    if (pooling_ == Pooling::kMean) {
      float* sum = sums_.data() + static_cast<size_t>(position) % kSums * n_embd_;
      for (size_t i = 0; i < n_embd_; ++i) sum[i] += row[i];
    } else if (position == (pooling_ == Pooling::kCls ? 0 : n_tokens_ - 1)) {
      std::ranges::copy(row, sums_.begin());
    }
  }

  const Pooling pooling_;
  const int n_tokens_;
  const size_t n_embd_;
  std::vector<float> sums_;  // [16, n_embd] of the mean, else [n_embd]
};

// Divides by the Euclidean length.
absl::Status Normalise(std::vector<float>& row) {
  std::vector<float> squares(kSums);
  for (size_t i = 0; i < row.size(); ++i) squares[i % kSums] += row[i] * row[i];
  Fold(squares, 1);
  const float length = std::sqrt(squares[0]);
  if (!IsFinite(length) || length == 0) {
    return DataLoss("the embedding's length is " + std::to_string(length) +
                    ": it has no direction; ask for it as it is");
  }
  for (float& value : row) value /= length;
  return absl::OkStatus();
}

}  // namespace

PartSpec EmbeddingPart(const ModelConfig& config) {
  return {.embedding = true, .layers = {0, config.n_layers}, .output_norm = !config.traits.encoder};
}

int EmbeddingTokensMax(const ModelConfig& config) {
  return config.traits.encoder ? std::min(config.n_ctx_train, kBatchRowsMax) : config.n_ctx_train;
}

absl::StatusOr<std::unique_ptr<Embedder>> Embedder::Create(Engine& engine, int part) {
  std::unique_ptr<Embedder> embedder(new Embedder(engine, part));
  const size_t n = embedder->rows_.size() * static_cast<size_t>(engine.config().n_embd);
  embedder->hidden_.reset(new (std::nothrow) float[n]);
  if (embedder->hidden_ == nullptr) {
    return ResourceExhausted("no memory for " + std::to_string(n * sizeof(float)) +
                             " bytes of rows");
  }
  return embedder;
}

Embedder::Embedder(Engine& engine, int part)
    : engine_(engine), part_(part), rows_(static_cast<size_t>(engine.options().rows_max)) {}

Embedder::~Embedder() { engine_.kv().Release(kv_); }

int Embedder::tokens_max() const {
  const EngineOptions& options = engine_.options();
  const bool whole = engine_.config().traits.encoder;
  return whole ? std::min(options.context_max, options.rows_max) : options.context_max;
}

absl::Status Embedder::Check(std::span<const int32_t> tokens) const {
  if (tokens.empty()) return InvalidArgument("a text without tokens has no embedding");
  if (tokens.size() > static_cast<size_t>(tokens_max())) {
    return InvalidArgument("a text of " + std::to_string(tokens.size()) +
                           " tokens is longer than the " + std::to_string(tokens_max()) +
                           " that are embedded at once");
  }
  for (const int32_t token : tokens) {
    if (token >= 0 && token < engine_.config().n_vocab) continue;
    return InvalidArgument("token " + std::to_string(token) + " is outside the vocabulary of " +
                           std::to_string(engine_.config().n_vocab));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> Embedder::Embed(std::span<const int32_t> tokens, Pooling pooling,
                                                   bool normalised) {
  CHECK(pooling != Pooling::kNone);
  Pool pool(pooling, static_cast<int>(tokens.size()), static_cast<size_t>(engine_.config().n_embd));
  RETURN_IF_ERROR(
      Run(tokens, [&](int position, std::span<const float> rows) { pool.Take(position, rows); }));
  std::vector<float> row = pool.Finish();
  if (!AllFinite(row)) {
    return DataLoss("the embedding is not finite: the model's weights are damaged or too large");
  }
  if (normalised) RETURN_IF_ERROR(Normalise(row));
  return row;
}

absl::Status Embedder::Run(std::span<const int32_t> tokens, const Visit& visit) {
  RETURN_IF_ERROR(Check(tokens));
  RETURN_IF_ERROR(engine_.kv().Reserve(kv_, 0, static_cast<int>(tokens.size())));
  const absl::Status status = Walk(tokens, visit);
  engine_.kv().Release(kv_);
  return status;
}

absl::Status Embedder::Walk(std::span<const int32_t> tokens, const Visit& visit) {
  const auto n_embd = static_cast<size_t>(engine_.config().n_embd);
  for (size_t at = 0; at < tokens.size();) {
    if (stop_ && stop_()) return Cancelled("interrupted");
    const size_t n = std::min(rows_.size(), tokens.size() - at);
    for (size_t i = 0; i < n; ++i) rows_[i] = {&kv_, static_cast<int>(at + i)};
    engine_.Run(part_, {.rows = std::span<const BatchRow>(rows_).first(n),
                        .tokens = tokens.subspan(at, n),
                        .rows_out = hidden_.get()});
    visit(static_cast<int>(at), {hidden_.get(), n * n_embd});
    at += n;
  }
  return absl::OkStatus();
}

}  // namespace mortar
