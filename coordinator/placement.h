// Which worker hosts which layers. A pure function of what the nodes offered, used by the
// coordinator and by `mortar plan`.
#pragma once

#include <string>
#include <vector>

#include "common/layer_range.h"
#include "common/status.h"
#include "protocol/messages.h"

namespace mortar {

// The layers that edges keep: [0, front) and [n_layers - back, n_layers).
struct LayerCut {
  int front = 2;
  int back = 2;
  bool operator==(const LayerCut&) const = default;
};

struct WorkerOffer {
  NodeId node;
  std::string name;
  LayerRange layers_only;          // hosts these and no others; empty: any
  std::vector<LayerBrick> bricks;  // what it can load
};

// A node that hosts the same layers as another.
struct PlacedHost {
  NodeId node;
  std::string name;
  double token_ns = 0;  // of a token, in these layers; 0: not known
};

struct PlacedHop {
  NodeId node;
  std::string name;
  LayerRange layers;                   // never empty
  std::vector<LayerBrick> bricks{};    // those that make up `layers`, ascending
  uint64_t weight_bytes = 0;           // of the bricks
  std::string why;                     // for people: how these layers came to this worker
  double token_ns = 0;                 // of a token, in these layers; 0: not known
  std::vector<PlacedHost> replicas{};  // at most kStopHostsMax - 1: a session takes one of all
};

struct LayerPlan {
  std::vector<PlacedHop> hops;     // in the order of layers; empty when the edge keeps all
  std::vector<std::string> notes;  // workers without layers, and why
  std::string why{};               // for people: how the whole was chosen
  bool measured = false;           // by what nodes have measured (measured.h)
};

// Whoever hosts a stop, the first one first.
std::vector<PlacedHost> HostsOf(const PlacedHop& hop);
// The layers of a node; empty: it hosts none.
LayerRange LayersOf(const LayerPlan& plan, NodeId node);
// Takes a node that is gone off its stop: a replica stands in for it. False when that leaves the
// stop without a host, and the plan as it was.
bool DropHost(LayerPlan& plan, NodeId node);

// One stop of a route, with the bricks of `worker` that make up `layers`: one for each layer,
// whatever else it offers. FailedPrecondition: it lacks one, or one is private.
absl::StatusOr<PlacedHop> PlaceHop(const WorkerOffer& worker, LayerRange layers, std::string why);
// FailedPrecondition: a Route or a Placement of this plan might not fit a message.
absl::Status CheckBricksFit(const LayerPlan& plan);

// Places layers [front, n_layers - back) over workers, in the order given (joining order).
// `sizes`, when not empty, are the layers of the first, second, … worker. Otherwise workers
// with layers_only keep those, and the rest share what is left evenly, larger shares first; at
// most kHopsMax in all, and who is left over is a spare.
// Unavailable: these workers leave a gap, which another one may fill.
// FailedPrecondition says what does not fit: sizes, overlaps, bricks that a worker lacks,
// more than kHopsMax hops or kBricksMax bricks, or a private brick, which no worker may host.
absl::StatusOr<LayerPlan> PlaceLayers(int n_layers, LayerCut cut, const std::vector<int>& sizes,
                                      const std::vector<WorkerOffer>& workers);

// The sizes of n layers shared evenly by `workers`: they differ by at most one.
std::vector<int> EvenSizes(int n_layers, int workers);

}  // namespace mortar
