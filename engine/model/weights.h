// The parameters that a node holds, packed for the kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/layer_range.h"
#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/config.h"

namespace mortar {

// Null where the architecture has none.
struct LayerWeights {
  const float* attn_norm = nullptr;       // [n_embd]
  PackedMatrix q;                         // [n_heads * head_dim, n_embd]
  PackedMatrix k;                         // [n_kv_heads * head_dim, n_embd]
  PackedMatrix v;                         // [n_kv_heads * head_dim, n_embd]
  PackedMatrix o;                         // [n_embd, n_heads * head_dim]
  const float* q_bias = nullptr;          // [n_heads * head_dim]
  const float* k_bias = nullptr;          // [n_kv_heads * head_dim]
  const float* v_bias = nullptr;          // [n_kv_heads * head_dim]
  const float* q_norm = nullptr;          // [head_dim], of each head
  const float* k_norm = nullptr;          // [head_dim]
  const float* attn_post_norm = nullptr;  // [n_embd]
  const float* ffn_norm = nullptr;        // [n_embd]
  PackedMatrix gate;                      // [n_ff, n_embd]
  PackedMatrix up;                        // [n_ff, n_embd]
  PackedMatrix down;                      // [n_embd, n_ff]
  const float* ffn_post_norm = nullptr;   // [n_embd]
};

// What of a model is wanted.
struct WeightSelection {
  bool embedding = false;
  std::vector<bool> layers;  // [n_layers]
  bool head = false;
};

// Owns one stretch of memory for all packed tensors. Const after Load().
class Weights {
 public:
  // Packs the selected tensors one after the other, all threads on each, and gives the file's
  // pages back after each, so that at no time the model is held twice. InvalidArgument names
  // a tensor that is missing, has another shape or, a norm or a bias, a value that is not finite;
  // FailedPrecondition says that the file was written to since it was opened; ResourceExhausted
  // how much memory was wanted.
  static absl::StatusOr<std::unique_ptr<Weights>> Load(const GgufFile& file,
                                                       const ModelConfig& config,
                                                       const WeightSelection& selection,
                                                       ThreadPool& pool);
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  const PackedMatrix& embedding() const { return embedding_; }  // [n_vocab, n_embd]
  const LayerWeights& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  const float* output_norm() const { return output_norm_; }  // [n_embd]
  const PackedMatrix& head() const { return head_; }         // [n_vocab, n_embd]
  uint64_t bytes() const { return bytes_; }

 private:
  friend class WeightLoader;
  Weights() = default;

  uint8_t* memory_ = nullptr;
  uint64_t bytes_ = 0;
  PackedMatrix embedding_;
  std::vector<LayerWeights> layers_;  // [n_layers]; empty where not selected
  const float* output_norm_ = nullptr;
  PackedMatrix head_;
};

}  // namespace mortar
