#include "engine/model/program.h"

#include <initializer_list>

#include "common/check.h"

namespace mortar {
namespace {

uint64_t NormBytes(const NormWeights& norm, int n) {
  const int vectors = (norm.scale != nullptr ? 1 : 0) + (norm.bias != nullptr ? 1 : 0);
  return sizeof(float) * static_cast<uint64_t>(vectors) * static_cast<uint64_t>(n);
}

uint64_t LayerBytes(const LayerWeights& w, const ModelConfig& c) {
  uint64_t n_biases = 0;
  if (c.traits.qkv_bias) n_biases += static_cast<uint64_t>(w.q.n_out + w.k.n_out + w.v.n_out);
  if (c.traits.branch_bias) n_biases += static_cast<uint64_t>(2 * c.n_embd + w.up.n_out);
  uint64_t bytes = sizeof(float) * n_biases;
  for (const NormWeights& norm : {w.attn_norm, w.attn_post_norm, w.ffn_norm, w.ffn_post_norm}) {
    bytes += NormBytes(norm, c.n_embd);
  }
  for (const NormWeights& norm : {w.q_norm, w.k_norm}) bytes += NormBytes(norm, c.head_dim);
  for (const PackedMatrix* m : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) {
    bytes += m->bytes();
  }
  return bytes;
}

Rounding RoundingFor(std::initializer_list<const PackedMatrix*> matrices) {
  Rounding rounding;
  for (const PackedMatrix* matrix : matrices) {
    rounding.to_int8 |= matrix->activation == ActivationType::kInt8;
    rounding.to_int16 |= matrix->activation == ActivationType::kInt16;
  }
  return rounding;
}

// Where a layer stands: its place in the KV pages, its window, and whether shards share it.
struct LayerPlace {
  size_t kv_offset = 0;
  int window = 0;
  bool sharded = false;
};

void AppendLayer(const LayerWeights& w, const Architecture& traits, const LayerPlace& place,
                 std::vector<Op>& ops) {
  CHECK(traits.norms_of_sums || !traits.branch_bias);  // kNormSum alone adds them
  const auto add = [&](OpKind kind, const NormWeights& norm, Rounding rounding) {
    ops.push_back({kind, &w, norm, rounding, nullptr, place.kv_offset, place.window});
  };
  const auto add_gather = [&](OpKind kind, Rounding rounding) {
    if (place.sharded) add(kind, {}, rounding);
  };
  // What follows the product that ends a branch.
  const auto add_end = [&](const NormWeights& norm, const float* bias) {
    add_gather(OpKind::kGatherBranch, {});
    if (traits.norms_of_sums) {
      add(OpKind::kNormSum, norm, {});
      ops.back().bias = bias;
    } else if (traits.norms_after) {
      add(OpKind::kAddNormed, norm, {});
    }
  };
  add(OpKind::kNorm, w.attn_norm, RoundingFor({&w.q, &w.k, &w.v}));
  add(OpKind::kQkv, {}, {});
  add(OpKind::kRotate, {}, {});
  add(OpKind::kAttention, {}, RoundingFor({&w.o}));
  add_gather(OpKind::kGatherAttended, RoundingFor({&w.o}));
  add(OpKind::kOutput, {}, {});
  add_end(w.attn_post_norm, w.o_bias);
  add(OpKind::kNorm, w.ffn_norm, RoundingFor({&w.gate, &w.up}));
  add(OpKind::kGateUp, {}, RoundingFor({&w.down}));
  add_gather(OpKind::kGatherHidden, RoundingFor({&w.down}));
  add(OpKind::kDown, {}, {});
  add_end(w.ffn_post_norm, w.down_bias);
}

// Tokens to rows. Returns the bytes that a token reads: a row of each matrix.
uint64_t AppendEmbedding(const EmbeddingWeights& w, int n_embd, std::vector<Op>& ops) {
  ops.push_back({.kind = OpKind::kEmbed, .embedding = &w});
  if (w.norm.scale != nullptr) ops.push_back({.kind = OpKind::kNormRows, .norm = w.norm});
  uint64_t bytes = NormBytes(w.norm, n_embd);
  for (const PackedMatrix* m : {&w.tokens, &w.token_type, &w.positions}) {
    if (m->n_out > 0) bytes += m->group_bytes() / kLanes;
  }
  return bytes;
}

}  // namespace

Program CompilePart(const ModelConfig& config, const Weights& weights, const PartSpec& part,
                    const KvShape& kv, int first_kv_layer, bool sharded) {
  CHECK(!sharded || (!part.embedding && !part.head && !part.output_norm));
  Program program;
  std::vector<Op>& ops = program.ops;
  if (part.embedding) {
    program.touched_bytes += AppendEmbedding(weights.embedding(), config.n_embd, ops);
  } else {
    ops.push_back({.kind = OpKind::kTakeRows});
  }
  for (int i = part.layers.begin; i < part.layers.end; ++i) {
    const size_t place = static_cast<size_t>(first_kv_layer + i - part.layers.begin);
    AppendLayer(weights.layer(i), config.traits,
                {place * kv.layer_bytes(), WindowOf(config, i), sharded}, ops);
    program.touched_bytes += LayerBytes(weights.layer(i), config);
  }
  const NormWeights& norm = weights.output_norm();
  if (part.head || part.output_norm) program.touched_bytes += NormBytes(norm, config.n_embd);
  if (part.head) {
    const PackedMatrix& matrix = weights.head();
    ops.push_back({.kind = OpKind::kHeadNorm, .norm = norm, .rounding = RoundingFor({&matrix})});
    ops.push_back({.kind = OpKind::kLogits, .matrix = &matrix});
    if (config.logit_cap != 0) ops.push_back({.kind = OpKind::kCapLogits});
    program.touched_bytes += matrix.bytes();
  } else {
    if (part.output_norm) ops.push_back({.kind = OpKind::kNormRows, .norm = norm});
    ops.push_back({.kind = OpKind::kGiveRows});
  }
  return program;
}

}  // namespace mortar
