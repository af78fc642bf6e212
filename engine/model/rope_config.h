// How the positions of a model turn, from its metadata and its tensors of factors.
#pragma once

#include "common/status.h"
#include "engine/model/config.h"
#include "engine/model/key_reader.h"

namespace mortar {

// Fills config.rope and config.local_rope, and cuts n_ctx_train to the positions that the
// factors serve. Needs: traits, head_dim and n_ctx_train are set. Errors as ReadModelConfig.
absl::Status ReadRope(const KeyReader& reader, ModelConfig& config);

}  // namespace mortar
