#include "engine/hf/config_keys.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/gguf/reader.h"
#include "engine/hf/rope_keys.h"

namespace mortar {
namespace {

// Far above what engine/model takes, which refuses the rest by GGUF's keys; small enough for
// products of two.
constexpr uint64_t kCountMax = 1 << 24;

// Names of tensors are made for each layer: as many as engine/model takes.
constexpr uint64_t kLayersMax = 1024;

// The class that config.json names, and what it fills in where a field is absent.
struct Class {
  const char* name;
  const char* architecture;  // engine/model/architectures.h
  int head_dim;              // 0: hidden_size / num_attention_heads
  bool tied;
};
constexpr Class kClasses[] = {
    {"LlamaForCausalLM", "llama", 0, false},    {"MistralForCausalLM", "mistral", 0, false},
    {"Qwen2ForCausalLM", "qwen2", 0, false},    {"Qwen3ForCausalLM", "qwen3", 128, false},
    {"Phi3ForCausalLM", "phi3", 0, false},      {"Gemma2ForCausalLM", "gemma2", 256, true},
    {"Gemma3ForCausalLM", "gemma3", 256, true},
};

absl::StatusOr<const Class*> ClassOf(const Fields& config) {
  const Json* const list = config.Find("architectures");
  if (list == nullptr || !list->is_array() || list->size() != 1 || !(*list)[0].is_string()) {
    return config.Wrong("architectures", "expected a list of one name");
  }
  const auto& name = (*list)[0].get_ref<const std::string&>();
  std::string known;
  for (const Class& row : kClasses) {
    if (name == row.name) return &row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  return config.NotKnown("architectures", Quoted(name) + " does not run; known are " + known);
}

// Moves numbers from fields of config.json to keys of the architecture.
class Mover {
 public:
  Mover(const Fields& config, HfConfig& to) : config_(config), to_(to) {}

  std::string Key(const char* key) const { return std::string(to_.traits->name) + "." + key; }
  void Put(const char* key, GgufValue value) { to_.metadata[Key(key)] = std::move(value); }

  absl::StatusOr<int> Count(const char* field, const char* key, uint64_t max = kCountMax) {
    ASSIGN_OR_RETURN(const uint64_t n, config_.Int(field, 1, max));
    Put(key, n);
    return static_cast<int>(n);
  }
  absl::Status NumberIfThere(const char* field, const char* key) {
    if (!config_.Has(field)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const double number, config_.Number(field));
    Put(key, number);
    return absl::OkStatus();
  }

 private:
  const Fields& config_;
  HfConfig& to_;
};

absl::Status AddShape(const Fields& config, const Class& row, HfConfig& to) {
  Mover mover(config, to);
  ASSIGN_OR_RETURN(to.n_layers, mover.Count("num_hidden_layers", "block_count", kLayersMax));
  ASSIGN_OR_RETURN(const int n_embd, mover.Count("hidden_size", "embedding_length"));
  RETURN_IF_ERROR(mover.Count("intermediate_size", "feed_forward_length").status());
  RETURN_IF_ERROR(mover.Count("max_position_embeddings", "context_length").status());
  ASSIGN_OR_RETURN(to.n_heads, mover.Count("num_attention_heads", "attention.head_count"));
  to.n_kv_heads = to.n_heads;
  if (config.Has("num_key_value_heads")) {
    ASSIGN_OR_RETURN(to.n_kv_heads, mover.Count("num_key_value_heads", "attention.head_count_kv"));
  }
  to.head_dim = row.head_dim != 0 ? row.head_dim : n_embd / to.n_heads;
  if (config.Has("head_dim")) {
    ASSIGN_OR_RETURN(const uint64_t given, config.Int("head_dim", 2, kCountMax));
    to.head_dim = static_cast<int>(given);
  } else if (row.head_dim == 0 && n_embd % to.n_heads != 0) {
    return config.Wrong(
        "num_attention_heads",
        std::to_string(to.n_heads) + " does not divide the width " + std::to_string(n_embd));
  }
  mover.Put("attention.key_length", static_cast<uint64_t>(to.head_dim));
  mover.Put("attention.value_length", static_cast<uint64_t>(to.head_dim));
  ASSIGN_OR_RETURN(const double eps, config.NumberOr("rms_norm_eps", 1e-6));
  mover.Put("attention.layer_norm_rms_epsilon", eps);
  return absl::OkStatus();
}

// Whether layer i sees all keys, as layer_types says; the engine knows every n-th and none.
absl::StatusOr<uint64_t> FullEvery(const Fields& config, const HfConfig& to) {
  const Json* const kinds = config.Find("layer_types");
  if (kinds == nullptr) {
    return config.IntOr("sliding_window_pattern", 1, kCountMax,
                        static_cast<uint64_t>(to.traits->full_every));
  }
  if (!kinds->is_array() || kinds->size() != static_cast<size_t>(to.n_layers)) {
    return config.Wrong("layer_types", "expected a list of one kind for each layer");
  }
  const size_t n = kinds->size();
  size_t first_full = n;
  for (size_t i = 0; i < n; ++i) {
    const Json& kind = (*kinds)[i];
    if (kind != "full_attention" && kind != "sliding_attention") {
      return config.NotKnown("layer_types",
                             "known are full_attention and sliding_attention, found another");
    }
    if (first_full == n && kind == "full_attention") first_full = i;
  }
  const size_t every = first_full + 1;
  for (size_t i = 0; i < n; ++i) {
    if (((*kinds)[i] == "full_attention") == ((i + 1) % every == 0)) continue;
    return config.NotKnown("layer_types",
                           "layers that see all keys at other distances than the first");
  }
  return every;
}

absl::Status AddWindow(const Fields& config, HfConfig& to) {
  Mover mover(config, to);
  const Architecture& traits = *to.traits;
  ASSIGN_OR_RETURN(const uint64_t every, FullEvery(config, to));
  // Qwen's files carry a window that is switched off.
  ASSIGN_OR_RETURN(const bool uses, config.BoolOr("use_sliding_window", traits.window));
  const bool has_window = uses && config.Has("sliding_window");
  if (traits.full_every != 0) {
    mover.Put("attention.sliding_window_pattern", every);
  } else if (config.Has("layer_types") &&
             has_window != (every > static_cast<uint64_t>(to.n_layers))) {
    return config.NotKnown(
        "layer_types", "a window for some layers is not computed for " + std::string(traits.name));
  }
  // transformers' llama has none, whatever a file says.
  if (!has_window || std::string_view(traits.name) == "llama") return absl::OkStatus();
  return mover.Count("sliding_window", "attention.sliding_window").status();
}

absl::Status AddCaps(const Fields& config, HfConfig& to) {
  if (!to.traits->soft_caps) return absl::OkStatus();
  Mover mover(config, to);
  RETURN_IF_ERROR(mover.NumberIfThere("attn_logit_softcapping", "attn_logit_softcapping"));
  RETURN_IF_ERROR(mover.NumberIfThere("final_logit_softcapping", "final_logit_softcapping"));
  ASSIGN_OR_RETURN(const double scalar, config.NumberOr("query_pre_attn_scalar", 256));
  const auto width = static_cast<float>(scalar);
  if (!(width > 0) || !std::isfinite(width)) {
    return config.Wrong("query_pre_attn_scalar",
                        "expected a number above 0, got " + std::to_string(scalar));
  }
  mover.Put("attention.scale", double{1.0f / std::sqrt(width)});
  return absl::OkStatus();
}

absl::Status CheckActivation(const Fields& config, const HfConfig& to) {
  const char* const field = config.Has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const bool gelu = to.traits->gate == Gate::kGeluTanh;
  const char* const wanted = gelu ? "gelu_pytorch_tanh" : "silu";
  ASSIGN_OR_RETURN(const std::string found, config.StringOr(field, wanted));
  if (std::string_view(found) == wanted) return absl::OkStatus();
  return config.NotKnown(field, Quoted(found) + " is not computed for " +
                                    std::string(to.traits->name) + "; known is " + wanted);
}

// What changes results and has no key of GGUF's.
absl::Status RefuseForeignFields(const Fields& config) {
  if (config.Has("quantization_config")) {
    return config.NotKnown("quantization_config",
                           "weights that are quantised already are not read; take the folder with "
                           "BF16, F16 or F32");
  }
  ASSIGN_OR_RETURN(const bool both_ways, config.BoolOr("use_bidirectional_attention", false));
  if (both_ways) return config.NotKnown("use_bidirectional_attention", "is not computed");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HfConfig> ReadHfConfig(const Fields& config) {
  ASSIGN_OR_RETURN(const Class* row, ClassOf(config));
  HfConfig to;
  to.traits = FindArchitecture(row->architecture);
  to.metadata["general.architecture"] = std::string(row->architecture);
  to.metadata["general.type"] = std::string("model");
  RETURN_IF_ERROR(RefuseForeignFields(config));
  RETURN_IF_ERROR(CheckActivation(config, to));
  RETURN_IF_ERROR(AddShape(config, *row, to));
  RETURN_IF_ERROR(AddRopeKeys(config, to));
  RETURN_IF_ERROR(AddWindow(config, to));
  RETURN_IF_ERROR(AddCaps(config, to));
  ASSIGN_OR_RETURN(to.tied_head, config.BoolOr("tie_word_embeddings", row->tied));
  return to;
}

}  // namespace mortar
