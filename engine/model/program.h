// A part of a model as a flat list of ops: what every thread of the pool executes, one op
// after the other, meeting at a barrier behind each.
//
// Bricks are compiled once, when they are loaded. Nothing is looked up per token: an op holds
// its weights, its place in the KV pages and nothing else; shapes are the config's.
#pragma once

#include <cstdint>
#include <vector>

#include "common/layer_range.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config.h"
#include "engine/model/weights.h"

namespace mortar {

// In the order in which a token meets them. x is the residual stream, [n, n_embd].
enum class OpKind {
  kEmbed,      // x = embedding rows of the tokens, scaled; those of type and position added
  kTakeRows,   // x = rows that came in
  kNormRows,   // x = norm(x)
  kNorm,       // normed = norm(x), or x itself, rounded as the next matrices want it
  kQkv,        // q, k, v = W normed
  kRotate,     // biases, norms of heads, rotation of q and k; stores k and v in the pages
  kAttention,  // attended = attention(q, pages), rounded likewise
  kOutput,     // x += W attended, or branch = W attended where a norm follows
  kGateUp,     // hidden = f(gate) * up, or f(up), rounded likewise
  kDown,       // x += W hidden, or branch = W hidden
  // Of shards alone: what each has computed, handed to all.
  kGatherAttended,  // the heads' outputs, as the product reads them
  kGatherHidden,    // hidden, likewise
  kGatherBranch,    // outputs of o or down: x, or branch where a norm follows
  kAddNormed,       // x += norm(branch)
  kNormSum,         // x = norm(x + branch)
  kGiveRows,        // rows out = x
  kHeadNorm,        // the rows whose logits are wanted, normed and rounded
  kLogits,          // logits = W those rows
  kCapLogits,       // logits = cap tanh(logits / cap)
};

// The forms in which a product reads its rows beside f32: one matrix may want int8, another of
// the same rows int16.
struct Rounding {
  bool to_int8 = false;
  bool to_int16 = false;
};

struct Op {
  OpKind kind;
  const LayerWeights* layer = nullptr;          // of ops inside a layer
  NormWeights norm{};                           // of ops that norm
  Rounding rounding{};                          // of the result, for the product that reads it
  const PackedMatrix* matrix = nullptr;         // of kLogits
  size_t kv_offset = 0;                         // of this layer inside each page
  int window = 0;                               // of this layer; 0: it sees all keys
  const EmbeddingWeights* embedding = nullptr;  // of kEmbed
  const float* bias = nullptr;                  // [n_embd], of the branch, of kNormSum
};

struct Program {
  std::vector<Op> ops;
  uint64_t touched_bytes = 0;  // weights that one step reads; one row of the embedding
};

// A contiguous run: embedding? + layers + (head or the last norm)?.
struct PartSpec {
  bool embedding = false;    // takes tokens instead of rows
  LayerRange layers;         // may be empty
  bool head = false;         // gives logits instead of rows
  bool output_norm = false;  // gives rows behind the norm that stands before the head
};

// Needs: the weights have all of `part`; of a shard (`sharded`) its share, and `part` is layers
// alone. `first_kv_layer` is the place of layers.begin among the layers that share the node's KV
// pages.
Program CompilePart(const ModelConfig& config, const Weights& weights, const PartSpec& part,
                    const KvShape& kv, int first_kv_layer, bool sharded = false);

}  // namespace mortar
