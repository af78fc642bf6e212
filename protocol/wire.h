// Messages as bytes: Cap'n Proto for the encoding alone (schema/wire.capnp), without its event
// loop. The only files that include Cap'n Proto are those behind this header: wire_read.cc,
// wire_values.h and wire_write.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/status.h"
#include "protocol/messages.h"

namespace mortar {

// A message with both of its ends. The rows of an activation travel beside it, as a part of
// their own.
struct WireMessage {
  NodeId from;
  NodeId to;
  AnyMessage message;
};

// Encodes into memory of its own, used again for the next message: a frame allocates nothing.
// Texts longer than their bound are cut. Not thread-safe.
class WireWriter {
 public:
  WireWriter();
  ~WireWriter();

  // Valid until the next call. Needs: the message keeps the bounds of limits.h (CHECKed where a
  // larger one could not be read again).
  std::span<const uint64_t> Write(NodeId from, NodeId to, const AnyMessage& message);
  // The same of a message that somebody else wrote: fewer bytes can say it than these, since fields
  // of a list's elements may be left out. InvalidArgument, with both sizes, when it is longer than
  // kMessageBytesMax here.
  absl::StatusOr<std::span<const uint64_t>> Rewrite(NodeId from, NodeId to,
                                                    const AnyMessage& message);

 private:
  std::vector<uint64_t> scratch_;  // zeroed; the first segment of a message
  std::vector<uint64_t> out_;
};

// Reads everything of a message at once, so that nothing is found broken later.
// InvalidArgument, with the field and the reason, for whatever the schema or a bound forbids.
// `words` is aligned, as its type says: ZeroMQ's own buffers are not.
absl::StatusOr<WireMessage> ReadMessage(std::span<const uint64_t> words);

// The two ends alone: all that a relay reads.
struct WireEnds {
  NodeId from;
  NodeId to;
};
absl::StatusOr<WireEnds> ReadEnds(std::span<const uint64_t> words);

}  // namespace mortar
