#include "cli/cluster_root.h"

#include <utility>

#include "cli/console.h"
#include "cli/node_process.h"
#include "cli/ready_wait.h"
#include "protocol/mpi_muster.h"

namespace mortar {
namespace {

// The edge goes first: its Hello needs no wire.
class EdgeAndCoordinator final : public Loop {
 public:
  EdgeAndCoordinator(Loop* edge, Coordinator& coordinator)
      : edge_(edge), coordinator_(coordinator) {}
  bool Step() override {
    const bool edge_worked = edge_ != nullptr && edge_->Step();
    return coordinator_.Step() || edge_worked;
  }
  Duration Patience() const override {
    return edge_ == nullptr ? coordinator_.Patience() : edge_->Patience();
  }

 private:
  Loop* const edge_;
  Coordinator& coordinator_;
};

// Why the job is over, for people elsewhere.
std::string WhyOver(const absl::Status& why) {
  const int signal = InterruptSignal();
  if (signal == 0) return "the MPI job that serves this cluster is over: " + Message(why);
  return "the MPI job that serves this cluster was ended by signal " + std::to_string(signal) +
         ": somebody stopped it, or mpirun did because a rank was lost";
}

}  // namespace

ClusterRoot::ClusterRoot(ClusterRootOptions options, Parts parts)
    : options_(std::move(options)), parts_(parts), watch_(options_.workers, kMusterSilenceMax) {
  inside_ = parts_.network.Attach(kCoordinatorNode);
  if (open()) both_ = parts_.gate->Around(*inside_, parts_.network);
  CoordinatorOptions coordinator;
  coordinator.workers_expected = options_.workers;
  coordinator.cut = options_.cut;
  coordinator.model = options_.model;
  coordinator.measured = options_.measured;
  coordinator.starter_reports = true;
  for (int hop = 0; hop < options_.workers; ++hop) {
    coordinator.steady.push_back(NodeOfRank(options_.ranks.LeaderOf(hop)));
  }
  coordinator_ = std::make_unique<Coordinator>(
      std::move(coordinator),
      Coordinator::Parts{open() ? *both_ : *inside_, parts_.clock, random_, parts_.log,
                         open() ? parts_.gate->keys() : nullptr});
  Drive(nullptr, nullptr);
}

ClusterRoot::~ClusterRoot() = default;

void ClusterRoot::Drive(Loop* edge, PumpedJobs* jobs) {
  driver_.reset();
  loops_ = std::make_unique<EdgeAndCoordinator>(edge, *coordinator_);
  Idling idling = open() ? parts_.gate->Idle(parts_.network, options_.awake_max)
                         : IdleOnMpi(parts_.network, options_.awake_max);
  driver_ = std::make_unique<LoopDriver>(*loops_, jobs, std::move(idling), parts_.clock);
}

absl::Status ClusterRoot::Turn() {
  driver_->Turn(kIdleWaitMax);
  RETURN_IF_ERROR(parts_.network.failure());
  if (open()) parts_.gate->Tick(coordinator_->state());
  // The nodes of workers are in the ranks that lead them.
  const auto leader_of = [this](int worker) { return options_.ranks.LeaderOf(worker - 1); };
  const auto is_member = [&](int worker) {
    return FindMember(coordinator_->state(), NodeOfRank(leader_of(worker))) != nullptr;
  };
  const auto missing = watch_.Look(parts_.clock.Now(), is_member);
  if (!missing) return absl::OkStatus();
  return Unavailable(
      options_.describe(leader_of(missing->rank)) +
      (missing->had_joined
           ? " is gone, or has stood still for " + InSeconds(kStatusAgeMax)
           : " agreed to begin, and has not joined within " + InSeconds(kMusterSilenceMax)));
}

absl::Status ClusterRoot::WaitUntilOpen(const std::function<absl::Status()>& turn) {
  const RouteRequest probe{.model = options_.model,
                           .front_layers = options_.cut.front,
                           .back_layers = options_.cut.back,
                           .positions_max = options_.context};
  RETURN_IF_ERROR(WaitUntilReady(*coordinator_, probe, parts_.clock, turn));
  if (open()) parts_.gate->Join(parts_.network);
  return absl::OkStatus();
}

absl::Status ClusterRoot::Serve(const std::function<absl::Status()>& turn) {
  while (true) {
    RETURN_IF_ERROR(CheckInterrupted());
    RETURN_IF_ERROR(turn());
  }
}

void ClusterRoot::SayEnd(const absl::Status& why) {
  if (open()) parts_.gate->SayEnd(coordinator_->state(), WhyOver(why));
}

Idling IdleOnMpi(MpiNetwork& network, Duration awake_max) {
  return {.sleep = [&network](Duration longest) { network.Wait(longest); }, .awake_max = awake_max};
}

}  // namespace mortar
