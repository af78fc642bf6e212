// What `mortar edge` may take over, and with how much memory: --take-over and --edge-memory as what
// loads the layers between its own (edge/take_over.h says when).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/node_parts.h"
#include "cli/settings.h"
#include "common/status.h"
#include "edge/middle.h"

namespace mortar {

struct TakeOverOptions {
  bool allowed = false;
  std::optional<uint64_t> edge_memory{};  // for all that the edge holds
};
// UsageError for a size that is none, and for a size where nothing may be taken over.
absl::StatusOr<TakeOverOptions> ReadTakeOver(const Settings& settings);

// What is known before a load.
struct MiddleMemory {
  std::string layers;      // for people: "[2, 28)"
  uint64_t weights = 0;    // of the middle
  uint64_t kv = 0;         // of its sessions, when they are full
  uint64_t scratch = 0;    // of its batches
  uint64_t held = 0;       // by the edge's own layers, with their KV and scratch
  uint64_t available = 0;  // on the machine, as AvailableMemory() says
};
// Without --edge-memory at most half of what is available is taken: nobody asked this machine for
// more. ResourceExhausted with the figures and what to do.
absl::Status CheckMiddleFits(const TakeOverOptions& options, const MiddleMemory& memory);

// What loads the middle of this cut for sessions of `edge`, which is the engine that it stands
// beside; null where options do not allow it. What `compute` names outlives it.
LoadMiddle MiddleLoaderOf(const TakeOverOptions& options, const NodeCompute& compute,
                          const LayerCut& cut, const NodeEngineOptions& middle, Engine& edge);

}  // namespace mortar
