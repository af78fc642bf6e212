// cluster --distribute: rank 0 reads the model once, and all ranks get their bricks from it.
//
// Every rank sees the same broadcasts in the same order: how long the outline is, the outline, and
// the image of each brick of layers. A rank keeps those of its own layers, in memory, and proves
// each by its digest.
#pragma once

#include <functional>

#include "cli/hosted_model.h"
#include "common/layer_range.h"
#include "common/status.h"
#include "engine/brick/outline.h"
#include "protocol/mpi_broadcast.h"

namespace mortar {

// Rank 0. The error of a model that has no outline, or of its file.
absl::Status SendModel(const HostedModel& model, MpiBroadcast& broadcast);

// Any other rank. `layers_of` says which layers of so many this rank hosts. DataLoss: a brick came
// with other bytes than its digest's, and which.
absl::StatusOr<HostedModel> TakeModel(
    const std::function<absl::StatusOr<LayerRange>(int n_layers)>& layers_of,
    MpiBroadcast& broadcast);

}  // namespace mortar
