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

struct PlacedHop {
  NodeId node;
  std::string name;
  LayerRange layers;                 // never empty
  std::vector<LayerBrick> bricks{};  // those that make up `layers`, ascending
  uint64_t weight_bytes = 0;         // of the bricks
  std::string why;                   // for people: how these layers came to this worker
};

struct LayerPlan {
  std::vector<PlacedHop> hops;     // in the order of layers; empty when the edge keeps all
  std::vector<std::string> notes;  // workers without layers, and why
};

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
