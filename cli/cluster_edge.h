// Rank 0 of an MPI job as an edge: beside the coordinator in one process, workers in the other
// ranks and, where the job is open, outside.
#pragma once

#include <memory>
#include <vector>

#include "cli/answering.h"
#include "cli/cluster_root.h"
#include "cli/node_parts.h"

namespace mortar {

class ClusterEdge final : public AnsweringNodes {
 public:
  // Returns when every worker is ready, within ten minutes. Cancelled by a signal. The root
  // outlives it and drives no edge yet; its network has none. Unavailable, here and in Generate,
  // when a rank that had joined is gone or stands still, or has not joined within ten seconds.
  static absl::StatusOr<std::unique_ptr<ClusterEdge>> Start(const SessionOptions& session,
                                                            const NodeParts& parts,
                                                            ClusterRoot& root);
  ~ClusterEdge() override;

  absl::StatusOr<Finished> Generate(GenerateRequest request, const AnswerSinks& sinks) override;
  std::vector<HopTraffic> Traffic() const override;
  // Where the job is open: serves on, until a signal. Its own edge stays, for whoever speaks to it.
  absl::Status Afterwards() override;

 private:
  struct State;
  explicit ClusterEdge(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mortar
