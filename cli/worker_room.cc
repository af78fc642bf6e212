#include "cli/worker_room.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace mortar {

std::string RoomWarning(const WorkerOptions& options) {
  const bool fixed = !options.layers_only.empty();
  uint64_t smallest = std::numeric_limits<uint64_t>::max();
  uint64_t all = 0;
  for (const LayerBrick& brick : options.bricks) {
    if (fixed && !options.layers_only.Contains(brick.layers.begin)) continue;
    const uint64_t needed = brick.weight_bytes + options.kv_bytes_per_layer;
    smallest = std::min(smallest, needed);
    all += needed;
  }
  const uint64_t needed = fixed ? all : smallest;  // a fixed run is hosted whole or not at all
  if (options.memory_bytes == 0 || options.bricks.empty() || needed <= options.memory_bytes) {
    return "";
  }
  return "there is room for no layer: " +
         std::string(fixed ? "those of --layers" : "the smallest one") + " with the KV of " +
         std::to_string(options.sessions_max) + " sessions needs " + std::to_string(needed >> 10) +
         " KiB, and " + std::to_string(options.memory_bytes >> 10) +
         " are free; give more --memory, a shorter -c or a lower --parallel";
}

}  // namespace mortar
