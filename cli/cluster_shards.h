// Several ranks of an MPI job that share the layers of one hop (--tp): the first of them is the
// worker that everybody else speaks with, and has the others do what it does.
#pragma once

#include <memory>
#include <mutex>

#include "cli/node_parts.h"
#include "protocol/mpi_shards.h"
#include "protocol/mpi_world.h"
#include "worker/follower.h"
#include "worker/loop.h"

namespace mortar {

// The ranks of an MPI job behind rank 0, `per_hop` neighbours to each hop.
struct HopRanks {
  int per_hop = 1;

  int HopOf(int rank) const { return (rank - 1) / per_hop; }
  int LeaderOf(int hop) const { return 1 + hop * per_hop; }
  int IndexOf(int rank) const { return (rank - 1) % per_hop; }
};
// --tp
HopRanks HopRanksOf(const Settings& settings);

// UsageError when the model cannot be shared by so many.
absl::Status CheckShards(const Settings& settings, const ModelConfig& config);

// Of a rank whose model came from rank 0, and was given back behind its first load.
absl::Status WeightsGone();

// A rank's part in its hop, where shards share it.
class HopShards {
 public:
  // All of these outlive it. `check` is asked while it waits for others.
  struct Parts {
    const MpiWorld& world;
    std::mutex& calls;
    NodeParts node;
    std::function<std::string(int rank)> describe;
    std::function<absl::Status()> check;
    std::function<void()> loaded;  // behind each load of its own: the model's bytes may go
  };
  HopShards(HopRanks ranks, NodeEngineOptions engine, Parts parts);

  bool leads() const { return shards_.leads(); }
  // Why this hop computes no more: then no rows of its leader are used.
  const absl::Status& failure() const { return shards_.failure(); }

  // --- The leader, as its worker's parts ---
  // Has all shards load, this one's too, and waits for them.
  absl::StatusOr<std::unique_ptr<Engine>> Load(const Placement& placement);
  void Tell(const ShardOrder& order, std::span<const float> rows);
  // The others leave.
  absl::Status End();

  // --- The others ---
  // Does what the leader says until it ends.
  absl::Status Follow();

 private:
  absl::StatusOr<std::unique_ptr<Engine>> LoadOwn(const Placement& placement);
  ShardLoad LoadOf(LayerRange layers) const;
  absl::Status Obey(Follower& follower, RowsPool& pool);
  void LogEnd() const;

  Parts parts_;
  NodeEngineOptions engine_;
  MpiShards shards_;
  std::vector<uint32_t> words_;
  ShardOrder order_;  // that was heard
};

}  // namespace mortar
