#include "engine/model/program.h"

#include <initializer_list>

namespace mortar {
namespace {

uint64_t LayerBytes(const LayerWeights& w, const ModelConfig& c) {
  int n_floats = (c.traits.norms_after ? 4 : 2) * c.n_embd;
  if (c.traits.qkv_bias) n_floats += w.q.n_out + w.k.n_out + w.v.n_out;
  if (c.traits.qk_norm) n_floats += 2 * c.head_dim;
  uint64_t bytes = sizeof(float) * static_cast<uint64_t>(n_floats);
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

void AppendLayer(const LayerWeights& w, size_t kv_offset, int window, std::vector<Op>& ops) {
  const auto add = [&](OpKind kind, const float* norm, Rounding rounding) {
    ops.push_back({kind, &w, norm, rounding, nullptr, kv_offset, window});
  };
  add(OpKind::kNorm, w.attn_norm, RoundingFor({&w.q, &w.k, &w.v}));
  add(OpKind::kQkv, nullptr, {});
  add(OpKind::kRotate, nullptr, {});
  add(OpKind::kAttention, nullptr, RoundingFor({&w.o}));
  add(OpKind::kOutput, nullptr, {});
  if (w.attn_post_norm != nullptr) add(OpKind::kAddNormed, w.attn_post_norm, {});
  add(OpKind::kNorm, w.ffn_norm, RoundingFor({&w.gate, &w.up}));
  add(OpKind::kGateUp, nullptr, RoundingFor({&w.down}));
  add(OpKind::kDown, nullptr, {});
  if (w.ffn_post_norm != nullptr) add(OpKind::kAddNormed, w.ffn_post_norm, {});
}

}  // namespace

Program CompilePart(const ModelConfig& config, const Weights& weights, bool embedding,
                    LayerRange layers, bool head, const KvShape& kv, int first_kv_layer) {
  Program program;
  std::vector<Op>& ops = program.ops;
  if (embedding) {
    ops.push_back({OpKind::kEmbed, nullptr, nullptr, {}, &weights.embedding(), 0});
    program.touched_bytes += weights.embedding().group_bytes() / kLanes;
  } else {
    ops.push_back({OpKind::kTakeRows});
  }
  for (int i = layers.begin; i < layers.end; ++i) {
    const size_t place = static_cast<size_t>(first_kv_layer + i - layers.begin);
    AppendLayer(weights.layer(i), place * kv.layer_bytes(), WindowOf(config, i), ops);
    program.touched_bytes += LayerBytes(weights.layer(i), config);
  }
  if (head) {
    const PackedMatrix& matrix = weights.head();
    ops.push_back({OpKind::kHeadNorm, nullptr, weights.output_norm(), RoundingFor({&matrix})});
    ops.push_back({OpKind::kLogits, nullptr, nullptr, {}, &matrix, 0});
    if (config.logit_cap != 0) ops.push_back({OpKind::kCapLogits});
    program.touched_bytes += matrix.bytes() + sizeof(float) * static_cast<uint64_t>(config.n_embd);
  } else {
    ops.push_back({OpKind::kGiveRows});
  }
  return program;
}

}  // namespace mortar
