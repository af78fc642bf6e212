#include "cli/node_parts.h"

#include <algorithm>
#include <string>
#include <vector>

#include "cli/cut.h"
#include "cli/model.h"
#include "common/check.h"
#include "edge/jobs.h"
#include "edge/lookup_drafter.h"
#include "engine/brick/digest.h"

namespace mortar {
namespace {

int WholePages(int positions) {
  return (positions + kKvPagePositions - 1) / kKvPagePositions * kKvPagePositions;
}

KvFormat KvFormatOf(KvType type) {
  switch (type) {
    case KvType::kF16:
      return KvFormat::kF16;
    case KvType::kF32:
      return KvFormat::kF32;
    case KvType::kQ8_0:
      return KvFormat::kQ80;
  }
  CHECK(false);
}

Drafting ReadDrafting(const Settings& settings) {
  Drafting drafting;
  if (settings.String("draft") == "none") return drafting;
  drafting.max = static_cast<int>(settings.Int("draft-max"));
  drafting.make = [](int positions_max) { return std::make_unique<LookupDrafter>(positions_max); };
  return drafting;
}

}  // namespace

ModelId ModelIdOf(const HostedModel& model, KvType kv) {
  std::string all;
  for (const Brick& brick : model.manifest.bricks) {
    CHECK(brick.digest.has_value());
    all += ToHex(*brick.digest);
  }
  return {.name = model.manifest.model.substr(0, kModelNameBytesMax),
          .digest = DigestOf(all),
          .n_layers = model.config.n_layers,
          .n_embd = model.config.n_embd,
          .kv = KvFormatOf(kv)};
}

absl::StatusOr<SessionOptions> ReadSessionOptions(const Settings& settings,
                                                  const ModelConfig& config) {
  SessionOptions options;
  ASSIGN_OR_RETURN(options.cut, ReadLayerCut(settings, config.n_layers));
  options.show_tokens_to_cloud = settings.Bool("show-tokens-to-cloud");
  options.kv_type = KvTypeOf(settings.String("kv"));
  ASSIGN_OR_RETURN(options.context, ContextSize(settings, config.n_ctx_train));
  if (settings.Has("draft")) options.drafting = ReadDrafting(settings);
  return options;
}

EdgeOptions EdgeOptionsOf(const SessionOptions& session, const ModelId& model,
                          const std::string& name) {
  EdgeOptions options;
  options.name = name;
  options.model = model;
  options.front_layers = session.cut.front;
  options.back_layers = session.cut.back;
  options.show_tokens_to_cloud = session.show_tokens_to_cloud;
  options.rows_max = kNodeRowsMax;
  options.drafting = session.drafting;
  return options;
}

EngineOptions EngineOptionsFor(const NodeEngineOptions& options, int logit_rows) {
  EngineOptions engine;
  engine.kv_type = options.kv_type;
  engine.context_max = options.context;
  engine.kv_positions_max = WholePages(options.context) * options.sessions;
  engine.rows_max = kNodeRowsMax;
  engine.logit_rows_max = logit_rows;
  engine.sharding = options.sharding;
  return engine;
}

uint64_t KvBytesPerLayer(const ModelConfig& config, const NodeEngineOptions& options) {
  const KvShape page{options.kv_type, config.n_kv_heads, config.head_dim};
  const int pages = WholePages(options.context) / kKvPagePositions * options.sessions;
  return page.layer_bytes() * static_cast<uint64_t>(pages);
}

void SayEdgeBytes(const HostedModel& model, EdgeOptions& options) {
  const WeightShares shares = SharesOf(model.manifest, model.config.tied_head);
  const int n_layers = model.config.n_layers;
  options.back_bytes = shares.Of({n_layers - options.back_layers, n_layers});
  // A tied head reads the embedding.
  options.head_bytes = shares.head + (model.config.tied_head ? shares.embedding : 0);
}

absl::StatusOr<std::unique_ptr<Engine>> LoadEdgeEngine(const NodeCompute& compute,
                                                       const LayerCut& cut,
                                                       const NodeEngineOptions& options) {
  const int n_layers = compute.model.config.n_layers;
  std::vector<PartSpec> specs(2);
  specs[kFrontPart] = {true, {0, cut.front}, false};
  specs[kBackPart] = {false, {n_layers - cut.back, n_layers}, true};
  return Engine::Load(*compute.model.file, specs,
                      EngineOptionsFor(options, options.sessions * options.step_rows),
                      compute.kernels, compute.pool);
}

absl::StatusOr<std::unique_ptr<Engine>> LoadWorkerEngine(const NodeCompute& compute,
                                                         const Placement& placement,
                                                         const NodeEngineOptions& options) {
  const std::vector<LayerBrick> own = LayerBricksOf(compute.model.manifest);
  for (const LayerBrick& brick : placement.bricks) {
    if (std::ranges::find(own, brick) == own.end()) {
      return DataLoss("layers " + ToString(brick.layers) + " with digest " + ToHex(brick.digest) +
                      " are not in " + compute.model.file->path());
    }
  }
  return Engine::Load(*compute.model.file, {PartSpec{false, placement.layers, false}},
                      EngineOptionsFor(options, 0), compute.kernels, compute.pool);
}

}  // namespace mortar
