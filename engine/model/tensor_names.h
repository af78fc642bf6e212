// The names of a llama model's tensors: what the loader asks for, and all that a file may hold.
// A tensor with another name (a bias, a table of rotation frequencies) would change the result,
// so that a file with one is refused rather than read in part.
#pragma once

#include <set>
#include <string>

namespace mortar {

inline constexpr char kEmbeddingTensor[] = "token_embd.weight";
inline constexpr char kOutputNormTensor[] = "output_norm.weight";
inline constexpr char kHeadTensor[] = "output.weight";  // absent where the head is tied

// Of one layer, behind its prefix.
inline constexpr char kAttnNormTensor[] = "attn_norm.weight";
inline constexpr char kAttnQTensor[] = "attn_q.weight";
inline constexpr char kAttnKTensor[] = "attn_k.weight";
inline constexpr char kAttnVTensor[] = "attn_v.weight";
inline constexpr char kAttnOutputTensor[] = "attn_output.weight";
inline constexpr char kFfnNormTensor[] = "ffn_norm.weight";
inline constexpr char kFfnGateTensor[] = "ffn_gate.weight";
inline constexpr char kFfnUpTensor[] = "ffn_up.weight";
inline constexpr char kFfnDownTensor[] = "ffn_down.weight";

std::string LayerPrefix(int layer);  // "blk.7."

// All of the above, for a model of `n_layers`.
std::set<std::string> TensorNames(int n_layers);

}  // namespace mortar
