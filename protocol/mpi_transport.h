// Nodes in the ranks of one MPI job.
//
// Every rank reaches every other, from the first moment to the last, so there are no links to open
// and none to lose: a rank that dies takes the job with it. Rank 0 holds two nodes, the coordinator
// and the edge, which share its end of MPI; every other rank holds a worker, or shares the layers
// of one in a rank before it and holds no node. Which rank a node is in follows from its id.
//
// A message is one part, or two for the rows of a frame, as over ZeroMQ (docs/protocol.md). Parts
// of one rank keep their order, and the tag says which they are:
//
//   tag            | part
//   ---------------+---------------------------------------------------------------
//   kMpiHead       | a message of one part
//   kMpiHeadOfTwo  | the head of a frame; the rank's next part is its rows
//   kMpiRows       | rows
//   kMpiEnd        | nothing follows: the sender leaves the job
//
// All ranks run the same program, so whatever breaks the protocol is a fault that would come again:
// it ends the job, with the rank's number and what came. What a node at another rank says of a
// session is checked by the loops, as over any transport.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "common/clock.h"
#include "protocol/limits.h"
#include "protocol/mpi_plugin.h"
#include "protocol/nodes_behind.h"
#include "protocol/rows.h"
#include "protocol/shard_order.h"
#include "protocol/transport.h"

namespace mortar {

inline constexpr int kMpiHead = 1;
inline constexpr int kMpiHeadOfTwo = 2;
inline constexpr int kMpiRows = 3;
inline constexpr int kMpiEnd = 4;

// A route's workers, each of as many ranks as share its layers, and rank 0.
inline constexpr int kMpiRanksMax = kHopsMax * kShardsMax + 1;

// OpenMPI wakes nobody: whoever waits looks, and sleeps between two looks for a sixteenth of the
// time that nothing has come. So waiting makes an answer later by that much at most, and a rank
// that has been idle for 16 ms looks a thousand times a second, some 2 % of a core.
inline constexpr Duration kMpiNapMin = std::chrono::microseconds(20);
inline constexpr Duration kMpiNapMax = std::chrono::milliseconds(1);
Duration MpiNap(Duration quiet);

// How long a rank that leaves waits for the others, which may have a job to end: a chunk of
// prefill.
inline constexpr Duration kMpiLeaveMax = std::chrono::seconds(10);

// The edge in rank 0, the worker in any other. The coordinator is kCoordinatorNode.
constexpr NodeId NodeOfRank(int rank) { return {kReservedNodeIds + static_cast<uint64_t>(rank)}; }

// One rank's end of the job. Used by one thread at a time, with a lock or fence between two.
class MpiNetwork {
 public:
  // The job as MpiWorld joined it; `size` is at most kMpiRanksMax. Rows that come are n_embd wide.
  // All of these outlive the network.
  struct Parts {
    const MpiFunctions& mpi;
    void* job;
    const Clock& clock;
    RowsPool& pool;
    // Held for each call of MPI where another thread makes calls too; null: none does.
    std::mutex* calls = nullptr;
    // Nodes outside the job speak with those of its ranks, through rank 0: what they say comes in
    // their names, and what has no place here is theirs. The same at all ranks.
    bool open = false;
    // Of so many neighbours behind rank 0 the first alone has a node (--tp).
    int ranks_per_node = 1;
  };
  MpiNetwork(int rank, int size, int n_embd, Parts parts);
  ~MpiNetwork();

  // The transport of a node that belongs in this rank and has none yet (checked): the network
  // outlives it. All are there before the first message is looked for. `key`: that this rank says
  // it has, in each Hello of the node; empty: none.
  std::unique_ptr<Transport> Attach(NodeId self, const PublicKey& key = {});

  // Sleeps until a message has come for a node here, Over or failure() changes, or `longest` is
  // over. After Poll, on the thread that made the network. `nap`, where there is more to wait for
  // than MPI, sleeps for so long at most and says whether something came.
  using Nap = std::function<bool(Duration longest)>;
  void Wait(Duration longest, const Nap& nap = {});

  // --- Rank 0 of an open job ---
  // Where from now on what is for no node of the job goes. It outlives what is sent.
  void Open(NodesBehind& outside);
  // Whether the id is that of a rank's node, or the coordinator's.
  bool Owns(NodeId node) const;
  // To a node of the job, in the name of one outside. As NodesBehind::Forward.
  absl::Status Forward(NodeId from, NodeId to, AnyMessage message);

  // OK, or what ended the job for this rank: MPI's own error, or a rank that broke the protocol.
  const absl::Status& failure() const;
  bool over() const;  // rank 0 leaves the job, and so should this one

  // Says so to all ranks, and waits until each has said the same and all messages have left; what
  // comes is dropped. Unavailable, with the rank, after kMpiLeaveMax; what `check` says before.
  absl::Status Leave(const std::function<absl::Status()>& check);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace mortar
