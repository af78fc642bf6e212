// From settings to a model file and to what computes it.
#pragma once

#include <memory>
#include <string>

#include "cli/settings.h"
#include "common/status.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/config.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// ${XDG_CACHE_HOME:-~/.cache}/mortar/models/SmolLM2-135M-Instruct.Q4_1.gguf
std::string DefaultModelPath(const Environment& environment);

// ${XDG_CACHE_HOME:-~/.cache}/mortar/digests: sidecars of models in folders that cannot be written.
std::string DigestFolder(const Environment& environment);

// --model with --quantize, or the default model. Where there is no such file the error says how to
// get one.
absl::StatusOr<std::shared_ptr<GgufFile>> OpenModel(const Settings& settings,
                                                    const Environment& environment);
// A GGUF file, which is taken as it is, or a Hugging Face folder. `quantize`: a choice of
// --quantize.
absl::StatusOr<std::shared_ptr<GgufFile>> OpenModelAt(const std::string& path,
                                                      const std::string& quantize);

// The shape of a model that continues texts. FailedPrecondition, with what to use instead, for an
// encoder.
absl::StatusOr<ModelConfig> ReadDecoderConfig(const GgufFile& file);

// The model's tokenizer. InvalidArgument when its tokens are not the embedding's rows.
absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerOf(const GgufFile& file,
                                                       const ModelConfig& config);

struct Compute {
  const KernelTable* kernels = nullptr;
  std::unique_ptr<ThreadPool> pool;
};

// --threads, --threads-batch, --cpus and --isa; with --cpus the whole process is bound to them.
// FailedPrecondition when this CPU lacks the instruction set, UsageError for CPUs that cannot be
// had.
absl::StatusOr<Compute> MakeCompute(const Settings& settings);
absl::StatusOr<const KernelTable*> KernelsOf(const std::string& isa);

KvType KvTypeOf(const std::string& name);  // a choice of --kv

// Positions of a session: --ctx-size, or the model's own, at most 4096. UsageError when more than
// the model was trained for is asked.
absl::StatusOr<int> ContextSize(const Settings& settings, int n_ctx_train);

}  // namespace mortar
