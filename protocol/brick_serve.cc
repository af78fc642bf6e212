#include "protocol/brick_serve.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

absl::Status Check(const BrickRequest& request, std::optional<uint64_t> total) {
  if (!total) return NotFound("this node has no public brick of that digest");
  if (request.offset < *total && request.length <= *total - request.offset) {
    return absl::OkStatus();
  }
  return InvalidArgument(std::to_string(request.length) + " bytes at " +
                         std::to_string(request.offset) + " of a brick of " +
                         std::to_string(*total));
}

// The place of whoever asks; null when others have all.
BrickReader* ReaderOf(ServeState& s, Time now, NodeId node) {
  const auto known = std::ranges::find(s.readers, node, &BrickReader::node);
  if (known != s.readers.end()) return &*known;
  std::erase_if(s.readers, [&](const BrickReader& reader) {
    return reader.waiting == 0 && now - reader.asked > kBrickReaderAge;
  });
  if (s.readers.size() >= kBrickReadersMax) return nullptr;
  s.readers.push_back({.node = node});
  return &s.readers.back();
}

}  // namespace

std::optional<BrickChunk> Ask(ServeState& s, Time now, NodeId from, const BrickRequest& request,
                              std::optional<uint64_t> total) {
  const auto refuse = [&](absl::Status why) {
    ++s.counters.refused;
    return BrickChunk{.digest = request.digest, .offset = request.offset, .status = std::move(why)};
  };
  // Of an outline whoever asks does not know the size, and takes what there is.
  BrickRequest within = request;
  if (total && request.offset < *total && *total <= kOutlineBytesMax) {
    within.length =
        static_cast<uint32_t>(std::min<uint64_t>(request.length, *total - request.offset));
  }
  if (absl::Status fits = Check(within, total); !fits.ok()) return refuse(std::move(fits));
  BrickReader* reader = ReaderOf(s, now, from);
  if (reader == nullptr) {
    return refuse(ResourceExhausted("this node sends bricks to " +
                                    std::to_string(kBrickReadersMax) + " others"));
  }
  reader->asked = now;
  if (reader->waiting >= kBrickWindow) {
    return refuse(ResourceExhausted(std::to_string(reader->waiting) + " requests wait already"));
  }
  ++reader->waiting;
  s.waiting.push_back({.to = from, .request = within, .total = *total});
  return std::nullopt;
}

const WaitingRead* StartRead(ServeState& s) {
  if (s.reading || s.waiting.empty()) return nullptr;
  s.reading = s.waiting.pop_front();
  return &*s.reading;
}

Outgoing EndRead(ServeState& s, const absl::Status& status, std::vector<uint8_t> bytes) {
  CHECK(s.reading.has_value());
  const WaitingRead read = *std::exchange(s.reading, std::nullopt);
  const auto reader = std::ranges::find(s.readers, read.to, &BrickReader::node);
  CHECK(reader != s.readers.end() && reader->waiting > 0);
  --reader->waiting;
  BrickChunk chunk{.digest = read.request.digest, .offset = read.request.offset};
  if (status.ok()) {
    chunk.total = read.total;
    chunk.bytes = std::move(bytes);
    ++s.counters.chunks;
    s.counters.bytes += chunk.bytes.size();
  } else {
    chunk.status = absl::Status(status.code(), "this node cannot read the brick");
    ++s.counters.refused;
  }
  return {.to = read.to, .message = std::move(chunk)};
}

}  // namespace mortar
