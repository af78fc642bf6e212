// How positions turn: the fields of config.json about it as GGUF's metadata and factors.
#pragma once

#include "common/status.h"
#include "engine/hf/config_keys.h"
#include "engine/hf/json.h"

namespace mortar {

// Needs: the traits and head_dim of `to`. Unimplemented for a kind of scaling that is not computed,
// with those that are.
absl::Status AddRopeKeys(const Fields& config, HfConfig& to);

}  // namespace mortar
