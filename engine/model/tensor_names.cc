#include "engine/model/tensor_names.h"

#include <vector>

namespace mortar {
namespace {

std::vector<std::string> LayerNames(const Architecture& t) {
  std::vector<std::string> names = {kAttnNormTensor, kAttnOutputTensor, kFfnNormTensor,
                                    kFfnUpTensor, kFfnDownTensor};
  const auto add = [&names](bool has, std::initializer_list<const char*> more) {
    if (has) names.insert(names.end(), more.begin(), more.end());
  };
  add(t.fused_qkv, {kAttnQkvTensor});
  add(!t.fused_qkv, {kAttnQTensor, kAttnKTensor, kAttnVTensor});
  add(!t.fused_gate_up, {kFfnGateTensor});
  add(t.qkv_bias, {kAttnQBiasTensor, kAttnKBiasTensor, kAttnVBiasTensor});
  add(t.qk_norm, {kAttnQNormTensor, kAttnKNormTensor});
  add(t.norms_after, {kAttnPostNormTensor, kFfnPostNormTensor});
  return names;
}

}  // namespace

std::string LayerPrefix(int layer) { return "blk." + std::to_string(layer) + '.'; }

std::set<std::string> TensorNames(const Architecture& traits, int n_layers) {
  std::set<std::string> names = {kEmbeddingTensor, kOutputNormTensor, kHeadTensor};
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
