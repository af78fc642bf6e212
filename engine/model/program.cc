#include "engine/model/program.h"

#include <initializer_list>

namespace mortar {
namespace {

uint64_t LayerBytes(const LayerWeights& w, int n_embd) {
  uint64_t bytes = 2 * sizeof(float) * static_cast<uint64_t>(n_embd);
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

void AppendLayer(const LayerWeights& w, size_t kv_offset, std::vector<Op>& ops) {
  const auto add = [&](OpKind kind, const float* norm, Rounding rounding) {
    ops.push_back({kind, &w, norm, rounding, nullptr, kv_offset});
  };
  add(OpKind::kNorm, w.attn_norm, RoundingFor({&w.q, &w.k, &w.v}));
  add(OpKind::kQkv, nullptr, {});
  add(OpKind::kRotate, nullptr, {});
  add(OpKind::kAttention, nullptr, RoundingFor({&w.o}));
  add(OpKind::kOutput, nullptr, {});
  add(OpKind::kNorm, w.ffn_norm, RoundingFor({&w.gate, &w.up}));
  add(OpKind::kGateUp, nullptr, RoundingFor({&w.down}));
  add(OpKind::kDown, nullptr, {});
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
    AppendLayer(weights.layer(i), place * kv.layer_bytes(), ops);
    program.touched_bytes += LayerBytes(weights.layer(i), config.n_embd);
  }
  if (head) {
    const PackedMatrix& matrix = weights.head();
    ops.push_back({OpKind::kHeadNorm, nullptr, weights.output_norm(), RoundingFor({&matrix})});
    ops.push_back({OpKind::kLogits, nullptr, nullptr, {}, &matrix, 0});
    program.touched_bytes += matrix.bytes() + sizeof(float) * static_cast<uint64_t>(config.n_embd);
  } else {
    ops.push_back({OpKind::kGiveRows});
  }
  return program;
}

}  // namespace mortar
