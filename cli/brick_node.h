// What a node sends bricks with, and fetches those with that it lacks: a shelf, a thread for its
// files, and the exchange between the node's loop and its transport.
#pragma once

#include <memory>
#include <optional>

#include "cli/hosted_model.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/thread_jobs.h"
#include "engine/brick/shelf.h"
#include "protocol/brick_exchange.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// Of a model that this node has as a file. Null, with a line in the log, for a model that has no
// outline: this node then sends no bricks.
std::unique_ptr<BrickShelf> ShelfOf(const HostedModel& model, const Logger& log);

class BrickNode {
 public:
  // All of these outlive the node.
  struct Parts {
    ZmqTransport& transport;
    BrickStore& store;
    const Clock& clock;
    const Logger& log;
  };
  explicit BrickNode(const Parts& parts)
      : jobs_([transport = &parts.transport] { transport->Wake(); }),
        exchange_({parts.transport, parts.store, parts.clock, jobs_, parts.log,
                   parts.transport.coordinators()}) {}

  // What the node's loop has for a transport.
  BrickExchange& exchange() { return exchange_; }
  void LogTraffic(const Logger& log) const;

 private:
  ThreadJobs jobs_;
  BrickExchange exchange_;
};

}  // namespace mortar
