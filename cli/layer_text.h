// Runs of layers as people write them: 2-15.
#pragma once

#include <optional>
#include <string_view>

#include "common/layer_range.h"

namespace mortar {

// "A-B" as [A, B); nothing when it is no such text, empty, or beyond the model's layers.
std::optional<LayerRange> ParseLayerRange(std::string_view text, int n_layers);

}  // namespace mortar
