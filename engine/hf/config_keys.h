// config.json as GGUF's metadata: the numbers that engine/model reads, and what the tensors need to
// be renamed and turned.
//
// Sources: the configuration classes of huggingface/transformers for the names and for what holds
// where a field is absent; GGUF's names of ggml-org/llama.cpp.
#pragma once

#include <string>
#include <vector>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/hf/json.h"
#include "engine/model/architectures.h"

namespace mortar {

// A tensor of factors that config.json holds as numbers.
struct FactorTensor {
  std::string name;
  std::vector<float> values;
};

struct HfConfig {
  const Architecture* traits = nullptr;
  GgufMetadata metadata;
  std::vector<FactorTensor> factors;
  int n_layers = 0;
  int n_heads = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  bool tied_head = false;
};

// Unimplemented for an architecture that does not run, with those that do, and for what changes
// results and is not computed; InvalidArgument for what contradicts itself. What GGUF's keys bound
// as well is left to engine/model. Errors begin with the path of `config`.
absl::StatusOr<HfConfig> ReadHfConfig(const Fields& config);

}  // namespace mortar
