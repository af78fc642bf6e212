#include "cli/take_over.h"

#include <cstdio>
#include <memory>
#include <utility>

#include "cli/byte_size.h"
#include "cli/console.h"
#include "cli/cut.h"
#include "cli/machine_memory.h"

namespace mortar {
namespace {

// Rows of a batch of the middle. It works in slices of so many: a step of this many is bound by
// arithmetic already, and scratch memory grows with them.
constexpr int kMiddleRowsMax = 128;

std::string Size(uint64_t bytes) {
  const bool large = bytes >= uint64_t{1} << 30;
  char text[32];
  std::snprintf(text, sizeof text, large ? "%.2f GiB" : "%.1f MiB",
                static_cast<double>(bytes) / (large ? 1 << 30 : 1 << 20));
  return text;
}

// What the engine of the edge's own layers takes once its sessions are full.
uint64_t HeldBy(Engine& edge, const NodeCompute& compute) {
  const uint64_t pages = static_cast<uint64_t>(edge.kv().positions_max() / kKvPagePositions);
  return edge.weight_bytes() + pages * edge.kv().page_bytes() +
         Engine::ScratchBytes(edge.config(), edge.options(), compute.kernels, compute.pool);
}

}  // namespace

absl::StatusOr<TakeOverOptions> ReadTakeOver(const Settings& settings) {
  TakeOverOptions options{.allowed = settings.String("take-over") == "auto"};
  const auto memory = settings.OptionalString("edge-memory");
  if (!memory) return options;
  const auto bytes = ParseByteSize(*memory, settings.Where("edge-memory"));
  if (!bytes.ok()) return UsageError(Message(bytes.status()));
  options.edge_memory = *bytes;
  if (options.allowed) return options;
  return UsageError(settings.Where("edge-memory") +
                    ": bounds what this edge takes over, and --take-over never takes nothing; "
                    "give one of them");
}

absl::Status CheckMiddleFits(const TakeOverOptions& options, const MiddleMemory& m) {
  const uint64_t needed = m.weights + m.kv + m.scratch;
  const std::string needs = "layers " + m.layers + " need " + Size(needed) + " (" + Size(m.kv) +
                            " of it for the context, -c)";
  if (options.edge_memory && m.held + needed > *options.edge_memory) {
    return ResourceExhausted(needs + " beside the " + Size(m.held) +
                             " of its own, --edge-memory allows " + Size(*options.edge_memory) +
                             " in all; raise it, or lower -c");
  }
  if (options.edge_memory) {
    if (m.available == 0 || needed <= m.available) return absl::OkStatus();
    return ResourceExhausted(needs + ", this machine has " + Size(m.available) +
                             " free; free some, or lower -c");
  }
  if (m.available == 0) {
    return ResourceExhausted(needs +
                             ", and this machine does not say what it has free; say with "
                             "--edge-memory what this edge may take");
  }
  if (needed <= m.available / 2) return absl::OkStatus();
  return ResourceExhausted(needs + ", this machine has " + Size(m.available) +
                           " free, of which half may be taken; allow more with --edge-memory, or "
                           "lower -c");
}

LoadMiddle MiddleLoaderOf(const TakeOverOptions& options, const NodeCompute& compute,
                          const LayerCut& cut, const NodeEngineOptions& middle, Engine& edge) {
  if (!options.allowed) return nullptr;
  const HostedModel& model = compute.model;
  const LayerRange layers = {cut.front, model.config.n_layers - cut.back};
  EngineOptions engine = EngineOptionsFor(middle, 0);
  engine.rows_max = kMiddleRowsMax;
  const WeightShares shares = SharesOf(model.manifest, model.config.tied_head);
  const MiddleMemory memory{
      .layers = ToString(layers),
      .weights = shares.Of(layers),
      .kv = KvBytesPerLayer(model.config, middle) * static_cast<uint64_t>(layers.size()),
      .scratch = Engine::ScratchBytes(model.config, engine, compute.kernels, compute.pool),
      .held = HeldBy(edge, compute)};
  return [options, memory, engine, layers,
          compute](const std::atomic<bool>& stop) -> absl::StatusOr<std::unique_ptr<Engine>> {
    MiddleMemory now = memory;
    now.available = AvailableMemory();
    RETURN_IF_ERROR(CheckMiddleFits(options, now));
    // One thread: the others are for the sessions that have a route.
    ASSIGN_OR_RETURN(const std::unique_ptr<ThreadPool> packing, ThreadPool::Create(1));
    const LoadBeside beside{*packing, stop};
    return Engine::Load(*compute.model.file, {PartSpec{false, layers, false}}, engine,
                        compute.kernels, compute.pool, &beside);
  };
}

}  // namespace mortar
