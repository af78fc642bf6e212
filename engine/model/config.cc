#include "engine/model/config.h"

#include <cmath>
#include <set>

#include "engine/gguf/reader.h"
#include "engine/kernels/kernels.h"
#include "engine/model/key_reader.h"
#include "engine/model/rope_config.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

// Bounds that no known model comes near; they keep sizes computed from them far from overflow.
constexpr uint32_t kLayersMax = 1024;
constexpr uint32_t kWidthMax = 1 << 17;  // of the residual stream and the feed-forward
constexpr uint32_t kHeadsMax = 1024;
constexpr uint32_t kVocabMax = 1 << 22;
constexpr uint32_t kTokenTypesMax = 1 << 10;
constexpr uint32_t kContextMax = 1 << 20;  // positions; the rotation table is exact to here

// Keys that change a result, and the number at which they do not. What an architecture heeds is
// read; the others are refused rather than passed over.
struct Feature {
  const char* key;
  double neutral;
};
constexpr Feature kForeignFeatures[] = {
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attention.shared_kv_layers", 0},
    {"attention.temperature_length", 0},
    {"attention.temperature_scale", 0},
    {"embedding_length_per_layer_input", 0},
    {"embedding_scale", 1},
    {"expert_count", 0},
    {"logit_scale", 1},
    {"residual_scale", 1},
    {"rope.scaling.yarn_ext_factor", 0},
    {"use_parallel_residual", 0},
};

absl::Status RefuseForeignFeatures(const KeyReader& reader, const Architecture& traits) {
  for (const Feature& feature : kForeignFeatures) {
    RETURN_IF_ERROR(reader.ExpectNeutral(feature.key, feature.neutral));
  }
  RETURN_IF_ERROR(reader.ExpectNeutral("attention.causal", traits.encoder ? 0 : 1));
  if (!traits.window) RETURN_IF_ERROR(reader.ExpectNeutral("attention.sliding_window", 0));
  if (traits.full_every == 0) {
    RETURN_IF_ERROR(reader.ExpectNeutral("attention.sliding_window_pattern", 1));
  }
  if (traits.local_rope_base == 0) {
    RETURN_IF_ERROR(reader.ExpectNeutral("rope.freq_base_swa", 0));
  }
  if (!traits.soft_caps) {
    RETURN_IF_ERROR(reader.ExpectNeutral("attn_logit_softcapping", 0));
    RETURN_IF_ERROR(reader.ExpectNeutral("final_logit_softcapping", 0));
  }
  return absl::OkStatus();
}

absl::Status ReadHeads(const KeyReader& reader, ModelConfig& c) {
  ASSIGN_OR_RETURN(c.n_heads, reader.Int("attention.head_count", 1, kHeadsMax));
  c.n_kv_heads = c.n_heads;
  if (reader.Has("attention.head_count_kv")) {
    ASSIGN_OR_RETURN(c.n_kv_heads, reader.Int("attention.head_count_kv", 1, kHeadsMax));
  }
  if (c.n_heads % c.n_kv_heads != 0) {
    return reader.Contradiction("attention.head_count_kv",
                                std::to_string(c.n_kv_heads) + " does not divide the " +
                                    std::to_string(c.n_heads) + " query heads");
  }
  if (reader.Has("attention.key_length")) {
    ASSIGN_OR_RETURN(c.head_dim, reader.Int("attention.key_length", 2, kHeadDimMax));
  } else if (c.n_embd % c.n_heads != 0) {
    return reader.Contradiction(
        "attention.head_count",
        std::to_string(c.n_heads) + " does not divide the width " + std::to_string(c.n_embd));
  } else {
    c.head_dim = c.n_embd / c.n_heads;
  }
  if (c.head_dim > kHeadDimMax) {
    return reader.Contradiction("attention.head_count", "heads of " + std::to_string(c.head_dim) +
                                                            " are wider than " +
                                                            std::to_string(kHeadDimMax));
  }
  if (reader.Has("attention.value_length")) {
    ASSIGN_OR_RETURN(const int value, reader.Int("attention.value_length", 2, kHeadDimMax));
    if (value != c.head_dim) {
      return Unimplemented("keys and values of different width are not supported");
    }
  }
  return absl::OkStatus();
}

// 0 where the key is absent or says 0, which files write for "none".
absl::StatusOr<float> ReadCap(const KeyReader& reader, const std::string& name, bool needed) {
  if (!reader.Has(name) && !needed) return 0;
  ASSIGN_OR_RETURN(const float cap, reader.file().GetFloat(reader.Key(name)));
  if (cap == 0 && !needed) return 0;
  return reader.Positive(name);
}

// Windows, caps and scales: what attention and the ends of the model do beside their products.
absl::Status ReadAttention(const KeyReader& reader, ModelConfig& c) {
  const Architecture& t = c.traits;
  if (t.window && (t.needs_window || reader.Has("attention.sliding_window"))) {
    ASSIGN_OR_RETURN(c.window,
                     reader.Int("attention.sliding_window", t.needs_window ? 1 : 0, kContextMax));
  }
  c.full_every = t.full_every;
  if (t.full_every != 0 && reader.Has("attention.sliding_window_pattern")) {
    ASSIGN_OR_RETURN(c.full_every, reader.Int("attention.sliding_window_pattern", 1, kLayersMax));
  }
  if (t.soft_caps) {
    ASSIGN_OR_RETURN(c.attention_cap, ReadCap(reader, "attn_logit_softcapping", t.needs_soft_caps));
    ASSIGN_OR_RETURN(c.logit_cap, ReadCap(reader, "final_logit_softcapping", t.needs_soft_caps));
  }
  const bool wide = t.layers_of_wide_scale != 0 && c.n_layers == t.layers_of_wide_scale;
  const float width = wide ? static_cast<float>(c.n_embd) / static_cast<float>(c.n_heads)
                           : static_cast<float>(c.head_dim);
  ASSIGN_OR_RETURN(c.attention_scale,
                   reader.PositiveOr("attention.scale", 1.0f / std::sqrt(width)));
  if (t.scaled_embedding) c.embedding_scale = std::sqrt(static_cast<float>(c.n_embd));
  return absl::OkStatus();
}

// The vocabulary's size is the embedding's, whatever the metadata says beside it.
absl::Status ReadVocabulary(const GgufFile& file, ModelConfig& c) {
  const TensorInfo* embedding = file.FindTensor(kEmbeddingTensor);
  if (embedding == nullptr) return InvalidArgument("tensor 'token_embd.weight' is missing");
  if (embedding->n_dims != 2 || embedding->shape[0] != static_cast<uint64_t>(c.n_embd) ||
      embedding->shape[1] == 0 || embedding->shape[1] > kVocabMax) {
    return InvalidArgument("tensor 'token_embd.weight': expected shape [" +
                           std::to_string(c.n_embd) + ", vocabulary], got [" +
                           std::to_string(embedding->shape[0]) + ", " +
                           std::to_string(embedding->shape[1]) + "]");
  }
  c.n_vocab = static_cast<int>(embedding->shape[1]);
  c.tied_head = !c.traits.encoder && file.FindTensor(kHeadTensor) == nullptr;
  return absl::OkStatus();
}

// The loader holds the tensor's width, and its whole shape, against this number of rows.
absl::Status ReadTokenTypes(const GgufFile& file, ModelConfig& c) {
  if (!c.traits.token_types) return absl::OkStatus();
  const TensorInfo* types = file.FindTensor(kTokenTypesTensor);
  if (types == nullptr) return InvalidArgument("tensor 'token_types.weight' is missing");
  if (types->shape[1] > kTokenTypesMax) {
    return InvalidArgument("tensor 'token_types.weight': expected at most " +
                           std::to_string(kTokenTypesMax) + " rows, got " +
                           std::to_string(types->shape[1]));
  }
  c.n_token_types = static_cast<int>(types->shape[1]);
  return absl::OkStatus();
}

absl::Status ReadPooling(const KeyReader& reader, ModelConfig& c) {
  if (!reader.Has("pooling_type")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int pooling,
                   reader.Int("pooling_type", 0, static_cast<uint32_t>(Pooling::kLast)));
  c.pooling = static_cast<Pooling>(pooling);
  return absl::OkStatus();
}

// Of the whole file: whoever loads a few layers refuses what whoever loads the others would.
absl::Status RefuseUnknownTensors(const GgufFile& file, const ModelConfig& c) {
  const std::set<std::string> known = TensorNames(c.traits, c.n_layers);
  for (const TensorInfo& tensor : file.tensors()) {
    if (known.contains(tensor.name)) continue;
    return Unimplemented("tensor " + Quoted(tensor.name) + " is none of a " + c.architecture +
                         " model with " + std::to_string(c.n_layers) +
                         " layers; without it the result would be another");
  }
  return absl::OkStatus();
}

}  // namespace

int WindowOf(const ModelConfig& config, int index) {
  const bool full = config.full_every != 0 && (index + 1) % config.full_every == 0;
  return full ? 0 : config.window;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file) {
  ModelConfig c;
  ASSIGN_OR_RETURN(c.architecture, file.GetString("general.architecture"));
  const Architecture* traits = FindArchitecture(c.architecture);
  if (traits == nullptr) {
    return Unimplemented("architecture " + Quoted(c.architecture) +
                         " is not supported; known are " + KnownArchitectures());
  }
  c.traits = *traits;
  const KeyReader reader(file, c.architecture);
  RETURN_IF_ERROR(RefuseForeignFeatures(reader, c.traits));
  ASSIGN_OR_RETURN(c.n_layers, reader.Int("block_count", 1, kLayersMax));
  ASSIGN_OR_RETURN(c.n_embd, reader.Int("embedding_length", 1, kWidthMax));
  ASSIGN_OR_RETURN(c.n_ff, reader.Int("feed_forward_length", 1, kWidthMax));
  ASSIGN_OR_RETURN(c.n_ctx_train, reader.Int("context_length", 1, kContextMax));
  ASSIGN_OR_RETURN(c.norm_eps,
                   reader.Positive(c.traits.layer_norm ? "attention.layer_norm_epsilon"
                                                       : "attention.layer_norm_rms_epsilon"));
  RETURN_IF_ERROR(ReadHeads(reader, c));
  RETURN_IF_ERROR(ReadRope(reader, c));
  RETURN_IF_ERROR(ReadAttention(reader, c));
  RETURN_IF_ERROR(ReadPooling(reader, c));
  RETURN_IF_ERROR(ReadVocabulary(file, c));
  RETURN_IF_ERROR(ReadTokenTypes(file, c));
  RETURN_IF_ERROR(RefuseUnknownTensors(file, c));
  return c;
}

}  // namespace mortar
