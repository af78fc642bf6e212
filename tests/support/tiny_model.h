// A model small enough for unit tests, of any architecture, with every key and tensor that a real
// one has.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/gguf/gguf.h"
#include "tests/support/gguf_writer.h"

namespace mortar {

// The vocabulary is that of byte-level BPE: eight special tokens with SmolLM2's ids for the
// first three (0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|>), the 256 bytes in the order of
// their values (token 8 + b is byte b), and 24 merges. Further tokens are marked unused.
inline constexpr int kTinySpecialTokens = 8;
inline constexpr int kTinyVocab = 288;
inline constexpr int kTinyTokenTypes = 2;  // of an encoder

struct TinyModelOptions {
  int n_embd = 64;  // a multiple of 32 for the quantised types, and of n_heads without head_dim
  int n_ff = 96;    // likewise a multiple of 32
  int n_layers = 4;
  int n_heads = 4;
  int n_kv_heads = 2;
  int head_dim = 0;          // 0: n_embd / n_heads
  int rope_dims = 0;         // 0: head_dim
  int n_vocab = kTinyVocab;  // at least kTinyVocab
  int n_ctx = 512;
  float rope_base = 10000;
  float rms_eps = 1e-5f;
  TensorType type = TensorType::kF32;  // of all matrices; norms are always F32
  std::optional<TensorType> embedding_type =
      std::nullopt;  // of token_embd and output, where it differs
  // Instead of the two above: matrices take these in turn, and F16 where a row is no whole blocks.
  std::vector<TensorType> mixed_types = {};
  // Instead of all of them: a matrix's type by its name and its inputs.
  std::function<TensorType(const std::string& name, int n_in)> type_of = {};
  int drawn_rows = 0;     // of a matrix; the others repeat them. 0: all are drawn
  bool tied_head = true;  // no output.weight
  uint64_t seed = 1;
  float deviation = 0.05f;             // of what is drawn
  std::string architecture = "llama";  // engine/model/architectures.h
  int window = 0;                      // attention.sliding_window; 0: no such key
  int full_every = 0;                  // attention.sliding_window_pattern; 0: no such key
  float attention_cap = 0;             // attn_logit_softcapping; 0: no such key
  float logit_cap = 0;                 // final_logit_softcapping; 0: no such key
  float linear_factor = 0;             // rope.scaling.factor, of type linear; 0: no such keys
  bool rope_factors = false;           // the architecture's tensors of factors
  int pooling = -1;                    // pooling_type of an encoder; -1: no such key
};

// Matrices are drawn from a bell curve about 0, norms and factors from one about 1 (factors not
// below it), biases about 0, each tensor from its own stream of the seed and its name: the same
// bytes on every machine, and a tensor does not change when others are left out.
GgufWriter MakeTinyModel(const TinyModelOptions& options);

// A model for each way in which the forward passes differ, of six layers with large weights, so
// that every trait shows in the logits: windows of 7 keys, caps that scores and logits reach.
// Positions: 64. `name` is that of its reference logits in tests/data/architectures.
struct NamedTinyModel {
  std::string name;
  TinyModelOptions options;
};
std::vector<NamedTinyModel> TinyModelOfEveryArchitecture();

// The same for encoders, of three layers. `name` is that of its reference rows in
// tests/data/encoders.
std::vector<NamedTinyModel> TinyEncoders();

// MakeTinyModel, written to `path`.
void WriteTinyModel(const TinyModelOptions& options, const std::string& path);

}  // namespace mortar
