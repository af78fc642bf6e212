#include "engine/model/architectures.h"

namespace mortar {

const std::vector<Architecture>& Architectures() {
  static const auto& rows = *new std::vector<Architecture>{
      // Touvron et al. 2023; Llama 3.1 adds the factors.
      {.name = "llama", .factors = RopeFactors::kFreqs, .window = true},
      // Jiang et al. 2023. Most files call it llama.
      {.name = "mistral", .window = true},
      // Yang et al. 2024.
      {.name = "qwen2", .pairing = RopePairing::kHalves, .qkv_bias = true},
      // Yang et al. 2025.
      {.name = "qwen3", .pairing = RopePairing::kHalves, .qk_norm = true},
      // Abdin et al. 2024; the factors are those of Ding et al. 2024 (LongRoPE).
      {.name = "phi3",
       .pairing = RopePairing::kHalves,
       .factors = RopeFactors::kShortLong,
       .fused_qkv = true,
       .fused_gate_up = true,
       .window = true},
      // Gemma Team 2024.
      {.name = "gemma2",
       .pairing = RopePairing::kHalves,
       .gate = Gate::kGeluTanh,
       .norms_after = true,
       .scaled_embedding = true,
       .window = true,
       .full_every = 2,
       .needs_window = true,
       .soft_caps = true,
       .needs_soft_caps = true,
       .layers_of_wide_scale = 46},
      // Gemma Team 2025.
      {.name = "gemma3",
       .pairing = RopePairing::kHalves,
       .gate = Gate::kGeluTanh,
       .qk_norm = true,
       .norms_after = true,
       .scaled_embedding = true,
       .window = true,
       .full_every = 6,
       .needs_window = true,
       .soft_caps = true,
       .local_rope_base = 10000,
       .layers_of_wide_scale = 62},
      // Devlin et al. 2019.
      {.name = "bert",
       .gate = Gate::kNone,
       .qkv_bias = true,
       .branch_bias = true,
       .norms_of_sums = true,
       .layer_norm = true,
       .embedding_norm = true,
       .token_types = true,
       .learned_positions = true,
       .encoder = true},
      // Nussbaum et al. 2024.
      {.name = "nomic-bert",
       .pairing = RopePairing::kHalves,
       .fused_qkv = true,
       .norms_of_sums = true,
       .layer_norm = true,
       .embedding_norm = true,
       .token_types = true,
       .encoder = true},
  };
  return rows;
}

const Architecture* FindArchitecture(std::string_view name) {
  for (const Architecture& row : Architectures()) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

std::string KnownArchitectures() {
  std::string list;
  for (const Architecture& row : Architectures()) {
    list += (list.empty() ? "" : ", ") + std::string(row.name);
  }
  return list;
}

}  // namespace mortar
