// The middle as an edge has it while it is here: an engine of its own beside that of front and
// back, what loads and unloads it, and its steps.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "common/job_queue.h"
#include "common/status.h"
#include "edge/state.h"
#include "engine/batch/engine.h"
#include "protocol/rows.h"

namespace mortar {

// Loads the layers between the edge's own as part 0 of an engine with KV for all of the edge's
// slots and as long a context; batches may be smaller. ResourceExhausted when they are not to be
// had in the memory that the edge may take. Runs on the thread of Edge::Parts::loading, while the
// edge's engine computes, and ends soon after `stop` was set.
using LoadMiddle =
    std::function<absl::StatusOr<std::unique_ptr<Engine>>(const std::atomic<bool>& stop)>;

// What the edge and its middle share. Of the job that runs: that of loading while the state says
// kLoading or kUnloading, else that of the edge's engine; of the loop in between.
struct MiddleEngine {
  std::unique_ptr<Engine> engine;  // null: not here
  std::vector<KvTable> tables;     // pages of each slot; empty ones of those that are not alone
};

class MiddleJob final : public Job {
 public:
  MiddleJob(const LoadMiddle& load, MiddleEngine& middle) : load_(load), middle_(middle) {}
  void Stop() { stop_ = true; }  // a load that runs ends soon; from any thread

  bool loads = true;    // in: or else unloads
  absl::Status status;  // out, of a load

  void Run() override;

 private:
  const LoadMiddle& load_;
  MiddleEngine& middle_;
  std::atomic<bool> stop_ = false;
};

// The step of sessions that are alone, behind the front layers: a part of the front job.
class MiddleStep {
 public:
  MiddleStep(MiddleEngine& middle, RowsPool& pool) : middle_(middle), pool_(pool) {}

  // Those of `items` whose slots are alone; their rows_out have their places.
  void Prepare(std::vector<EdgeItem>& items, const std::vector<EdgeSlot>& slots);
  // rows_out of these items, through the middle.
  void Compute();

 private:
  MiddleEngine& middle_;
  RowsPool& pool_;
  std::vector<EdgeItem*> items_;
  std::vector<BatchRow> rows_;
  Rows all_;  // [total rows, n_embd], when there are several items
};

}  // namespace mortar
