// `mortar plan` over machines whose speed is known: from a model and nodes to a report.
#pragma once

#include <cstdint>
#include <optional>

#include "cli/cut.h"
#include "cli/nodes_file.h"
#include "cli/reports.h"
#include "cli/settings.h"
#include "common/status.h"
#include "engine/brick/manifest.h"
#include "engine/model/config.h"

namespace mortar {

// What of a model a plan is about.
struct PlannedModel {
  ModelConfig config;
  WeightShares shares;

  // A token reads one row of the embedding and the whole head, be it the same matrix or not.
  uint64_t head_bytes() const { return shares.head + (config.tied_head ? shares.embedding : 0); }
  uint64_t token_bytes() const;  // of weights that a token reads in all
};

// The edge's two ends: which layers, why, and the bytes that lie there, as `run` counts them. A
// tied head is the embedding, counted once, at the front.
PlannedHop EdgeFront(const PlannedModel& model, int front);
PlannedHop EdgeBack(const PlannedModel& model, int back);

// Of a token's rows and envelope, where so many hops come after the next one.
uint64_t WireBytes(const ModelConfig& config, int hops_behind);

struct PlanRequest {
  LayerCut least;                       // --front and --back
  std::optional<uint64_t> edge_memory;  // --edge-memory
  int sessions = 1;                     // --parallel
  uint64_t kv_bytes_per_layer = 0;      // of all of them
  double edge_ns_per_byte = 0;          // of weights that a token reads
};
// --front, --back, --edge-memory, --parallel, --ctx-size and --kv; without the edge's speed.
absl::StatusOr<PlanRequest> ReadPlanRequest(const Settings& settings, const ModelConfig& config);

// `worker_count` machines as fast as the edge, with all the memory that they need, and no way
// between them: what --edge-memory is compared with where no file of nodes is given.
NodesFile NodesLikeTheEdge(int worker_count, double ns_per_byte);

// FailedPrecondition and Unavailable as PlanRoute.
absl::StatusOr<PlanReport> ReportRoute(const PlannedModel& model, const PlanRequest& request,
                                       NodesFile nodes);

}  // namespace mortar
