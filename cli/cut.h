// The cut that flags ask for: which layers stay on the edge, and what each worker would host.
#pragma once

#include <string>
#include <vector>

#include "cli/settings.h"
#include "common/status.h"
#include "coordinator/placement.h"
#include "engine/brick/manifest.h"
#include "protocol/messages.h"

namespace mortar {

struct CutRequest {
  LayerCut cut;
  int workers = 1;         // 0: the edge keeps all layers
  std::vector<int> sizes;  // layers of each worker; empty: even
};

// --front and --back. UsageError when they are more than the model has, or 0 without
// --show-tokens-to-cloud.
absl::StatusOr<LayerCut> ReadLayerCut(const Settings& settings, int n_layers);

// --front, --back, --workers, --layers. UsageError when they do not fit the model: as ReadLayerCut,
// more workers than layers, sizes that do not add up.
absl::StatusOr<CutRequest> ReadCut(const Settings& settings, int n_layers);

// The same where `workers` follow from how many there are, as in an MPI job. An empty --layers is
// made even sizes: as long as nobody joins or leaves, each worker can know its own.
absl::StatusOr<CutRequest> ReadCutFor(int workers, const Settings& settings, int n_layers);
// The layers of each worker: `sizes`, which are not empty, one after the other behind the front.
std::vector<LayerRange> RangesOf(const CutRequest& request);

// The warning that goes with a cut of 0, or nothing.
std::string CutWarning(const LayerCut& cut);

// Bytes of weights by where they can lie, each tensor counted once: a tied head is the embedding.
struct WeightShares {
  uint64_t embedding = 0;
  uint64_t head = 0;
  std::vector<uint64_t> layers;  // [n_layers]

  uint64_t Of(LayerRange range) const;
};
WeightShares SharesOf(const Manifest& manifest, bool tied_head);

// The layers of a manifest as what workers can load. Needs: digests, unless they are not used.
std::vector<LayerBrick> LayerBricksOf(const Manifest& manifest);

}  // namespace mortar
