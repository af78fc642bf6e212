#include "cli/brick_node.h"

#include <utility>
#include <vector>

#include "engine/brick/outline.h"
#include "protocol/limits.h"

namespace mortar {

std::unique_ptr<BrickShelf> ShelfOf(const HostedModel& model, const Logger& log) {
  auto outline = OutlineOf(*model.file, model.manifest, kOutlineBytesMax);
  if (outline.ok()) {
    return std::make_unique<BrickShelf>(model.file, model.manifest, *std::move(outline));
  }
  log.Info("sends_no_bricks", {{"why", Message(outline.status())}});
  return nullptr;
}

void BrickNode::LogTraffic(const Logger& log) const {
  const ServeCounters& served = exchange_.served();
  const FetchCounters& fetched = exchange_.fetched();
  log.Info("brick_traffic", {{"sent_chunks", served.chunks},
                             {"sent_bytes", served.bytes},
                             {"refused_requests", served.refused},
                             {"fetched", fetched.fetched},
                             {"fetched_bytes", fetched.bytes},
                             {"resumed_bytes", fetched.resumed},
                             {"here", fetched.here},
                             {"refused", fetched.refused},
                             {"unexpected", fetched.unexpected}});
}

}  // namespace mortar
