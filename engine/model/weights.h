// The parameters that a node holds, packed for the kernels.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/layer_range.h"
#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/config.h"
#include "engine/model/shard.h"

namespace mortar {

// A norm's factors, and what is added behind them; null where there is none.
struct NormWeights {
  const float* scale = nullptr;
  const float* bias = nullptr;
};

// Null where the architecture has none. Of a shard, q, k, v, o, gate, up and down have its outputs
// alone, and so have q_bias, k_bias, v_bias and up_bias.
struct LayerWeights {
  NormWeights attn_norm;             // [n_embd], before attention
  PackedMatrix q;                    // [n_heads * head_dim, n_embd]
  PackedMatrix k;                    // [n_kv_heads * head_dim, n_embd]
  PackedMatrix v;                    // [n_kv_heads * head_dim, n_embd]
  PackedMatrix o;                    // [n_embd, n_heads * head_dim]
  const float* q_bias = nullptr;     // [n_heads * head_dim]
  const float* k_bias = nullptr;     // [n_kv_heads * head_dim]
  const float* v_bias = nullptr;     // [n_kv_heads * head_dim]
  const float* o_bias = nullptr;     // [n_embd]
  NormWeights q_norm;                // [head_dim], of each head
  NormWeights k_norm;                // [head_dim]
  NormWeights attn_post_norm;        // [n_embd], after attention, or of the sum with it
  NormWeights ffn_norm;              // [n_embd]
  PackedMatrix gate;                 // [n_ff, n_embd]
  PackedMatrix up;                   // [n_ff, n_embd]
  PackedMatrix down;                 // [n_embd, n_ff]
  const float* up_bias = nullptr;    // [n_ff]
  const float* down_bias = nullptr;  // [n_embd]
  NormWeights ffn_post_norm;         // [n_embd]
};

// What a token's first row is made of.
struct EmbeddingWeights {
  PackedMatrix tokens;      // [n_vocab, n_embd]
  PackedMatrix token_type;  // [1, n_embd], of the first type; empty where there are none
  PackedMatrix positions;   // [n_ctx_train, n_embd]; likewise
  NormWeights norm;         // [n_embd]
};

// What of a model is wanted.
struct WeightSelection {
  bool embedding = false;
  std::vector<bool> layers;  // [n_layers]
  bool output_norm = false;  // the head has it in any case
  bool head = false;
  ShardSpec shard{};  // of the layers: its rows alone are read and packed
};

// Owns one stretch of memory for all packed tensors. Const after Load().
class Weights {
 public:
  // Packs the selected tensors one after the other, all threads on each, and gives the file's
  // pages back after each, so that at no time the model is held twice. InvalidArgument names
  // a tensor that is missing, has another shape or, a norm or a bias, a value that is not finite;
  // FailedPrecondition says that the file was written to since it was opened; ResourceExhausted
  // how much memory was wanted; Cancelled, before the next tensor, that `stop` was set.
  static absl::StatusOr<std::unique_ptr<Weights>> Load(const GgufFile& file,
                                                       const ModelConfig& config,
                                                       const WeightSelection& selection,
                                                       ThreadPool& pool,
                                                       const std::atomic<bool>* stop = nullptr);
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const EmbeddingWeights& embedding() const { return embedding_; }
  const LayerWeights& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  const NormWeights& output_norm() const { return output_norm_; }  // [n_embd]
  const PackedMatrix& head() const { return head_; }               // [n_vocab, n_embd]
  uint64_t bytes() const { return bytes_; }

 private:
  friend class WeightLoader;
  Weights() = default;

  uint8_t* memory_ = nullptr;
  uint64_t bytes_ = 0;
  EmbeddingWeights embedding_;
  std::vector<LayerWeights> layers_;  // [n_layers]; empty where not selected
  NormWeights output_norm_;
  PackedMatrix head_;
};

}  // namespace mortar
