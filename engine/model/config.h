// What the metadata of a model says about its shape.
#pragma once

#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/model/architectures.h"
#include "engine/model/rope.h"

namespace mortar {

// How the rows of a text become one: GGUF's numbers.
enum class Pooling { kNone = 0, kMean = 1, kCls = 2, kLast = 3 };

struct ModelConfig {
  std::string architecture;  // GGUF general.architecture
  Architecture traits;       // its row of the table
  int n_layers = 0;
  int n_embd = 0;      // width of the residual stream
  int n_heads = 0;     // query heads
  int n_kv_heads = 0;  // divides n_heads
  int head_dim = 0;    // width of one head
  int n_ff = 0;        // width of the feed-forward
  int n_vocab = 0;
  int n_ctx_train = 0;  // positions that the model was trained for, and that its factors serve
  float norm_eps = 0;
  RopeSpec rope;
  RopeSpec local_rope;        // of layers with a window; the same where traits name no other
  int window = 0;             // keys that a layer with a window sees, its own included; 0: all
  int full_every = 0;         // as the trait, or as the file says
  float attention_scale = 1;  // of q . k
  float attention_cap = 0;    // scores are cap * tanh(score / cap); 0: they are not
  float logit_cap = 0;        // likewise
  float embedding_scale = 1;  // of the embedding's rows
  bool tied_head = false;     // the head is the embedding's matrix; never of an encoder
  int n_token_types = 0;      // rows of token_types.weight, where the architecture has it
  Pooling pooling = Pooling::kNone;  // what the file says of embeddings
};

// The window of layer `index`, 0 where it sees all keys.
int WindowOf(const ModelConfig& config, int index);

// Unimplemented, with the list of those known, for another architecture, and by name for a
// feature or a tensor that would be passed over; InvalidArgument, naming the key or tensor, for
// a value that is absent, out of bounds or contradicts another.
absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file);

}  // namespace mortar
