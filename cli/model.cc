#include "cli/model.h"

#include <algorithm>
#include <filesystem>

#include "cli/console.h"
#include "cli/cpus.h"
#include "cli/folders.h"
#include "common/check.h"
#include "engine/hf/folder.h"

namespace mortar {
namespace {

constexpr char kDefaultModel[] = "SmolLM2-135M-Instruct.Q4_1.gguf";
// Memory for KV grows with the context; more than this is asked for, not assumed.
constexpr int kContextAssumed = 4096;

Quantize QuantizeOf(const std::string& name) {
  CHECK(name == "none" || name == "q8_0" || name == "q4_k");
  if (name == "none") return Quantize::kNone;
  return name == "q8_0" ? Quantize::kQ8_0 : Quantize::kQ4_K;
}

std::string CacheFolder(const Environment& environment) {
  std::string cache = Variable(environment, "XDG_CACHE_HOME");
  if (cache.empty()) cache = Home(environment) + "/.cache";
  return cache + "/mortar";
}

// --threads, --threads-batch and --cpus, and binds the process where that is said.
absl::StatusOr<ThreadPoolOptions> ThreadsOf(const Settings& settings) {
  const auto list = settings.OptionalString("cpus");
  auto cpus = ReadCpus(list);
  if (absl::IsInvalidArgument(cpus.status())) {
    return UsageError(settings.Where("cpus") + ": " + std::string(cpus.status().message()));
  }
  RETURN_IF_ERROR(cpus.status());
  ThreadPoolOptions options;
  options.row_threads =
      static_cast<int>(settings.OptionalInt("threads").value_or(ThreadsAssumed(*cpus)));
  options.batch_threads =
      static_cast<int>(settings.OptionalInt("threads-batch").value_or(options.row_threads));
  if (list) {
    RETURN_IF_ERROR(BindProcess(cpus->cpus));
    options.cpus = cpus->cpus;
  }
  return options;
}

}  // namespace

std::string DefaultModelPath(const Environment& environment) {
  return CacheFolder(environment) + "/models/" + kDefaultModel;
}

std::string DigestFolder(const Environment& environment) {
  return CacheFolder(environment) + "/digests";
}

absl::StatusOr<std::shared_ptr<GgufFile>> OpenModelAt(const std::string& path,
                                                      const std::string& quantize) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return NotFound("no model at " + path + "; give one with -m FILE");
  }
  const Quantize wanted = QuantizeOf(quantize);
  if (std::filesystem::is_directory(path, error)) {
    ASSIGN_OR_RETURN(const CpuOrder cpus, ReadCpus(std::nullopt));
    ASSIGN_OR_RETURN(const std::unique_ptr<ThreadPool> pool,
                     ThreadPool::Create(ThreadsAssumed(cpus)));
    return OpenHfFolder(path, wanted, *pool);
  }
  if (wanted != Quantize::kNone) {
    return UsageError("--quantize " + quantize + ": " + path +
                      " is a file; only Hugging Face folders are quantised as they are read");
  }
  return GgufFile::Open(path);
}

absl::StatusOr<std::shared_ptr<GgufFile>> OpenModel(const Settings& settings,
                                                    const Environment& environment) {
  const std::string& quantize = settings.String("quantize");
  if (const auto given = settings.OptionalString("model")) return OpenModelAt(*given, quantize);
  const std::string path = DefaultModelPath(environment);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return NotFound("the default model is not at " + path +
                    "; ./dev run fetches it, or give another with -m FILE");
  }
  return OpenModelAt(path, quantize);
}

absl::StatusOr<ModelConfig> ReadDecoderConfig(const GgufFile& file) {
  ASSIGN_OR_RETURN(ModelConfig config, ReadModelConfig(file));
  if (!config.traits.encoder) return config;
  return FailedPrecondition(file.path() + ": a " + config.architecture +
                            " model is an encoder and continues no text; use mortar embed");
}

absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerOf(const GgufFile& file,
                                                       const ModelConfig& config) {
  ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, Tokenizer::FromGguf(file));
  if (tokenizer->n_vocab() == config.n_vocab) return tokenizer;
  return InvalidArgument(file.path() + ": " + std::to_string(tokenizer->n_vocab()) +
                         " tokens in the vocabulary, but the embedding has " +
                         std::to_string(config.n_vocab) + " rows");
}

absl::StatusOr<const KernelTable*> KernelsOf(const std::string& isa) {
  return SelectKernels(isa == "auto" ? "" : isa);
}

absl::StatusOr<Compute> MakeCompute(const Settings& settings) {
  Compute compute;
  ASSIGN_OR_RETURN(compute.kernels, KernelsOf(settings.String("isa")));
  ASSIGN_OR_RETURN(const ThreadPoolOptions threads, ThreadsOf(settings));
  ASSIGN_OR_RETURN(compute.pool, ThreadPool::Create(threads));
  return compute;
}

KvType KvTypeOf(const std::string& name) {
  if (name == "f32") return KvType::kF32;
  if (name == "q8_0") return KvType::kQ8_0;
  CHECK(name == "f16");
  return KvType::kF16;
}

absl::StatusOr<int> ContextSize(const Settings& settings, int n_ctx_train) {
  const auto given = settings.OptionalInt("ctx-size");
  if (!given) return std::min(n_ctx_train, kContextAssumed);
  if (*given <= n_ctx_train) return static_cast<int>(*given);
  return UsageError(settings.Where("ctx-size") + ": " + std::to_string(*given) +
                    " is more than the " + std::to_string(n_ctx_train) +
                    " positions that the model was trained for");
}

}  // namespace mortar
