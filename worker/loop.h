// The worker: one loop that owns its state, and an engine that it hands to jobs.
#pragma once

#include <functional>
#include <memory>

#include "common/clock.h"
#include "common/job_queue.h"
#include "common/log.h"
#include "common/pump.h"
#include "engine/batch/engine.h"
#include "protocol/transport.h"
#include "worker/state.h"

namespace mortar {

// Opens the bricks of a placement, checks their digests and compiles them to part 0 of an
// engine whose options have at least WorkerOptions::rows_max rows. Runs as a job.
using LoadLayers = std::function<absl::StatusOr<std::unique_ptr<Engine>>(const Placement&)>;

class Worker final : public Loop {
 public:
  // All of these outlive the worker; `jobs` is the worker's alone.
  struct Parts {
    Transport& transport;
    const Clock& clock;
    JobQueue& jobs;
    const Logger& log;
    LoadLayers load;
    const KeyPair* keys = nullptr;  // of this node: frames must be sealed; null: they must not be
  };
  Worker(WorkerOptions options, Parts parts);
  ~Worker() override;

  bool Step() override;
  const WorkerState& state() const;

 private:
  struct Rest;
  std::unique_ptr<Rest> rest_;
};

}  // namespace mortar
