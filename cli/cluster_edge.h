// Rank 0 of an MPI job: coordinator and edge in one process, workers in the other ranks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/answering.h"
#include "cli/cluster_shards.h"
#include "cli/node_parts.h"
#include "common/clock.h"
#include "common/loop_driver.h"
#include "protocol/mpi_transport.h"

namespace mortar {

struct ClusterEdgeOptions {
  int workers = 1;
  HopRanks ranks;         // which rank each worker's node is in
  bool measured = false;  // layers are placed by speed
  Duration awake_max{};   // between jobs (common/loop_driver.h)
  SessionOptions session;
  std::function<std::string(int rank)> describe;  // for errors: which process, where
};

class ClusterEdge final : public AnsweringNodes {
 public:
  // Returns when every worker is ready, within ten minutes. Cancelled by a signal. The network
  // outlives it and has no node yet. Unavailable, here and in Generate, when a rank that had
  // joined is gone or stands still, or has not joined within ten seconds.
  static absl::StatusOr<std::unique_ptr<ClusterEdge>> Start(const ClusterEdgeOptions& options,
                                                            const NodeParts& parts,
                                                            MpiNetwork& network);
  ~ClusterEdge() override;

  absl::StatusOr<Finished> Generate(GenerateRequest request, const AnswerSinks& sinks) override;
  std::vector<HopTraffic> Traffic() const override;

 private:
  struct State;
  explicit ClusterEdge(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What a rank with jobs does between them. The network outlives it.
Idling IdleOnMpi(MpiNetwork& network, Duration awake_max);

}  // namespace mortar
