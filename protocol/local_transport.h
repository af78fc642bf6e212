// Nodes in one process: each has an inbox, and rows are handed over without a copy.
#pragma once

#include <memory>

#include "protocol/limits.h"
#include "protocol/transport.h"

namespace mortar {

struct LocalNetworkOptions {
  size_t queue_bytes_max = kQueueBytesPerPeerMax;        // from one node to one other
  size_t queue_messages_max = kQueueMessagesPerPeerMax;  // from one node to one other
};

// Joins transports. Thread-safe: the nodes may live on threads of their own.
class LocalNetwork {
 public:
  explicit LocalNetwork(LocalNetworkOptions options = {});
  ~LocalNetwork();

  // The transport of node `self`, whose id nobody else on the network has (checked). When it
  // is destroyed the node is gone, with what waited for it. May outlive the network object.
  std::unique_ptr<Transport> Attach(NodeId self);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace mortar
