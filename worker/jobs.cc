#include "worker/jobs.h"

#include <algorithm>
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
    const int base = static_cast<int>(frame.envelope.base);
    for (int i = frame.first; i < frame.end(); ++i) {
      rows_.push_back({.kv = &table, .position = base + i});
    }
    const int leaving = RowsLeaving(frame.envelope);
    if (leaving > 0 && frame.rows_out.empty()) frame.rows_out = pool_.Take(leaving, n_embd);
  }
  const int total = static_cast<int>(rows_.size());
  CHECK(total <= engine.options().rows_max);
  const bool alone = frames.size() == 1 && frames[0].n == static_cast<int>(frames[0].envelope.n);
  all_in_ = alone ? Rows{} : pool_.Take(total, n_embd);
  all_out_ = alone && frames[0].rows_out.n() == total ? Rows{} : pool_.Take(total, n_embd);
}

void ReleaseJob::Run() {
  if (tell_)
    tell_({.kind = ShardOrderKind::kRelease, .load = {}, .frames = {}, .places = places}, {});
  for (const int place : places) pool->Release((*tables)[static_cast<size_t>(place)]);
}

namespace {

// Copies those of a slice's rows that leave this worker to their place among the frame's.
void KeepLeaving(RunningFrame& frame, const float* from, size_t width) {
  if (frame.rows_out.empty()) return;
  const int stays = static_cast<int>(frame.envelope.n) - frame.rows_out.n();  // the first rows
  const int first = std::max(frame.first, stays);
  if (first >= frame.end()) return;
  std::memcpy(frame.rows_out.mutable_data() + static_cast<size_t>(first - stays) * width,
              from + static_cast<size_t>(first - frame.first) * width,
              static_cast<size_t>(frame.end() - first) * width * sizeof(float));
}

}  // namespace

void BatchJob::Compute() {
  std::vector<RunningFrame>& frames = *frames_;
  Batch batch;
  batch.rows = rows_;
  batch.rows_in = frames[0].rows_in.data();
  if (!all_in_.empty()) {
    const size_t width = static_cast<size_t>(all_in_.n_embd());
    float* to = all_in_.mutable_data();
    for (const RunningFrame& frame : frames) {
      const size_t n = static_cast<size_t>(frame.n) * width;
      std::memcpy(to, frame.rows_in.data() + static_cast<size_t>(frame.first) * width,
                  n * sizeof(float));
      to += n;
    }
    batch.rows_in = all_in_.data();
  }
  batch.rows_out = all_out_.empty() ? frames[0].rows_out.mutable_data() : all_out_.mutable_data();
  if (tell_) {
    order_.kind = ShardOrderKind::kBatch;
    order_.frames.clear();
    for (const RunningFrame& frame : frames) {
      const Envelope& e = frame.envelope;
      order_.frames.push_back({frame.place, static_cast<int>(e.base) + frame.first, frame.n});
    }
    const auto width = static_cast<size_t>(engine_->config().n_embd);
    tell_(order_, {batch.rows_in, rows_.size() * width});
  }
  engine_->Run(0, batch);
  if (all_out_.empty()) return;
  const float* from = all_out_.data();
  const size_t width = static_cast<size_t>(all_out_.n_embd());
  for (RunningFrame& frame : frames) {
    KeepLeaving(frame, from, width);
    from += static_cast<size_t>(frame.n) * width;
  }
}

}  // namespace mortar
