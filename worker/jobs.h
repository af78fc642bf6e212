// What a worker has the engine do: load layers, run a batch, give pages back. Each job is kept
// and submitted again and again. While one is submitted the loop touches neither the engine
// nor the tables of pages.
#pragma once

#include <memory>
#include <vector>

#include "common/clock.h"
#include "common/job_queue.h"
#include "engine/batch/engine.h"
#include "protocol/rows.h"
#include "worker/loop.h"
#include "worker/state.h"

namespace mortar {

class LoadJob final : public Job {
 public:
  // `engine` is replaced: the old one goes first, so that both never need memory at once.
  LoadJob(const LoadLayers& load, std::unique_ptr<Engine>& engine) : load_(load), engine_(engine) {}

  Placement placement;  // in
  absl::Status status;  // out: why `engine` is null; OK with null when no layers were wanted

  void Run() override;

 private:
  const LoadLayers& load_;
  std::unique_ptr<Engine>& engine_;
};

class BatchJob final : public Job {
 public:
  BatchJob(RowsPool& pool, const Clock& clock, const TellShards& tell)
      : pool_(pool), clock_(clock), tell_(tell) {}

  Duration time{};  // out: how long it took

  // Lays out the frames as one batch and takes the rows that they will give. `tables` holds
  // the pages of each place, which reach the end of each frame.
  void Prepare(Engine& engine, std::vector<RunningFrame>& frames,
               const std::vector<KvTable>& tables);
  void Run() override {
    const Time start = clock_.Now();
    Compute();
    time = clock_.Now() - start;
  }

 private:
  void Compute();

  RowsPool& pool_;
  const Clock& clock_;
  const TellShards& tell_;
  ShardOrder order_;  // where there are shards
  Engine* engine_ = nullptr;
  std::vector<RunningFrame>* frames_ = nullptr;
  std::vector<BatchRow> rows_;
  Rows all_in_;   // [total rows, n_embd], when there are several frames
  Rows all_out_;  // [total rows, n_embd], when rows_out of a single frame cannot take them
};

class ReleaseJob final : public Job {
 public:
  explicit ReleaseJob(const TellShards& tell) : tell_(tell) {}

  std::vector<int> places;  // in
  KvPool* pool = nullptr;   // in
  std::vector<KvTable>* tables = nullptr;

  void Run() override;

 private:
  const TellShards& tell_;
};

}  // namespace mortar
