// Layers placed by what nodes have measured: the planner's exact answer (planner.h) as a placement,
// and what it says of a placement that is there.
//
// The model of the planner is filled in so: a node's speed and memory as its status says them, each
// layer's bytes as the bricks do, and for the way to a node and back the round trip of a row to the
// coordinator, which relays what is not direct. All nodes are in one zone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "coordinator/placement.h"

namespace mortar {

// A replica that is as good as none takes no sessions: those of a stop at a time.
inline constexpr int kSessionsPlanned = kStopHostsMax;

// What it points to outlives it: nothing is copied for ten thousand of them.
struct MeasuredWorker {
  NodeId node;
  const std::string* name = nullptr;
  const std::vector<LayerBrick>* bricks = nullptr;
  LayerRange layers_only{};         // hosts these and no others; empty: any
  double ns_per_byte = 0;           // above 0
  double access_ns = 0;             // round trip; 0: not said
  uint64_t memory_bytes = 0;        // 0: not said, and then taken to suffice
  uint64_t kv_bytes_per_layer = 0;  // of all sessions that it admits
};

// The same for all placements: it counts in what part of a token they save.
struct MeasuredEdge {
  double ns_per_byte = 0;  // 0: not said
  uint64_t head_bytes = 0;
  double access_ns = 0;
};

struct MeasuredCluster {
  int n_layers = 0;
  LayerCut cut;
  MeasuredEdge edge{};
  std::vector<MeasuredWorker> workers{};
};

// The placement that makes a token fastest, with the nodes left over as replicas where they fit,
// else as notes. Unavailable: these workers have no room for the layers, and why.
// FailedPrecondition: a layer's brick is private or of several layers, or there are too many.
// 10,000 workers and 126 layers take well under a second.
absl::StatusOr<LayerPlan> PlaceMeasured(const MeasuredCluster& cluster);

// What a token takes in a placement now, over the fastest host of each stop; absent when a host is
// none of the workers, or has no room for its layers.
std::optional<double> TokenNs(const MeasuredCluster& cluster, const LayerPlan& plan);

// The same stops, without replicas that are too slow by now and with those that can join them.
// Needs: TokenNs is present.
LayerPlan WithReplicasOfNow(const MeasuredCluster& cluster, const LayerPlan& plan);

}  // namespace mortar
