// Sources: Su et al. 2021; Chen et al. 2023 (linear); Llama 3.1's model card and Ding et al. 2024
// (LongRoPE) for the factors, as transformers computes them from config.json.
#include "engine/hf/rope_keys.h"

#include <cmath>
#include <optional>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/kernels/math.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

constexpr uint64_t kContextMax = 1 << 20;
constexpr uint64_t kHeadDimMax = 1 << 12;
constexpr double kTwoPi = 6.283185307179586;

std::string Key(const HfConfig& to, const char* name) {
  return std::string(to.traits->name) + "." + name;
}

// Where the numbers of full attention stand: transformers 5 has them all in rope_parameters, one
// object for each kind of layer where there are several; older ones have rope_scaling.
struct Places {
  std::optional<Fields> scaling;
  double base = 0;
  std::optional<double> local_base;
};

absl::StatusOr<Places> FindPlaces(const Fields& config) {
  Places places;
  const double absent = 10000;
  if (!config.Has("rope_parameters")) {
    ASSIGN_OR_RETURN(places.base, config.NumberOr("rope_theta", absent));
    if (config.Has("rope_local_base_freq")) {
      ASSIGN_OR_RETURN(places.local_base, config.Number("rope_local_base_freq"));
    }
    if (config.Has("rope_scaling")) {
      ASSIGN_OR_RETURN(places.scaling, config.Object("rope_scaling"));
    }
    return places;
  }
  ASSIGN_OR_RETURN(Fields parameters, config.Object("rope_parameters"));
  if (parameters.Has("full_attention")) {
    if (parameters.Has("sliding_attention")) {
      ASSIGN_OR_RETURN(const Fields local, parameters.Object("sliding_attention"));
      ASSIGN_OR_RETURN(places.local_base, local.NumberOr("rope_theta", absent));
      ASSIGN_OR_RETURN(const std::string kind, local.StringOr("rope_type", "default"));
      if (std::string_view(kind) != "default") {
        return local.NotKnown("rope_type",
                              Quoted(kind) + " of layers with a window is not computed");
      }
    }
    ASSIGN_OR_RETURN(parameters, parameters.Object("full_attention"));
  }
  ASSIGN_OR_RETURN(places.base, parameters.NumberOr("rope_theta", absent));
  places.scaling = parameters;
  return places;
}

absl::StatusOr<double> Above(const Fields& fields, const char* name, double least) {
  ASSIGN_OR_RETURN(const double value, fields.Number(name));
  if (value >= least && std::isfinite(value)) return value;
  return fields.Wrong(name, "expected a number from " + std::to_string(least) + " on, got " +
                                std::to_string(value));
}

// Slow frequencies are divided by the factor, fast ones left, those between in proportion.
absl::Status AddLlama3(const Fields& scaling, double base, int dims, HfConfig& to) {
  if (to.traits->factors != RopeFactors::kFreqs) {
    return scaling.NotKnown("rope_type", "'llama3' is computed for llama alone");
  }
  ASSIGN_OR_RETURN(const double factor, Above(scaling, "factor", 1));
  ASSIGN_OR_RETURN(const double low, Above(scaling, "low_freq_factor", 1e-6));
  ASSIGN_OR_RETURN(const double high, Above(scaling, "high_freq_factor", low));
  ASSIGN_OR_RETURN(const uint64_t n_original,
                   scaling.Int("original_max_position_embeddings", 1, kContextMax));
  const auto original = static_cast<double>(n_original);
  FactorTensor tensor{kRopeFreqsTensor, {}};
  for (int i = 0; i < dims / 2; ++i) {
    const double wave = kTwoPi * ExpTable(2.0 * i / dims * LogTable(base));
    double divisor = factor;
    if (wave < original / high) {
      divisor = 1;
    } else if (wave <= original / low && high > low) {
      const double smooth = (original / wave - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    tensor.values.push_back(static_cast<float>(divisor));
  }
  to.factors.push_back(std::move(tensor));
  return absl::OkStatus();
}

absl::Status AddFactors(const Fields& scaling, const char* field, const char* tensor, int dims,
                        HfConfig& to) {
  ASSIGN_OR_RETURN(const std::vector<double> numbers, scaling.Numbers(field));
  if (numbers.size() != static_cast<size_t>(dims / 2)) {
    return scaling.Wrong(field, "expected " + std::to_string(dims / 2) + " factors, got " +
                                    std::to_string(numbers.size()));
  }
  FactorTensor factors{tensor, {}};
  for (const double number : numbers) factors.values.push_back(static_cast<float>(number));
  to.factors.push_back(std::move(factors));
  return absl::OkStatus();
}

absl::Status AddLongRope(const Fields& config, const Fields& scaling, int dims, HfConfig& to) {
  if (to.traits->factors != RopeFactors::kShortLong) {
    return scaling.NotKnown("rope_type", "'longrope' is computed for phi3 alone");
  }
  RETURN_IF_ERROR(AddFactors(scaling, "short_factor", kRopeShortTensor, dims, to));
  RETURN_IF_ERROR(AddFactors(scaling, "long_factor", kRopeLongTensor, dims, to));
  const char* const original_field = "original_max_position_embeddings";
  const Fields& holder = config.Has(original_field) ? config : scaling;
  ASSIGN_OR_RETURN(const uint64_t original, holder.Int(original_field, 2, kContextMax));
  ASSIGN_OR_RETURN(const uint64_t extended, config.Int("max_position_embeddings", 1, UINT32_MAX));
  double magnitude = 1;
  if (scaling.Has("attention_factor")) {
    ASSIGN_OR_RETURN(magnitude, Above(scaling, "attention_factor", 1e-6));
  } else if (extended > original) {
    const double ratio = static_cast<double>(extended) / static_cast<double>(original);
    magnitude = std::sqrt(1 + LogTable(ratio) / LogTable(static_cast<double>(original)));
  }
  to.metadata[Key(to, "rope.scaling.type")] = std::string("longrope");
  to.metadata[Key(to, "rope.scaling.attn_factor")] = magnitude;
  to.metadata[Key(to, "rope.scaling.original_context_length")] = original;
  return absl::OkStatus();
}

absl::Status AddScaling(const Fields& config, const Fields& scaling, double base, int dims,
                        HfConfig& to) {
  const char* const field = scaling.Has("rope_type") ? "rope_type" : "type";
  ASSIGN_OR_RETURN(const std::string kind, scaling.StringOr(field, "default"));
  const std::string_view view = kind;
  if (view == "default") return absl::OkStatus();
  if (view == "linear") {
    to.metadata[Key(to, "rope.scaling.type")] = kind;
    ASSIGN_OR_RETURN(to.metadata[Key(to, "rope.scaling.factor")], Above(scaling, "factor", 1e-6));
    return absl::OkStatus();
  }
  if (view == "llama3") return AddLlama3(scaling, base, dims, to);
  // "su" is what the first files with it said.
  if (view == "longrope" || view == "su") return AddLongRope(config, scaling, dims, to);
  return scaling.NotKnown(
      field, Quoted(kind) + " is not computed; known are default, linear, llama3 and longrope");
}

}  // namespace

absl::Status AddRopeKeys(const Fields& config, HfConfig& to) {
  ASSIGN_OR_RETURN(const Places places, FindPlaces(config));
  if (!(places.base >= 1) || !std::isfinite(places.base)) {
    return config.Wrong("rope_theta",
                        "expected a number from 1 on, got " + std::to_string(places.base));
  }
  const Fields& holder =
      places.scaling && places.scaling->Has("partial_rotary_factor") ? *places.scaling : config;
  ASSIGN_OR_RETURN(const double partial, holder.NumberOr("partial_rotary_factor", 1));
  if (!(partial > 0 && partial <= 1)) {
    return holder.Wrong("partial_rotary_factor",
                        "expected a number up to 1, got " + std::to_string(partial));
  }
  // Rows of neighbouring pairs are made of whole heads.
  if (partial != 1 && to.traits->pairing == RopePairing::kNeighbours) {
    return holder.NotKnown("partial_rotary_factor", "is not computed for this architecture");
  }
  const int dims = static_cast<int>(partial * to.head_dim);
  if (dims < 2 || dims % 2 != 0 || dims > static_cast<int>(kHeadDimMax)) {
    return config.Wrong(
        "head_dim", "expected an even number of elements that rotate, got " + std::to_string(dims));
  }
  to.metadata[Key(to, "rope.freq_base")] = places.base;
  to.metadata[Key(to, "rope.dimension_count")] = static_cast<uint64_t>(dims);
  if (places.local_base && to.traits->local_rope_base != 0) {
    to.metadata[Key(to, "rope.freq_base_swa")] = *places.local_base;
  }
  if (!places.scaling) return absl::OkStatus();
  return AddScaling(config, *places.scaling, places.base, dims, to);
}

}  // namespace mortar
