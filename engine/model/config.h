// What the metadata of a model says about its shape.
#pragma once

#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

struct ModelConfig {
  std::string architecture;  // GGUF general.architecture
  int n_layers = 0;
  int n_embd = 0;      // width of the residual stream
  int n_heads = 0;     // query heads
  int n_kv_heads = 0;  // divides n_heads
  int head_dim = 0;    // width of one head
  int n_ff = 0;        // width of the feed-forward
  int n_vocab = 0;
  int n_ctx_train = 0;  // positions that the model was trained for
  float rms_eps = 0;
  double rope_base = 10000;
  int rope_dims = 0;       // leading elements of a head that rotate
  bool tied_head = false;  // the head is the embedding's matrix
};

// Unimplemented, with the list of those known, for another architecture, and by name for a
// feature or a tensor that would be passed over; InvalidArgument, naming the key, for a value
// that is absent, out of bounds or contradicts another.
absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file);

}  // namespace mortar
