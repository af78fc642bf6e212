// The names of a model's tensors: what the loader asks for, and all that a file may hold. A
// tensor with another name (a bias, an expert) would change the result, so that a file with one
// is refused rather than read in part.
#pragma once

#include <set>
#include <string>

#include "engine/model/architectures.h"

namespace mortar {

// Norms are named without what follows.
inline constexpr char kWeight[] = ".weight";
inline constexpr char kBias[] = ".bias";  // of those that have one

inline constexpr char kEmbeddingTensor[] = "token_embd.weight";
inline constexpr char kOutputNormTensor[] = "output_norm";
inline constexpr char kHeadTensor[] = "output.weight";  // absent where the head is tied
// Factors of rotation frequencies, of the whole model.
inline constexpr char kRopeFreqsTensor[] = "rope_freqs.weight";
inline constexpr char kRopeShortTensor[] = "rope_factors_short.weight";
inline constexpr char kRopeLongTensor[] = "rope_factors_long.weight";

// What an encoder adds to the embedding's rows, and norms them with.
inline constexpr char kPositionsTensor[] = "position_embd.weight";
inline constexpr char kTokenTypesTensor[] = "token_types.weight";
inline constexpr char kEmbeddingNormTensor[] = "token_embd_norm";

// Of one layer, behind its prefix.
inline constexpr char kAttnNormTensor[] = "attn_norm";
inline constexpr char kAttnQTensor[] = "attn_q.weight";
inline constexpr char kAttnKTensor[] = "attn_k.weight";
inline constexpr char kAttnVTensor[] = "attn_v.weight";
inline constexpr char kAttnOutputTensor[] = "attn_output.weight";
inline constexpr char kAttnOutputBiasTensor[] = "attn_output.bias";
inline constexpr char kAttnQkvTensor[] = "attn_qkv.weight";  // instead of q, k and v
inline constexpr char kAttnQBiasTensor[] = "attn_q.bias";
inline constexpr char kAttnKBiasTensor[] = "attn_k.bias";
inline constexpr char kAttnVBiasTensor[] = "attn_v.bias";
inline constexpr char kAttnQNormTensor[] = "attn_q_norm";
inline constexpr char kAttnKNormTensor[] = "attn_k_norm";
inline constexpr char kAttnPostNormTensor[] = "post_attention_norm";
inline constexpr char kAttnSumNormTensor[] = "attn_output_norm";
inline constexpr char kFfnNormTensor[] = "ffn_norm";
inline constexpr char kFfnGateTensor[] = "ffn_gate.weight";
inline constexpr char kFfnUpTensor[] = "ffn_up.weight";  // with the gate's rows, where fused
inline constexpr char kFfnDownTensor[] = "ffn_down.weight";
inline constexpr char kFfnUpBiasTensor[] = "ffn_up.bias";
inline constexpr char kFfnDownBiasTensor[] = "ffn_down.bias";
inline constexpr char kFfnPostNormTensor[] = "post_ffw_norm";
inline constexpr char kFfnSumNormTensor[] = "layer_output_norm";

std::string LayerPrefix(int layer);  // "blk.7."

// All that a model of `n_layers` with these traits may hold.
std::set<std::string> TensorNames(const Architecture& traits, int n_layers);

}  // namespace mortar
