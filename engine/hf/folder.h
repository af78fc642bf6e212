// A Hugging Face model folder as the rest of the engine knows a model: GGUF's keys and tensors.
#pragma once

#include <memory>
#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/thread_pool.h"
#include "engine/quantize/quantize.h"

namespace mortar {

// Reads config.json, tokenizer.json and, where they are, tokenizer_config.json, generation_config
// .json and chat_template.jinja, and maps the safetensors files. Errors begin with a path of the
// folder. What the numbers bound is checked by ReadModelConfig, as for a GGUF file.
absl::StatusOr<std::shared_ptr<GgufFile>> OpenHfFolder(const std::string& folder, Quantize quantize,
                                                       ThreadPool& pool);

}  // namespace mortar
