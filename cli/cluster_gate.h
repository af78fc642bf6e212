// cluster --listen: where an MPI job is open to edges and workers outside of it. Rank 0 listens
// over ZeroMQ as a coordinator does, and is a relay between what comes there and its ranks.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/refusal_log.h"
#include "common/loop_driver.h"
#include "coordinator/loop.h"
#include "protocol/mpi_transport.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// UsageError where flags that say how outside nodes are let in stand without --listen, on the
// command line or in the configuration file. Set in the environment they mean other commands.
absl::Status CheckGateFlags(const Settings& settings);

class ClusterGate {
 public:
  // --listen, --keys, --allow-list, --insecure: as at a coordinator, with the same errors. It
  // listens from now on, and hears nobody before Join. The context and `pool` outlive it.
  static absl::StatusOr<std::unique_ptr<ClusterGate>> Open(const CommandContext& context,
                                                           const ModelId& model, RowsPool& pool);
  ~ClusterGate();

  // Of the coordinator, which signs routes with it; null: nodes have no keys.
  const KeyPair* keys() const { return keys_ ? &*keys_ : nullptr; }
  std::string endpoint() const { return outside_->endpoint(); }

  // The coordinator's transport: to the job's nodes over `inside`, its own end there, to others
  // through this gate once it has joined. Both outlive it.
  std::unique_ptr<Transport> Around(Transport& inside, MpiNetwork& network);
  // From now on nodes outside are heard, and what is for none of the job's goes to them.
  void Join(MpiNetwork& network);

  // What rank 0 does while it has nothing to do: as IdleOnMpi, and it wakes for nodes outside.
  Idling Idle(MpiNetwork& network, Duration awake_max);
  // Often: the log of what was refused.
  void Tick(const CoordinatorState& coordinator);
  // Tells the edges outside why the job is over, which nobody would take over. The last thing that
  // the gate does.
  void SayEnd(const CoordinatorState& coordinator, const std::string& why);

 private:
  class Ranks;
  class Outside;
  class BothWays;
  ClusterGate(const CommandContext& context, std::optional<KeyPair> keys,
              std::unique_ptr<Ranks> ranks, std::unique_ptr<ZmqTransport> outside);
  Counts Refusals() const;

  const CommandContext& context_;
  const std::optional<KeyPair> keys_;
  std::unique_ptr<Ranks> ranks_;  // as nodes outside reach them
  std::unique_ptr<ZmqTransport> outside_;
  std::unique_ptr<Outside> others_;  // as ranks reach them
  bool joined_ = false;
  uint64_t not_joined_ = 0;  // Hellos that the coordinator has refused
  std::optional<RefusalLog> refusals_;
};

}  // namespace mortar
