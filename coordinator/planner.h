// Which nodes a route should use, and who hosts how much: from measured speeds, memory and ways.
// A pure function of values: of what a file says (`mortar plan`), or of what nodes have measured
// (measured.h).
//
// The model of one token: the edge reads its layers and the head, each node of the route its
// layers, at so many ns a byte (decode is bound by memory); rows cross from stop to stop, which
// takes a time of each node's own (to its relay or zone and back) and one from zone to zone.
//
// What is exact, and what is not:
//   * up to 12 nodes that can take part (fewer from 64 layers on: refine.h): everything. All sets,
//     orders and splits are gone through, with pairs, fixed layers and layers of any size.
//   * any number of nodes that may host any layers, layers of one size, no pairs: dynamic
//     programming over nodes x layers (shares.h, gap.h) finds the least time of the model, for up
//     to 8 zones and as long as detours over a zone are none that save time (gap.h). Of more zones
//     the 8 cheapest are used.
//   * else what is best without pairs, for layers of the mean size and with one gap at most between
//     fixed layers (chain.h), names the first dozen of which all sets are gone through; the
//     cheapest come next. There may be a better way, and the plan's `why` says so.
//   * layers that no nodes have room for are said to be impossible, and that is so, unless some of
//     too many nodes for all sets have fixed layers: then the error says what was not looked at.
//   * whoever gains less than `worth` is left out, to be a replica.
// Prefill and the reads of KV are not in the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "coordinator/gap.h"
#include "coordinator/placement.h"

namespace mortar {

// The edge, where a stop of a route is named by its node's index.
inline constexpr int kEdgeStop = -1;
// A replica may make a token this much slower than the host that it stands in for.
inline constexpr double kReplicaSlowdownMax = 1.5;
// Nodes left out for which the plan says what a token would take with them.
inline constexpr size_t kExplainedMax = 16;

struct PlannerNode {
  std::string name;
  double ns_per_byte = 0;                        // of weights that a token reads
  uint64_t memory_bytes = 0;                     // for weights and KV
  LayerRange layers_only{};                      // hosts exactly these; empty: any
  int zone = 0;                                  // row of PlannerInput::zones
  double access_ns = 0;                          // a token's rows, from its zone to it and back
  std::optional<uint64_t> kv_bytes_per_layer{};  // of its own; absent: PlannerInput's
};

struct PlannerEdge {
  double ns_per_byte = 0;
  uint64_t head_bytes = 0;                 // that a token reads there beside layers
  uint64_t resident_bytes = 0;             // that lie there beside layers: head and embedding
  std::optional<uint64_t> memory_bytes{};  // absent: it keeps `least` and no more
  LayerCut least{};                        // what it keeps grows at the front
  int zone = 0;
  double access_ns = 0;  // once a token, when any node is used
};

struct PairTime {
  int a = 0;  // indices of nodes, or kEdgeStop
  int b = 0;
  double ns = 0;  // one way, instead of what zones and accesses say
};

struct PlannerInput {
  std::vector<uint64_t> layer_bytes;  // [n_layers]
  uint64_t kv_bytes_per_layer = 0;    // of all sessions admitted: any host can take them all
  int sessions = 1;                   // at a time, to be shared out over replicas
  PlannerEdge edge{};
  std::vector<PlannerNode> nodes{};
  ZoneTimes zones = ZoneTimes(1, std::vector<double>(1, 0));
  std::vector<PairTime> pairs{};
  int hops_max = kHopsMax;
  double worth = 0.02;  // part of a token's time that one node more must save
};

struct PlannedNode {
  int node = 0;
  double compute_ns = 0;  // of a token, in these layers
  int sessions = 0;       // its part of them
};

struct PlannedStop {
  LayerRange layers;
  double link_ns = 0;              // from the stop before
  std::vector<PlannedNode> hosts;  // the first is the one that the prediction is of
};

struct DroppedNode {
  int node = 0;
  std::string why;
};

struct RoutePlan {
  LayerCut cut;
  std::vector<PlannedStop> stops;  // none: the edge hosts all
  double edge_ns = 0;              // layers, head
  double last_link_ns = 0;         // from the last stop to the edge
  double total_ns = 0;             // of one token
  // The best with exactly so many nodes, infinite where there is none; [0] is the edge alone.
  std::vector<double> by_nodes;
  std::vector<DroppedNode> dropped;  // in the order given; at most kExplainedMax
  size_t dropped_more = 0;           // of the same
  std::string why;                   // for people
};

// Needs: indices, zones and the edge's least share are within their bounds (CHECKed).
// FailedPrecondition: the edge has no room for its least share.
// Unavailable: these nodes cannot host the layers, and why; or no way was found, and how far the
// search went.
// 10,000 nodes and 126 layers take well under a second; thousands of different runs of fixed layers
// among them may take some.
absl::StatusOr<RoutePlan> PlanRoute(const PlannerInput& input);

}  // namespace mortar
