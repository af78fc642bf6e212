#include "engine/model/config.h"

#include <cmath>
#include <set>

#include "engine/gguf/reader.h"
#include "engine/kernels/kernels.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

// Bounds that no known model comes near; they keep sizes computed from them far from overflow.
constexpr uint32_t kLayersMax = 1024;
constexpr uint32_t kWidthMax = 1 << 17;  // of the residual stream and the feed-forward
constexpr uint32_t kHeadsMax = 1024;
constexpr uint32_t kVocabMax = 1 << 22;
constexpr uint32_t kContextMax = 1 << 20;  // positions; the rotation table is exact to here

// Reads <architecture>.<name>, checked against [min, max].
class Reader {
 public:
  Reader(const GgufFile& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + '.') {}

  bool Has(const std::string& name) const { return file_.metadata().contains(prefix_ + name); }

  absl::StatusOr<int> Int(const std::string& name, uint32_t min, uint32_t max) const {
    ASSIGN_OR_RETURN(const uint32_t value, file_.GetUint32(prefix_ + name));
    if (value < min || value > max) {
      return InvalidArgument(prefix_ + name + ": expected " + std::to_string(min) + " to " +
                             std::to_string(max) + ", got " + std::to_string(value));
    }
    return static_cast<int>(value);
  }

  absl::StatusOr<float> Positive(const std::string& name) const {
    ASSIGN_OR_RETURN(const float value, file_.GetFloat(prefix_ + name));
    if (!(value > 0) || std::isinf(value)) {
      return InvalidArgument(prefix_ + name + ": expected a positive number, got " +
                             std::to_string(value));
    }
    return value;
  }

  // Features that would change the result if they were passed over.
  absl::Status RefuseUnknownFeatures() const {
    const std::string scaling = prefix_ + "rope.scaling.type";
    if (file_.metadata().contains(scaling)) {
      ASSIGN_OR_RETURN(const std::string type, file_.GetString(scaling));
      if (type != "none") {
        return Unimplemented(scaling + " " + Quoted(type) + " is not supported; known is none");
      }
    }
    for (const char* const name : {"rope.scaling.factor", "rope.scale_linear"}) {
      if (!Has(name)) continue;
      ASSIGN_OR_RETURN(const float factor, file_.GetFloat(prefix_ + name));
      if (factor != 1) {
        return Unimplemented(prefix_ + name + ": expected 1 (no scaling), got " +
                             std::to_string(factor));
      }
    }
    const std::string experts = prefix_ + "expert_count";
    if (file_.metadata().contains(experts)) {
      ASSIGN_OR_RETURN(const uint32_t n, file_.GetUint32(experts));
      if (n != 0) return Unimplemented(experts + ": models with experts are not supported yet");
    }
    return absl::OkStatus();
  }

  absl::Status Contradiction(const std::string& name, const std::string& what) const {
    return InvalidArgument(prefix_ + name + ": " + what);
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

absl::Status ReadHeads(const Reader& reader, ModelConfig& c) {
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
  c.rope_dims = c.head_dim;
  if (reader.Has("rope.dimension_count")) {
    ASSIGN_OR_RETURN(c.rope_dims, reader.Int("rope.dimension_count", 2, kHeadDimMax));
  }
  if (c.rope_dims > c.head_dim || c.rope_dims % 2 != 0) {
    return reader.Contradiction("rope.dimension_count",
                                "expected an even number up to the head's " +
                                    std::to_string(c.head_dim) + ", got " +
                                    std::to_string(c.rope_dims));
  }
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
  c.tied_head = file.FindTensor(kHeadTensor) == nullptr;
  return absl::OkStatus();
}

// Of the whole file: whoever loads a few layers refuses what whoever loads the others would.
absl::Status RefuseUnknownTensors(const GgufFile& file, const ModelConfig& c) {
  const std::set<std::string> known = TensorNames(c.n_layers);
  for (const TensorInfo& tensor : file.tensors()) {
    if (known.contains(tensor.name)) continue;
    return Unimplemented("tensor " + Quoted(tensor.name) + " is none of a " + c.architecture +
                         " model with " + std::to_string(c.n_layers) +
                         " layers; without it the result would be another");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file) {
  ModelConfig c;
  ASSIGN_OR_RETURN(c.architecture, file.GetString("general.architecture"));
  if (c.architecture != "llama") {
    return Unimplemented("architecture " + Quoted(c.architecture) +
                         " is not supported; known is llama");
  }
  const Reader reader(file, c.architecture);
  RETURN_IF_ERROR(reader.RefuseUnknownFeatures());
  ASSIGN_OR_RETURN(c.n_layers, reader.Int("block_count", 1, kLayersMax));
  ASSIGN_OR_RETURN(c.n_embd, reader.Int("embedding_length", 1, kWidthMax));
  ASSIGN_OR_RETURN(c.n_ff, reader.Int("feed_forward_length", 1, kWidthMax));
  ASSIGN_OR_RETURN(c.n_ctx_train, reader.Int("context_length", 1, kContextMax));
  ASSIGN_OR_RETURN(c.rms_eps, reader.Positive("attention.layer_norm_rms_epsilon"));
  if (reader.Has("rope.freq_base")) {
    ASSIGN_OR_RETURN(const float base, reader.Positive("rope.freq_base"));
    // Then no angle is larger than its position, and the rotation table is exact for all.
    if (base < 1) {
      return reader.Contradiction("rope.freq_base",
                                  "expected at least 1, got " + std::to_string(base));
    }
    c.rope_base = static_cast<double>(base);
  }
  RETURN_IF_ERROR(ReadHeads(reader, c));
  RETURN_IF_ERROR(ReadVocabulary(file, c));
  RETURN_IF_ERROR(RefuseUnknownTensors(file, c));
  return c;
}

}  // namespace mortar
