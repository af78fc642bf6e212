#include "engine/hf/tensor_plan.h"

#include <charconv>
#include <string_view>

#include "engine/gguf/reader.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

// Which architectures a row of the table is for.
enum class For { kAll, kGemma, kOthers };

struct LayerName {
  const char* theirs;
  const char* ours;
  For whom = For::kAll;
};
constexpr LayerName kLayerNames[] = {
    {"input_layernorm.weight", kAttnNormTensor},
    {"self_attn.q_proj.weight", kAttnQTensor},
    {"self_attn.k_proj.weight", kAttnKTensor},
    {"self_attn.v_proj.weight", kAttnVTensor},
    {"self_attn.q_proj.bias", kAttnQBiasTensor},
    {"self_attn.k_proj.bias", kAttnKBiasTensor},
    {"self_attn.v_proj.bias", kAttnVBiasTensor},
    {"self_attn.q_norm.weight", kAttnQNormTensor},
    {"self_attn.k_norm.weight", kAttnKNormTensor},
    {"self_attn.qkv_proj.weight", kAttnQkvTensor},
    {"self_attn.o_proj.weight", kAttnOutputTensor},
    {"mlp.gate_proj.weight", kFfnGateTensor},
    {"mlp.up_proj.weight", kFfnUpTensor},
    {"mlp.gate_up_proj.weight", kFfnUpTensor},
    {"mlp.down_proj.weight", kFfnDownTensor},
    // Gemma norms what attention and feed-forward give as well, and says post_attention of that.
    {"post_attention_layernorm.weight", kFfnNormTensor, For::kOthers},
    {"post_attention_layernorm.weight", kAttnPostNormTensor, For::kGemma},
    {"pre_feedforward_layernorm.weight", kFfnNormTensor, For::kGemma},
    {"post_feedforward_layernorm.weight", kFfnPostNormTensor, For::kGemma},
};

// N and the rest of "model.layers.N.rest".
struct LayerPart {
  int layer;
  std::string_view rest;
};
std::optional<LayerPart> SplitLayer(std::string_view name) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  LayerPart part{};
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), part.layer);
  const auto digits = static_cast<size_t>(end - name.data());
  if (error != std::errc() || part.layer < 0 ||
      name.substr(0, digits) != std::to_string(part.layer) || digits == name.size() ||
      name[digits] != '.') {
    return std::nullopt;
  }
  part.rest = name.substr(digits + 1);
  return part;
}

// The name within GGUF of a name within a checkpoint; empty when it is none.
std::string Renamed(std::string_view name, const Architecture& traits) {
  if (name == "model.embed_tokens.weight") return kEmbeddingTensor;
  if (name == "model.norm.weight") return std::string(kOutputNormTensor) + kWeight;
  if (name == "lm_head.weight") return kHeadTensor;
  const std::optional<LayerPart> part = SplitLayer(name);
  if (!part) return "";
  const For whom = traits.norms_after ? For::kGemma : For::kOthers;
  for (const LayerName& row : kLayerNames) {
    if (part->rest != row.theirs || (row.whom != For::kAll && row.whom != whom)) continue;
    const bool is_norm = std::string_view(row.ours).ends_with("norm");
    return LayerPrefix(part->layer) + row.ours + (is_norm ? kWeight : "");
  }
  return "";
}

Change ChangeOf(std::string_view ours, const Architecture& traits) {
  if (ours.ends_with("norm.weight")) {
    // Gemma multiplies by 1 + w; GGUF stores that sum.
    return traits.norms_after ? Change::kVectorPlusOne : Change::kVector;
  }
  if (ours.ends_with(".bias")) return Change::kVector;
  const bool turns = ours.ends_with(kAttnQTensor) || ours.ends_with(kAttnKTensor);
  return turns && traits.pairing == RopePairing::kNeighbours ? Change::kPairRows : Change::kNone;
}

}  // namespace

absl::StatusOr<std::optional<TensorPlan>> PlanTensor(const std::string& name,
                                                     const HfConfig& config,
                                                     const std::set<std::string>& known) {
  if (name.ends_with(".rotary_emb.inv_freq")) return std::nullopt;
  TensorPlan plan;
  plan.name = Renamed(name, *config.traits);
  if (!known.contains(plan.name)) {
    return Unimplemented("tensor " + Quoted(name) + " is none of a " + config.traits->name +
                         " model with " + std::to_string(config.n_layers) +
                         " layers; without it the result would be another");
  }
  const std::string_view ours = plan.name;
  if (config.tied_head && ours == kHeadTensor) return std::nullopt;
  plan.change = ChangeOf(ours, *config.traits);
  plan.n_heads = ours.ends_with(kAttnQTensor) ? config.n_heads : config.n_kv_heads;
  return plan;
}

// Pair i of a head is (i, i + d / 2) in the file and (2 i, 2 i + 1) in GGUF.
uint64_t PairedRow(uint64_t row, uint64_t head_dim) {
  const uint64_t in_head = row % head_dim;
  return row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
}

}  // namespace mortar
