#include "cli/speed_probe.h"

#include <chrono>
#include <vector>

#include "cli/cut.h"

namespace mortar {
namespace {

// Larger than what a core's own and most shared caches hold: a token reads its weights from memory.
constexpr uint64_t kProbeBytes = uint64_t{64} << 20;
// Five of the periods of 100 ms in which a cgroup's quota is given.
constexpr Duration kProbeTime = std::chrono::milliseconds(500);
constexpr int kProbeTokensMin = 3;  // where one takes longer than that
constexpr int kProbePositions = kKvPagePositions;

// The first layers of `range` that are kProbeBytes together, all if they are less.
LayerRange LayersToProbe(const WeightShares& shares, LayerRange range) {
  LayerRange layers{range.begin, range.begin};
  while (layers.end < range.end && shares.Of(layers) < kProbeBytes) ++layers.end;
  return layers;
}

}  // namespace

absl::StatusOr<double> MeasureNsPerByte(const NodeCompute& compute, LayerRange only, KvType kv_type,
                                        const Clock& clock) {
  const ModelConfig& config = compute.model.config;
  const WeightShares shares = SharesOf(compute.model.manifest, config.tied_head);
  const LayerRange range = only.empty() ? LayerRange{0, config.n_layers} : only;
  const LayerRange layers = LayersToProbe(shares, range);
  EngineOptions options;
  options.kv_type = kv_type;
  options.context_max = kProbePositions;
  options.kv_positions_max = kProbePositions;
  options.rows_max = 1;
  options.logit_rows_max = 0;
  ASSIGN_OR_RETURN(const auto engine,
                   Engine::Load(*compute.model.file, {PartSpec{false, layers, false}}, options,
                                compute.kernels, compute.pool));
  KvTable kv;
  RETURN_IF_ERROR(engine->kv().Reserve(kv, 0, kProbePositions));
  const auto width = static_cast<size_t>(config.n_embd);
  const std::vector<float> in(width, 0.01f);
  std::vector<float> out(width);
  const auto compute_token = [&](int token) {
    const BatchRow row{&kv, token % kProbePositions};
    engine->Run(0, {.rows = {&row, 1}, .rows_in = in.data(), .rows_out = out.data()});
  };
  compute_token(0);  // wakes the threads and touches the pages
  const Time start = clock.Now();
  Duration took{};
  int tokens = 0;
  while (tokens < kProbeTokensMin || took < kProbeTime) {
    compute_token(++tokens);
    took = clock.Now() - start;
  }
  engine->kv().Release(kv);
  return static_cast<double>(took.count()) / tokens / static_cast<double>(shares.Of(layers));
}

void SayWorkerSpeed(const NodeCompute& compute, const NodeEngineOptions& engine, const Clock& clock,
                    const Logger& log, WorkerOptions& options) {
  options.kv_bytes_per_layer = KvBytesPerLayer(compute.model.config, engine);
  const auto measured = MeasureNsPerByte(compute, options.layers_only, engine.kv_type, clock);
  if (!measured.ok()) {
    log.Warning("speed_not_measured", {{"why", Message(measured.status())}});
    return;
  }
  options.ns_per_byte = *measured;
  log.Info("speed_measured", {{"ns_per_byte", *measured}, {"memory", options.memory_bytes}});
}

}  // namespace mortar
