#include "engine/model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "engine/gguf/reader.h"
#include "engine/kernels/kernels.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

constexpr double kAnglesBelow = 1 << 20;  // what the rotation table is exact to
constexpr uint32_t kContextMax = 1 << 20;

absl::StatusOr<double> ReadBase(const KeyReader& reader, const std::string& key, double absent) {
  ASSIGN_OR_RETURN(const float base, reader.PositiveOr(key, static_cast<float>(absent)));
  // Then no angle is larger than its position, and the rotation table is exact for all.
  if (base < 1) {
    return reader.Contradiction(key, "expected at least 1, got " + std::to_string(base));
  }
  return static_cast<double>(base);
}

// What positions are divided by. Without a type a factor means linear scaling, as files of
// before there were types say it.
absl::StatusOr<double> ReadDivisor(const KeyReader& reader, bool has_factor_tensors) {
  const bool is_old = !reader.Has("rope.scaling.factor");
  const std::string factor_key = is_old ? "rope.scale_linear" : "rope.scaling.factor";
  ASSIGN_OR_RETURN(const float factor, reader.PositiveOr(factor_key, 1));
  std::string type = "linear";
  if (reader.Has("rope.scaling.type")) {
    ASSIGN_OR_RETURN(type, reader.file().GetString(reader.Key("rope.scaling.type")));
  }
  if (type == "linear") return static_cast<double>(factor);
  const bool longrope = type == "longrope" && has_factor_tensors;
  if (type != "none" && !longrope) {
    return Unimplemented(reader.Key("rope.scaling.type") + " " + Quoted(type) +
                         " is not supported; known are none, linear and, with factors, longrope");
  }
  if (factor != 1 && !longrope) {
    return reader.Contradiction(
        factor_key, "expected 1 with scaling of type none, got " + std::to_string(factor));
  }
  return 1;
}

// A tensor of factors, [dims / 2].
absl::StatusOr<std::vector<float>> ReadFactors(const GgufFile& file, const std::string& name,
                                               int dims) {
  const TensorInfo* tensor = file.FindTensor(name);
  if (tensor == nullptr) return InvalidArgument("tensor '" + name + "' is missing");
  const auto n = static_cast<uint64_t>(dims / 2);
  if (tensor->type != TensorType::kF32 || tensor->shape[0] != n || tensor->n_elements() != n) {
    return InvalidArgument("tensor '" + name + "': expected F32 of shape [" + std::to_string(n) +
                           "], got " + Name(tensor->type) + " with " +
                           std::to_string(tensor->n_elements()) + " elements");
  }
  if (tensor->part == kNoPart) return InvalidArgument("tensor '" + name + "' has no bytes");
  std::vector<float> factors(n);
  std::memcpy(factors.data(), file.Data(*tensor).data(), n * sizeof(float));
  for (const float factor : factors) {
    if (factor > 0 && std::isfinite(factor)) continue;
    return InvalidArgument("tensor '" + name + "': expected positive factors, got " +
                           std::to_string(factor));
  }
  return factors;
}

// LongRoPE has two lists: one up to the positions of the first training, one beyond. Which of
// them holds may not change within a session, nor be another on another node: the short one is
// used, and the context ends where it does.
absl::Status ReadShortLong(const KeyReader& reader, ModelConfig& c) {
  ASSIGN_OR_RETURN(c.rope.factors, ReadFactors(reader.file(), kRopeShortTensor, c.rope.dims));
  RETURN_IF_ERROR(ReadFactors(reader.file(), kRopeLongTensor, c.rope.dims).status());
  ASSIGN_OR_RETURN(const int n_original,
                   reader.Int("rope.scaling.original_context_length", 1, kContextMax));
  ASSIGN_OR_RETURN(const float magnitude, reader.Positive("rope.scaling.attn_factor"));
  c.rope.magnitude = static_cast<double>(magnitude);
  c.n_ctx_train = std::min(c.n_ctx_train, n_original);
  return absl::OkStatus();
}

absl::Status ReadDims(const KeyReader& reader, ModelConfig& c) {
  c.rope.dims = c.head_dim;
  if (reader.Has("rope.dimension_count")) {
    ASSIGN_OR_RETURN(c.rope.dims, reader.Int("rope.dimension_count", 2, kHeadDimMax));
  }
  if (c.rope.dims > c.head_dim || c.rope.dims % 2 != 0) {
    return reader.Contradiction("rope.dimension_count",
                                "expected an even number up to the head's " +
                                    std::to_string(c.head_dim) + ", got " +
                                    std::to_string(c.rope.dims));
  }
  return absl::OkStatus();
}

absl::Status CheckAngles(const ModelConfig& c) {
  double least = 1;
  for (const float factor : c.rope.factors) least = std::min(least, static_cast<double>(factor));
  if (c.n_ctx_train / c.rope.divisor / least <= kAnglesBelow) return absl::OkStatus();
  return InvalidArgument("rotation: " + std::to_string(c.n_ctx_train) +
                         " positions divided by the file's factors turn by more than 2^20");
}

}  // namespace

absl::Status ReadRope(const KeyReader& reader, ModelConfig& c) {
  if (c.traits.learned_positions) return absl::OkStatus();  // no element turns
  const auto has = [&](const char* name) { return reader.file().FindTensor(name) != nullptr; };
  RETURN_IF_ERROR(ReadDims(reader, c));
  ASSIGN_OR_RETURN(c.rope.base, ReadBase(reader, "rope.freq_base", 10000));
  // Of layers with a window: they turn as they were first trained, without scaling.
  RopeSpec local = c.rope;
  if (c.traits.local_rope_base != 0) {
    ASSIGN_OR_RETURN(local.base, ReadBase(reader, "rope.freq_base_swa", c.traits.local_rope_base));
  }
  const bool short_long = c.traits.factors == RopeFactors::kShortLong &&
                          (has(kRopeShortTensor) || has(kRopeLongTensor));
  ASSIGN_OR_RETURN(c.rope.divisor, ReadDivisor(reader, short_long));
  if (short_long) {
    RETURN_IF_ERROR(ReadShortLong(reader, c));
  } else {
    RETURN_IF_ERROR(reader.ExpectNeutral("rope.scaling.attn_factor", 1));
  }
  if (c.traits.factors == RopeFactors::kFreqs && has(kRopeFreqsTensor)) {
    ASSIGN_OR_RETURN(c.rope.factors, ReadFactors(reader.file(), kRopeFreqsTensor, c.rope.dims));
  }
  c.local_rope = c.traits.local_rope_base != 0 ? local : c.rope;
  return CheckAngles(c);
}

}  // namespace mortar
