// The architectures that run: one row of traits each, read by the one forward pass.
//
// A trait says what an architecture does that llama does not; metadata fills in the numbers
// (engine/model/config.h). To add one: a row in architectures.cc, the names of its tensors
// where they are new (tensor_names.cc), a tiny model in tests/support/tiny_model.cc and its
// reference logits (tests/data/architectures), an encoder's with its reference rows
// (tests/data/encoders).
//
// Sources: the models' papers and, for what the files hold, the GGUF names of ggml-org/llama.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mortar {

// Which elements of a head turn together: (2 i, 2 i + 1), or (i, i + dims / 2). GGUF's llama
// weights are stored permuted for the first, the others as they were trained, for the second.
enum class RopePairing { kNeighbours, kHalves };

// Tensors by which each frequency is divided.
enum class RopeFactors {
  kNone,
  kFreqs,      // rope_freqs.weight, where the file has it (Llama 3)
  kShortLong,  // rope_factors_short.weight and rope_factors_long.weight, likewise (LongRoPE)
};

// What a feed-forward does to its gate.
enum class Gate {
  kSilu,
  kGeluTanh,
  kNone,  // there is none: hidden = gelu(up), by its definition
};

struct Architecture {
  const char* name = "llama";  // GGUF general.architecture, and the prefix of its keys
  RopePairing pairing = RopePairing::kNeighbours;
  RopeFactors factors = RopeFactors::kNone;
  Gate gate = Gate::kSilu;
  bool qkv_bias = false;           // q, k and v have a bias
  bool branch_bias = false;        // attention's output and the maps of the feed-forward have one;
                                   // only with norms_of_sums
  bool qk_norm = false;            // each head of q and k is normed before it rotates
  bool fused_qkv = false;          // one tensor: q's rows, then k's, then v's
  bool fused_gate_up = false;      // one tensor, ffn_up: the gate's rows, then up's
  bool norms_after = false;        // attention and feed-forward are normed before they are added
  bool norms_of_sums = false;      // x = norm(x + branch) instead, and nothing is normed before
  bool layer_norm = false;         // norms take the mean away and have a bias
  bool embedding_norm = false;     // the embedding's rows are normed
  bool token_types = false;        // the row of the first type is added to each of them
  bool learned_positions = false;  // so is the row of its position; nothing rotates
  bool encoder = false;            // every position sees all of its text; there is no head
  bool scaled_embedding = false;   // by sqrt(n_embd)
  bool window = false;             // attention.sliding_window is heeded
  int full_every = 0;              // layer i sees all keys where (i + 1) % full_every == 0; 0: none
  bool needs_window = false;       // then the key may not be absent
  bool soft_caps = false;          // of scores and logits, where the keys are there
  bool needs_soft_caps = false;    // then they may not be absent
  double local_rope_base = 0;      // of layers with a window, where they have another; 0: the same
  // The model of so many layers divides q k by sqrt(n_embd / n_heads) and not by a head's root:
  // files do not say so. 0: none.
  int layers_of_wide_scale = 0;
};

const std::vector<Architecture>& Architectures();

// Null when it is not known.
const Architecture* FindArchitecture(std::string_view name);

// "llama, mistral, ...", for messages.
std::string KnownArchitectures();

}  // namespace mortar
