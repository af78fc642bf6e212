// The tensors of a checkpoint as GGUF has them: renamed, turned and, if wished, quantised.
#pragma once

#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/hf/checkpoint.h"
#include "engine/hf/config_keys.h"
#include "engine/kernels/thread_pool.h"
#include "engine/quantize/quantize.h"

namespace mortar {

// Moves the files into `parts` and lists the tensors: those that GGUF has as they are stay in their
// files, the others are made in memory, one after another. InvalidArgument for shapes that
// contradict config.json; ResourceExhausted without memory.
absl::Status AddTensors(Checkpoint checkpoint, const HfConfig& config, Quantize quantize,
                        ThreadPool& pool, GgufParts& parts);

}  // namespace mortar
