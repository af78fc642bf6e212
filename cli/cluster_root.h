// Rank 0 of an MPI job, but for its edge: the coordinator, a watch over the ranks, and, where the
// job is open, the gate to nodes outside.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/cluster_gate.h"
#include "cli/cluster_shards.h"
#include "cli/rank_watch.h"
#include "common/clock.h"
#include "common/job_queue.h"
#include "common/loop_driver.h"
#include "common/random.h"
#include "coordinator/loop.h"
#include "protocol/mpi_transport.h"

namespace mortar {

struct ClusterRootOptions {
  int workers = 1;
  HopRanks ranks;         // which rank each worker's node is in
  bool measured = false;  // layers are placed by speed
  Duration awake_max{};   // between jobs (common/loop_driver.h)
  ModelId model;
  LayerCut cut;
  int context = 4096;                             // positions that every worker must have room for
  std::function<std::string(int rank)> describe;  // for errors: which process, where
};

class ClusterRoot {
 public:
  // All of these outlive the root. `gate` is null where the job is not open.
  struct Parts {
    const Clock& clock;
    const Logger& log;
    MpiNetwork& network;
    ClusterGate* gate;
  };
  ClusterRoot(ClusterRootOptions options, Parts parts);
  ~ClusterRoot();

  // From now on Turn turns `edge` too, before the coordinator, and runs its jobs; null: no more.
  // Both outlive what is driven.
  void Drive(Loop* edge, PumpedJobs* jobs);

  // One turn. The error is that of the job as a whole: a rank that had joined is gone or stands
  // still, or has not joined within ten seconds.
  absl::Status Turn();
  // Turns until every worker is ready, for ten minutes, and opens the gate then. Cancelled by a
  // signal.
  absl::Status WaitUntilOpen(const std::function<absl::Status()>& turn);
  // Turns until a signal comes, which is Cancelled, or the job ends.
  absl::Status Serve(const std::function<absl::Status()>& turn);
  // Tells edges outside why the job is over.
  void SayEnd(const absl::Status& why);

  MpiNetwork& network() { return parts_.network; }
  bool open() const { return parts_.gate != nullptr; }
  bool sealed() const { return open() && parts_.gate->keys() != nullptr; }

 private:
  const ClusterRootOptions options_;
  const Parts parts_;
  SystemRandom random_;
  std::unique_ptr<Transport> inside_;  // the coordinator's end of MPI
  std::unique_ptr<Transport> both_;    // with the gate; null without one
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Loop> loops_;
  std::unique_ptr<LoopDriver> driver_;
  RankWatch watch_;
};

// What a rank with jobs does between them. The network outlives it.
Idling IdleOnMpi(MpiNetwork& network, Duration awake_max);

}  // namespace mortar
