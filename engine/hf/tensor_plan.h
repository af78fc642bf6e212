// What each tensor of a checkpoint becomes: GGUF's name for it and what is done to its values.
//
// Sources: the modules' names in huggingface/transformers; the names and the order of rows are
// those of GGUF as ggml-org/llama.cpp writes it.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "common/status.h"
#include "engine/hf/config_keys.h"

namespace mortar {

enum class Change {
  kNone,           // a matrix
  kPairRows,       // a matrix whose rows of a head go from halves to neighbouring pairs
  kVector,         // a norm or a bias: F32
  kVectorPlusOne,  // a norm that is stored without the 1 that is added to it
};

struct TensorPlan {
  std::string name;
  Change change = Change::kNone;
  int n_heads = 0;  // of kPairRows
};

// Nothing for a tensor that the model does not need: rotation tables that old files carry, and the
// copy of a tied head. Unimplemented for a name that is none of this architecture: without it the
// result would be another. `known`: TensorNames() of the model.
absl::StatusOr<std::optional<TensorPlan>> PlanTensor(const std::string& name,
                                                     const HfConfig& config,
                                                     const std::set<std::string>& known);

// The row of the file that becomes row `row` of a matrix with Change::kPairRows.
uint64_t PairedRow(uint64_t row, uint64_t head_dim);

}  // namespace mortar
