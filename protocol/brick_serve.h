// What a node knows that sends bricks to others: who asked for what, as long as nothing was sent.
//
//   a request                                   | becomes
//   --------------------------------------------+-----------------------------------------------
//   of a brick that is not here, or is private  | NOT_FOUND
//   that begins or ends outside of the brick    | INVALID_ARGUMENT
//   of one more node than kBrickReadersMax      | RESOURCE_EXHAUSTED
//   of a node that has asked for kBrickWindow   | RESOURCE_EXHAUSTED
//   pieces which were not sent yet              |
//   otherwise                                   | waits its turn; a job reads it, the loop sends it
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/clock.h"
#include "common/ring_queue.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace mortar {

struct BrickReader {
  NodeId node;
  int waiting = 0;  // requests
  Time asked{};     // the last
};

struct WaitingRead {
  NodeId to;
  BrickRequest request;
  uint64_t total = 0;  // bytes of the brick
};

struct ServeCounters {
  uint64_t chunks = 0;  // sent
  uint64_t bytes = 0;
  uint64_t refused = 0;
};

struct ServeState {
  std::vector<BrickReader> readers;  // at most kBrickReadersMax
  RingQueue<WaitingRead> waiting;    // at most kBrickWindow of each
  std::optional<WaitingRead> reading;
  ServeCounters counters;
};

// `total`: of the brick, nothing when it is not here. An answer that says no, or nothing: it waits.
std::optional<BrickChunk> Ask(ServeState& state, Time now, NodeId from, const BrickRequest& request,
                              std::optional<uint64_t> total);
// The next one to be read, when none is.
const WaitingRead* StartRead(ServeState& state);
// It was, into `bytes`, or why not: what to send. Why not is this node's concern, and names its
// files: whoever asked hears that it could not be read.
Outgoing EndRead(ServeState& state, const absl::Status& status, std::vector<uint8_t> bytes);

}  // namespace mortar
