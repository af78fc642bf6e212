#include "engine/batch/engine.h"

#include <string>
#include <utility>

#include "common/check.h"

namespace mortar {

struct Engine::State {
  ModelConfig config;
  EngineOptions options;
  std::vector<PartSpec> parts;
  std::vector<Program> programs;  // one for each part
  std::unique_ptr<Weights> weights;
  std::unique_ptr<KvPool> kv;
  std::unique_ptr<Executor> executor;
};

namespace {

constexpr int kLogitRowsMax = kBatchRowsMax;

absl::Status CheckOptions(const EngineOptions& o, const ModelConfig& config) {
  if (o.rows_max < 1 || o.rows_max > kBatchRowsMax) {
    return InvalidArgument("rows of a batch: expected 1 to " + std::to_string(kBatchRowsMax) +
                           ", got " + std::to_string(o.rows_max));
  }
  if (o.logit_rows_max < 0 || o.logit_rows_max > kLogitRowsMax) {
    return InvalidArgument("rows of logits: expected 0 to " + std::to_string(kLogitRowsMax) +
                           ", got " + std::to_string(o.logit_rows_max));
  }
  if (o.context_max < 1 || o.context_max > config.n_ctx_train) {
    return InvalidArgument("context: expected 1 to the " + std::to_string(config.n_ctx_train) +
                           " positions that the model was trained for, got " +
                           std::to_string(o.context_max));
  }
  if (o.kv_positions_max < o.context_max) {
    return InvalidArgument("KV for " + std::to_string(o.kv_positions_max) +
                           " positions cannot hold a context of " + std::to_string(o.context_max));
  }
  return absl::OkStatus();
}

absl::Status CheckKv(KvType type, const ModelConfig& config) {
  if (type != KvType::kQ8_0 || config.head_dim % kBlock == 0) return absl::OkStatus();
  return InvalidArgument("KV in q8_0 needs heads whose width " + std::to_string(kBlock) +
                         " divides, and this model's are " + std::to_string(config.head_dim) +
                         " wide; f16 holds them");
}

absl::Status CheckParts(const std::vector<PartSpec>& parts, const ModelConfig& config) {
  std::vector<bool> taken(static_cast<size_t>(config.n_layers));
  for (const PartSpec& part : parts) {
    if (config.traits.encoder && (part.head || part.output_norm)) {
      return InvalidArgument("a " + config.architecture +
                             " model is an encoder and has no head; its texts are embedded");
    }
    if (part.head && part.output_norm) {
      return InvalidArgument("a part gives logits or rows behind the last norm, not both");
    }
    if (part.layers.begin < 0 || part.layers.end < part.layers.begin ||
        part.layers.end > config.n_layers) {
      return InvalidArgument("layers " + ToString(part.layers) + " do not lie within the model's " +
                             ToString(LayerRange{0, config.n_layers}));
    }
    for (int i = part.layers.begin; i < part.layers.end; ++i) {
      if (taken[static_cast<size_t>(i)]) {
        return InvalidArgument("layer " + std::to_string(i) + " stands in two parts of one node");
      }
      taken[static_cast<size_t>(i)] = true;
    }
  }
  return absl::OkStatus();
}

WeightSelection SelectionOf(const std::vector<PartSpec>& parts, int n_layers, ShardSpec shard) {
  WeightSelection selection;
  selection.shard = shard;
  selection.layers.resize(static_cast<size_t>(n_layers));
  for (const PartSpec& part : parts) {
    selection.embedding |= part.embedding;
    selection.head |= part.head;
    selection.output_norm |= part.output_norm;
    for (int i = part.layers.begin; i < part.layers.end; ++i) {
      selection.layers[static_cast<size_t>(i)] = true;
    }
  }
  return selection;
}

absl::Status CheckSharding(const Sharding& sharding, const std::vector<PartSpec>& parts,
                           const ModelConfig& config) {
  RETURN_IF_ERROR(CheckShard(config, sharding.shard));
  if (sharding.shard.count == 1) return absl::OkStatus();
  CHECK(sharding.all_gather != nullptr);
  for (const PartSpec& part : parts) {
    if (!part.embedding && !part.head && !part.output_norm) continue;
    return InvalidArgument("shards share layers alone, not the embedding or the head");
  }
  return absl::OkStatus();
}

}  // namespace

Engine::Engine() : state_(std::make_unique<State>()) {}
Engine::~Engine() = default;

absl::StatusOr<std::unique_ptr<Engine>> Engine::Load(const GgufFile& file,
                                                     std::vector<PartSpec> parts,
                                                     const EngineOptions& options,
                                                     const KernelTable& kernels, ThreadPool& pool,
                                                     const LoadBeside* beside) {
  std::unique_ptr<Engine> engine(new Engine());
  State& s = *engine->state_;
  ASSIGN_OR_RETURN(s.config, ReadModelConfig(file));
  RETURN_IF_ERROR(CheckOptions(options, s.config));
  RETURN_IF_ERROR(CheckKv(options.kv_type, s.config));
  RETURN_IF_ERROR(CheckParts(parts, s.config));
  const ShardSpec shard = options.sharding.shard;
  RETURN_IF_ERROR(CheckSharding(options.sharding, parts, s.config));
  s.options = options;
  s.parts = std::move(parts);
  ASSIGN_OR_RETURN(s.weights,
                   Weights::Load(file, s.config, SelectionOf(s.parts, s.config.n_layers, shard),
                                 beside == nullptr ? pool : beside->packing,
                                 beside == nullptr ? nullptr : &beside->stop));
  const KvShape kv = {options.kv_type, SizeOf(ShapeOf(s.config, shard).kv_heads),
                      s.config.head_dim};
  int n_kv_layers = 0;
  for (const PartSpec& part : s.parts) {
    s.programs.push_back(CompilePart(s.config, *s.weights, part, kv, n_kv_layers, shard.count > 1));
    n_kv_layers += part.layers.size();
  }
  ASSIGN_OR_RETURN(s.kv, KvPool::Create(kv, n_kv_layers, options.kv_positions_max));
  ASSIGN_OR_RETURN(s.executor,
                   Executor::Create(s.config, kv, options.rows_max, options.logit_rows_max,
                                    options.context_max, options.sharding, kernels, pool));
  return engine;
}

const ModelConfig& Engine::config() const { return state_->config; }
const EngineOptions& Engine::options() const { return state_->options; }
KvPool& Engine::kv() { return *state_->kv; }
uint64_t Engine::weight_bytes() const { return state_->weights->bytes(); }
uint64_t Engine::ScratchBytes(const ModelConfig& config, const EngineOptions& options,
                              const KernelTable& kernels, ThreadPool& pool) {
  const KvShape kv = {options.kv_type, config.n_kv_heads, config.head_dim};
  const uint64_t tables = config.local_rope == config.rope ? 1 : 2;
  const uint64_t rope = tables * static_cast<uint64_t>(options.context_max) *
                        static_cast<uint64_t>(config.head_dim) * sizeof(float);
  return rope + Executor::ScratchBytes(config, kv, options.rows_max, options.logit_rows_max,
                                       kernels, pool);
}

uint64_t Engine::touched_bytes(int part) const {
  return state_->programs[static_cast<size_t>(part)].touched_bytes;
}

void Engine::Run(int part, const Batch& batch) {
  CHECK(part >= 0 && part < static_cast<int>(state_->programs.size()));
  state_->executor->Run(state_->programs[static_cast<size_t>(part)], batch);
}

}  // namespace mortar
