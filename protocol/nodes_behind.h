// Nodes that a transport does not reach itself, and another one of the same process does: rank 0 of
// an MPI job is a relay between its ranks and the nodes outside, and each of its two transports
// hands on to the other what is not its own.
#pragma once

#include "common/status.h"
#include "protocol/messages.h"

namespace mortar {

// Used by the thread of both transports.
class NodesBehind {
 public:
  virtual ~NodesBehind() = default;

  // Whether the id belongs there, whether or not a node has it now: nobody else may.
  virtual bool Owns(NodeId node) const = 0;
  // Hands a message on in its sender's name. RESOURCE_EXHAUSTED when what waits for `to` has
  // reached its bound, NOT_FOUND when there is no such node, INVALID_ARGUMENT when the message is
  // longer than a message may be as it is written for `to`; it is dropped then.
  virtual absl::Status Forward(NodeId from, NodeId to, AnyMessage message) = 0;
};

}  // namespace mortar
