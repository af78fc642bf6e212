#include "worker/jobs.h"

#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

// Rows that leave this worker for a frame: all to the next hop, else what the edge wants.
int RowsLeaving(const Envelope& e) {
  const int n = static_cast<int>(e.n);
  if (e.n_hops > 0 || e.rows_wanted == RowsWanted::kAll) return n;
  return e.rows_wanted == RowsWanted::kLast ? 1 : 0;
}

}  // namespace

void LoadJob::Run() {
  engine_.reset();
  status = absl::OkStatus();
  if (placement.layers.empty()) return;
  absl::StatusOr<std::unique_ptr<Engine>> loaded = load_(placement);
  if (!loaded.ok()) {
    status = loaded.status();
    return;
  }
  engine_ = std::move(*loaded);
}

void BatchJob::Prepare(Engine& engine, std::vector<RunningFrame>& frames,
                       const std::vector<KvTable>& tables) {
  engine_ = &engine;
  frames_ = &frames;
  rows_.clear();
  const int n_embd = engine.config().n_embd;
  for (RunningFrame& frame : frames) {
    const KvTable& table = tables[static_cast<size_t>(frame.place)];
    for (uint32_t i = 0; i < frame.envelope.n; ++i) {
      rows_.push_back({.kv = &table, .position = static_cast<int>(frame.envelope.base + i)});
    }
    const int leaving = RowsLeaving(frame.envelope);
    if (leaving > 0) frame.rows_out = pool_.Take(leaving, n_embd);
  }
  const int total = static_cast<int>(rows_.size());
  CHECK(total <= engine.options().rows_max);
  const bool alone = frames.size() == 1;
  all_in_ = alone ? Rows{} : pool_.Take(total, n_embd);
  all_out_ = alone && frames[0].rows_out.n() == total ? Rows{} : pool_.Take(total, n_embd);
}

void ReleaseJob::Run() {
  if (tell_)
    tell_({.kind = ShardOrderKind::kRelease, .load = {}, .frames = {}, .places = places}, {});
  for (const int place : places) pool->Release((*tables)[static_cast<size_t>(place)]);
}

void BatchJob::Compute() {
  std::vector<RunningFrame>& frames = *frames_;
  Batch batch;
  batch.rows = rows_;
  batch.rows_in = frames[0].rows_in.data();
  if (!all_in_.empty()) {
    float* to = all_in_.mutable_data();
    for (const RunningFrame& frame : frames) {
      std::memcpy(to, frame.rows_in.data(), frame.rows_in.bytes());
      to += frame.rows_in.bytes() / sizeof(float);
    }
    batch.rows_in = all_in_.data();
  }
  batch.rows_out = all_out_.empty() ? frames[0].rows_out.mutable_data() : all_out_.mutable_data();
  if (tell_) {
    order_.kind = ShardOrderKind::kBatch;
    order_.frames.clear();
    for (const RunningFrame& frame : frames) {
      const Envelope& e = frame.envelope;
      order_.frames.push_back({frame.place, static_cast<int>(e.base), static_cast<int>(e.n)});
    }
    const auto width = static_cast<size_t>(engine_->config().n_embd);
    tell_(order_, {batch.rows_in, rows_.size() * width});
  }
  engine_->Run(0, batch);
  if (all_out_.empty()) return;
  // Of each frame the last rows leave, or all of them.
  const float* from = all_out_.data();
  const size_t width = static_cast<size_t>(all_out_.n_embd());
  for (RunningFrame& frame : frames) {
    from += static_cast<size_t>(frame.envelope.n) * width;
    if (frame.rows_out.empty()) continue;
    std::memcpy(frame.rows_out.mutable_data(), from - frame.rows_out.bytes() / sizeof(float),
                frame.rows_out.bytes());
  }
}

}  // namespace mortar
