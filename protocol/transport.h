// How messages leave and reach one node. Local queues, ZeroMQ and MPI have this one interface.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "protocol/messages.h"

namespace mortar {

struct Incoming {
  NodeId from;
  AnyMessage message;
};

// What one node has sent to one peer, counted once, here, as handed over.
struct LinkCounters {
  NodeId to;
  uint64_t frames = 0;       // activations, empty answers included
  uint64_t frame_bytes = 0;  // their envelopes, rows and what the transport adds
  uint64_t rows = 0;         // of these frames: positions that crossed
  uint64_t others = 0;       // all other messages
  uint64_t refused = 0;      // not sent: the queue was full, or the peer is not there
};

// Those of a node whose peers are few and stay.
class LinkTable {
 public:
  // What became of a message for `to`. `frame_bytes`: of a frame of `rows` rows; absent for any
  // other.
  void Count(NodeId to, bool sent, std::optional<size_t> frame_bytes, int rows);
  const std::vector<LinkCounters>& links() const { return links_; }

 private:
  std::vector<LinkCounters> links_;
};

// Used by one thread, the one of the node's loop.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual NodeId self() const = 0;
  // Queues a message. RESOURCE_EXHAUSTED when what waits for this peer has reached its bound,
  // NOT_FOUND when there is no such peer; the message is dropped then. OK is no promise that
  // it arrives.
  virtual absl::Status Send(NodeId to, AnyMessage message) = 0;
  // The next message for this node, if any. Messages of one peer keep their order.
  virtual std::optional<Incoming> Poll() = 0;
  virtual std::vector<LinkCounters> Links() const = 0;
  // What a frame counts: its envelope, its rows and what the transport adds.
  virtual size_t BytesOf(const Activation& frame) const = 0;
  // Where this node can be dialled; empty: nowhere, or it need not be.
  virtual std::string endpoint() const = 0;
  // Where a node listens: it is dialled, and reached directly once it has answered. A transport
  // whose nodes reach one another anyway does nothing.
  virtual void Introduce(const Introduction& peer) = 0;
};

}  // namespace mortar
