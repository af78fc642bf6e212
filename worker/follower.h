// A shard of a hop's layers that does what the hop's leader does: the same batches over the KV of
// the same sessions, with its own heads and outputs.
//
// It has no loop, no peer and no session of its own: whoever hears the leader hands on its orders
// one by one. An order that breaks a bound is refused: the leader is the same program, so it is a
// fault that would come again.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/batch/engine.h"
#include "protocol/shard_order.h"

namespace mortar {

// Compiles layers to part 0 of an engine that has the rows, the context and the sessions asked for.
using LoadShard = std::function<absl::StatusOr<std::unique_ptr<Engine>>(LayerRange layers)>;

class Follower {
 public:
  // `own`: what this node has been started with, whatever the layers.
  Follower(const ShardLoad& own, LoadShard load) : own_(own), load_(std::move(load)) {}

  // FailedPrecondition, with both sides, when the leader was started with another model, KV format,
  // context or number of sessions; else what loading says. Without layers after an error.
  absl::Status Load(const ShardLoad& wanted);

  // What a batch of these frames is made of: InvalidArgument for places, positions or rows beyond
  // the engine's; FailedPrecondition before layers are loaded.
  absl::Status CheckBatch(std::span<const ShardFrame> frames) const;
  // Runs it. ResourceExhausted when there are no pages for it: the leader's count was wrong.
  // Needs: CheckBatch; rows_in [rows of all frames, n_embd].
  absl::Status Run(std::span<const ShardFrame> frames, const float* rows_in);

  absl::Status Release(std::span<const int> places);

  const Engine* engine() const { return engine_.get(); }  // null: no layers
  int positions_free() const { return engine_->kv().positions_free(); }

 private:
  absl::Status CheckPlace(int place) const;

  const ShardLoad own_;
  const LoadShard load_;
  std::unique_ptr<Engine> engine_;
  std::vector<KvTable> tables_;  // pages of each place
  std::vector<BatchRow> rows_;
};

}  // namespace mortar
