#include "protocol/transport.h"

#include <algorithm>

namespace mortar {

void LinkTable::Count(NodeId to, bool sent, std::optional<size_t> frame_bytes, int rows) {
  auto link = std::ranges::find(links_, to, &LinkCounters::to);
  if (link == links_.end()) link = links_.insert(link, {.to = to});
  if (!sent) {
    ++link->refused;
  } else if (!frame_bytes) {
    ++link->others;
  } else {
    ++link->frames;
    link->frame_bytes += *frame_bytes;
    link->rows += static_cast<uint64_t>(rows);
  }
}

}  // namespace mortar
