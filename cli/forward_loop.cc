#include "cli/forward_loop.h"

#include <algorithm>

#include "common/check.h"

namespace mortar {

absl::StatusOr<std::unique_ptr<ForwardLoop>> ForwardLoop::Create(const GgufFile& file,
                                                                 const Options& options,
                                                                 const KernelTable& kernels,
                                                                 ThreadPool& pool) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(file));
  const int pages = (options.positions + kKvPagePositions - 1) / kKvPagePositions;
  EngineOptions engine_options;
  engine_options.kv_type = options.kv_type;
  engine_options.context_max = options.positions;
  engine_options.kv_positions_max = options.sessions * pages * kKvPagePositions;
  engine_options.rows_max = std::max(options.ubatch_size, options.sessions);
  engine_options.logit_rows_max = options.sessions;
  const PartSpec whole = {true, {0, config.n_layers}, true};
  ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                   Engine::Load(file, {whole}, engine_options, kernels, pool));
  return std::unique_ptr<ForwardLoop>(new ForwardLoop(std::move(engine), options));
}

ForwardLoop::ForwardLoop(std::unique_ptr<Engine> engine, const Options& options)
    : engine_(std::move(engine)), options_(options) {
  const auto sessions = static_cast<size_t>(options.sessions);
  kv_.resize(sessions);
  positions_.resize(sessions);
  rows_.resize(static_cast<size_t>(std::max(options.ubatch_size, options.sessions)));
  logit_rows_.resize(sessions);
  logits_.resize(sessions * static_cast<size_t>(config().n_vocab));
}

uint64_t ForwardLoop::kv_bytes_per_position() const {
  return engine_->kv().page_bytes() / kKvPagePositions;
}

void ForwardLoop::Clear() {
  for (KvTable& table : kv_) engine_->kv().Release(table);
  std::ranges::fill(positions_, 0);
}

void ForwardLoop::Rewind(int positions) {
  for (int& held : positions_) held = std::min(held, positions);
}

absl::Status ForwardLoop::Reserve(int sessions, int positions) {
  CHECK(sessions <= options_.sessions);
  for (int i = 0; i < sessions; ++i) {
    RETURN_IF_ERROR(engine_->kv().Reserve(kv_[static_cast<size_t>(i)], 0, positions));
  }
  return absl::OkStatus();
}

void ForwardLoop::Prefill(int session, std::span<const int32_t> tokens) {
  KvTable& table = kv_[static_cast<size_t>(session)];
  int& position = positions_[static_cast<size_t>(session)];
  while (!tokens.empty()) {
    const size_t n = std::min(tokens.size(), static_cast<size_t>(options_.ubatch_size));
    for (size_t i = 0; i < n; ++i) rows_[i] = {&table, position++};
    Batch batch;
    batch.rows = std::span(rows_).first(n);
    batch.tokens = tokens.first(n);
    logit_rows_[0] = static_cast<int>(n) - 1;
    // Only the last token's logits are of use to anyone.
    if (n == tokens.size()) batch.logit_rows = std::span(logit_rows_).first(1);
    batch.logits = logits_.data();
    engine_->Run(0, batch);
    tokens = tokens.subspan(n);
  }
}

void ForwardLoop::Decode(std::span<const int32_t> tokens) {
  CHECK(tokens.size() <= kv_.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    rows_[i] = {&kv_[i], positions_[i]++};
    logit_rows_[i] = static_cast<int>(i);
  }
  Batch batch;
  batch.rows = std::span(rows_).first(tokens.size());
  batch.tokens = tokens;
  batch.logit_rows = std::span(logit_rows_).first(tokens.size());
  batch.logits = logits_.data();
  engine_->Run(0, batch);
}

std::span<float> ForwardLoop::mutable_logits() {
  return std::span(logits_).first(static_cast<size_t>(config().n_vocab));
}

}  // namespace mortar
