#include "engine/model/tensor_names.h"

#include <utility>
#include <vector>

namespace mortar {
namespace {

// The tensors of one norm.
std::vector<std::string> NormNames(const Architecture& t, const char* norm) {
  std::vector<std::string> names = {std::string(norm) + kWeight};
  if (t.layer_norm) names.push_back(std::string(norm) + kBias);
  return names;
}

std::vector<std::string> LayerNames(const Architecture& t) {
  std::vector<std::string> names = {kAttnOutputTensor, kFfnUpTensor, kFfnDownTensor};
  const auto add = [&names](bool has, std::initializer_list<const char*> more) {
    if (has) names.insert(names.end(), more.begin(), more.end());
  };
  const auto add_norms = [&](bool has, std::initializer_list<const char*> more) {
    if (!has) return;
    for (const char* norm : more) {
      for (std::string& name : NormNames(t, norm)) names.push_back(std::move(name));
    }
  };
  add(t.fused_qkv, {kAttnQkvTensor});
  add(!t.fused_qkv, {kAttnQTensor, kAttnKTensor, kAttnVTensor});
  add(t.gate != Gate::kNone && !t.fused_gate_up, {kFfnGateTensor});
  add(t.qkv_bias, {kAttnQBiasTensor, kAttnKBiasTensor, kAttnVBiasTensor});
  add(t.branch_bias, {kAttnOutputBiasTensor, kFfnUpBiasTensor, kFfnDownBiasTensor});
  add_norms(!t.norms_of_sums, {kAttnNormTensor, kFfnNormTensor});
  add_norms(t.qk_norm, {kAttnQNormTensor, kAttnKNormTensor});
  add_norms(t.norms_after, {kAttnPostNormTensor, kFfnPostNormTensor});
  add_norms(t.norms_of_sums, {kAttnSumNormTensor, kFfnSumNormTensor});
  return names;
}

// Of the ends of the model.
std::set<std::string> OuterNames(const Architecture& t) {
  std::set<std::string> names = {kEmbeddingTensor};
  const auto add_norm = [&](const char* norm) {
    for (std::string& name : NormNames(t, norm)) names.insert(std::move(name));
  };
  if (t.token_types) names.insert(kTokenTypesTensor);
  if (t.learned_positions) names.insert(kPositionsTensor);
  if (t.embedding_norm) add_norm(kEmbeddingNormTensor);
  if (!t.encoder) {
    names.insert(kHeadTensor);
    add_norm(kOutputNormTensor);
  }
  return names;
}

}  // namespace

std::string LayerPrefix(int layer) { return "blk." + std::to_string(layer) + '.'; }

std::set<std::string> TensorNames(const Architecture& traits, int n_layers) {
  std::set<std::string> names = OuterNames(traits);
  if (traits.factors == RopeFactors::kFreqs) names.insert(kRopeFreqsTensor);
  if (traits.factors == RopeFactors::kShortLong) {
    names.insert({kRopeShortTensor, kRopeLongTensor});
  }
  const std::vector<std::string> of_layer = LayerNames(traits);
  for (int layer = 0; layer < n_layers; ++layer) {
    for (const std::string& name : of_layer) names.insert(LayerPrefix(layer) + name);
  }
  return names;
}

}  // namespace mortar
