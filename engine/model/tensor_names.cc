#include "engine/model/tensor_names.h"

namespace mortar {

std::string LayerPrefix(int layer) { return "blk." + std::to_string(layer) + '.'; }

std::set<std::string> TensorNames(int n_layers) {
  std::set<std::string> names = {kEmbeddingTensor, kOutputNormTensor, kHeadTensor};
  for (int layer = 0; layer < n_layers; ++layer) {
    for (const char* name :
         {kAttnNormTensor, kAttnQTensor, kAttnKTensor, kAttnVTensor, kAttnOutputTensor,
          kFfnNormTensor, kFfnGateTensor, kFfnUpTensor, kFfnDownTensor}) {
      names.insert(LayerPrefix(layer) + name);
    }
  }
  return names;
}

}  // namespace mortar
