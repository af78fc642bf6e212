// The worker: one loop that owns its state, and an engine that it hands to jobs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/clock.h"
#include "common/job_queue.h"
#include "common/log.h"
#include "common/pump.h"
#include "engine/batch/engine.h"
#include "protocol/shard_order.h"
#include "protocol/transport.h"
#include "worker/state.h"

namespace mortar {

// Opens the bricks of a placement, checks their digests and compiles them to part 0 of an
// engine whose options have at least WorkerOptions::rows_max rows. Runs as a job. It is not asked
// for a placement without layers: the other shards of a hop keep theirs in memory then, unused,
// until the next load replaces them.
using LoadLayers = std::function<absl::StatusOr<std::unique_ptr<Engine>>(const Placement&)>;

// Has the other shards of a hop do what this one is about to (worker/follower.h): on the thread of
// jobs, and before them. Whoever made it knows when it failed, and ends the node before the rows of
// that batch are used.
using TellShards = std::function<void(const ShardOrder& order, std::span<const float> rows)>;
// Brings the bricks of a placement here, where a node has no file of its model.
class BrickFetcher {
 public:
  virtual ~BrickFetcher() = default;
  // Instead of whatever was wanted before. Returns at once.
  virtual void Fetch(const std::vector<LayerBrick>& bricks) = 0;
  // Whether they are here, or why they did not come; absent while they come.
  virtual std::optional<absl::Status> Fetched() = 0;
};

class Worker final : public Loop {
 public:
  // All of these outlive the worker; `jobs` is the worker's alone.
  struct Parts {
    Transport& transport;
    const Clock& clock;
    JobQueue& jobs;
    const Logger& log;
    LoadLayers load;
    const KeyPair* keys = nullptr;    // of this node: frames must be sealed; null: they must not be
    TellShards tell = {};             // of a node that leads shards, whose loading `load` sees to
    BrickFetcher* fetcher = nullptr;  // null: the model's file has all bricks
  };
  Worker(WorkerOptions options, Parts parts);
  ~Worker() override;

  bool Step() override;
  Duration Patience() const override;
  const WorkerState& state() const;

 private:
  struct Rest;
  std::unique_ptr<Rest> rest_;
};

}  // namespace mortar
