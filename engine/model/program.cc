#include "engine/model/program.h"

namespace mortar {
namespace {

uint64_t LayerBytes(const LayerWeights& w, int n_embd) {
  uint64_t bytes = 2 * sizeof(float) * static_cast<uint64_t>(n_embd);
  for (const PackedMatrix* m : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) {
    bytes += m->bytes();
  }
  return bytes;
}

void AppendLayer(const LayerWeights& w, size_t kv_offset, std::vector<Op>& ops) {
  const auto add = [&](OpKind kind, const float* norm, bool quantize) {
    ops.push_back({kind, &w, norm, quantize, nullptr, kv_offset});
  };
  // A row is quantised for its product once, whichever of the matrices that read it ask.
  const bool qkv = IsQuantized(w.q.type) || IsQuantized(w.k.type) || IsQuantized(w.v.type);
  const bool gate_up = IsQuantized(w.gate.type) || IsQuantized(w.up.type);
  add(OpKind::kNorm, w.attn_norm, qkv);
  add(OpKind::kQkv, nullptr, false);
  add(OpKind::kRotate, nullptr, false);
  add(OpKind::kAttention, nullptr, IsQuantized(w.o.type));
  add(OpKind::kOutput, nullptr, false);
  add(OpKind::kNorm, w.ffn_norm, gate_up);
  add(OpKind::kGateUp, nullptr, IsQuantized(w.down.type));
  add(OpKind::kDown, nullptr, false);
}

}  // namespace

Program CompilePart(const ModelConfig& config, const Weights& weights, bool embedding,
                    LayerRange layers, bool head, const KvShape& kv, int first_kv_layer) {
  Program program;
  std::vector<Op>& ops = program.ops;
  if (embedding) {
    ops.push_back({OpKind::kEmbed, nullptr, nullptr, false, &weights.embedding(), 0});
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
    ops.push_back({OpKind::kHeadNorm, nullptr, weights.output_norm(), IsQuantized(matrix.type)});
    ops.push_back({OpKind::kLogits, nullptr, nullptr, false, &matrix, 0});
    program.touched_bytes += matrix.bytes() + sizeof(float) * static_cast<uint64_t>(config.n_embd);
  } else {
    ops.push_back({OpKind::kGiveRows});
  }
  return program;
}

}  // namespace mortar
