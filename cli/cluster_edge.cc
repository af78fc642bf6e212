#include "cli/cluster_edge.h"

#include <chrono>
#include <utility>

#include "cli/node_process.h"
#include "cli/rank_watch.h"
#include "cli/ready_wait.h"
#include "cli/route_figures.h"
#include "common/job_queue.h"
#include "coordinator/loop.h"
#include "edge/loop.h"
#include "protocol/mpi_muster.h"

namespace mortar {
namespace {

// A session that has ended gives its place back while the next one begins.
constexpr int kSessions = 2;
// MPI loses nothing, and a rank that stands still is noticed by its silence (kStatusAgeMax).
constexpr Duration kStepDeadline = std::chrono::hours(1);

// The edge goes first: its Hello, which needs no wire, names the model that workers must have.
class EdgeAndCoordinator final : public Loop {
 public:
  EdgeAndCoordinator(Edge& edge, Coordinator& coordinator)
      : edge_(edge), coordinator_(coordinator) {}
  bool Step() override {
    const bool edge_worked = edge_.Step();
    return coordinator_.Step() || edge_worked;
  }

 private:
  Edge& edge_;
  Coordinator& coordinator_;
};

}  // namespace

struct ClusterEdge::State {
  State(ClusterEdgeOptions o, const NodeParts& p, MpiNetwork& n)
      : options(std::move(o)), parts(p), network(n), watch(options.workers, kMusterSilenceMax) {}

  absl::Status Start();
  // One turn; the error is that of the job as a whole.
  absl::Status Turn();

  ClusterEdgeOptions options;
  NodeParts parts;
  MpiNetwork& network;
  SystemRandom random;
  PumpedJobs jobs;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Transport> coordinator_transport;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Transport> edge_transport;
  std::unique_ptr<Edge> edge;
  std::unique_ptr<EdgeAndCoordinator> loops;
  std::unique_ptr<LoopDriver> driver;
  RankWatch watch;
  RouteFigures figures;
  Duration compute{};  // of the last answer
};

absl::Status ClusterEdge::State::Start() {
  const SessionOptions& session = options.session;
  const ModelId model = ModelIdOf(parts.model, session.kv_type);
  coordinator_transport = network.Attach(kCoordinatorNode);
  edge_transport = network.Attach(NodeOfRank(0));
  CoordinatorOptions coordinator_options;
  coordinator_options.workers_expected = options.workers;
  coordinator_options.cut = session.cut;
  coordinator_options.measured = options.measured;
  coordinator_options.starter_reports = true;
  coordinator = std::make_unique<Coordinator>(
      coordinator_options,
      Coordinator::Parts{*coordinator_transport, parts.clock, random, parts.log});
  ASSIGN_OR_RETURN(engine, LoadEdgeEngine({parts.model, parts.kernels, parts.pool}, session.cut,
                                          {session.context, kSessions, session.kv_type,
                                           session.drafting.step_rows()}));
  EdgeOptions edge_options = EdgeOptionsOf(session, model, "edge");
  edge_options.step_deadline = kStepDeadline;
  SayEdgeBytes(parts.model, edge_options);
  ASSIGN_OR_RETURN(edge, Edge::Create(edge_options, {*edge_transport, parts.clock, jobs, parts.log,
                                                     *engine, *parts.model.tokenizer}));
  loops = std::make_unique<EdgeAndCoordinator>(*edge, *coordinator);
  driver = std::make_unique<LoopDriver>(*loops, &jobs, IdleOnMpi(network, options.awake_max),
                                        parts.clock);
  return WaitUntilReady(*coordinator,
                        {.model = model,
                         .front_layers = session.cut.front,
                         .back_layers = session.cut.back,
                         .positions_max = session.context},
                        parts.clock, [this] { return Turn(); });
}

absl::Status ClusterEdge::State::Turn() {
  driver->Turn(kIdleWaitMax);
  RETURN_IF_ERROR(network.failure());
  if (edge->state().phase == EdgePhase::kRefused) {
    return WithContext(edge->state().refusal, "the edge was refused");
  }
  // The nodes of workers are in the ranks that lead them.
  const auto leader_of = [this](int worker) { return options.ranks.LeaderOf(worker - 1); };
  const auto is_member = [&](int worker) {
    return FindMember(coordinator->state(), NodeOfRank(leader_of(worker))) != nullptr;
  };
  const auto missing = watch.Look(parts.clock.Now(), is_member);
  if (!missing) return absl::OkStatus();
  return Unavailable(
      options.describe(leader_of(missing->rank)) +
      (missing->had_joined
           ? " is gone, or has stood still for " + InSeconds(kStatusAgeMax)
           : " agreed to begin, and has not joined within " + InSeconds(kMusterSilenceMax)));
}

ClusterEdge::ClusterEdge(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClusterEdge::~ClusterEdge() = default;

absl::StatusOr<std::unique_ptr<ClusterEdge>> ClusterEdge::Start(const ClusterEdgeOptions& options,
                                                                const NodeParts& parts,
                                                                MpiNetwork& network) {
  auto state = std::make_unique<State>(options, parts, network);
  RETURN_IF_ERROR(state->Start());
  return std::unique_ptr<ClusterEdge>(new ClusterEdge(std::move(state)));
}

absl::StatusOr<Finished> ClusterEdge::Generate(GenerateRequest request, const AnswerSinks& sinks) {
  State& s = *state_;
  const auto on_routed = [&](const Routed& routed) {
    s.figures.Begin(routed.hops);
    return sinks.on_route(RouteOf(routed.hops, s.options.session.cut, s.parts.model));
  };
  const auto turn = [&] { return s.Turn(); };
  auto finished = RunToEnd(*s.edge, std::move(request), turn, on_routed, sinks);
  if (!finished.ok()) return finished;
  s.figures.Collect(*s.edge, s.parts.clock, [&] { (void)s.Turn(); });
  s.compute = finished->timings.compute;
  return finished;
}

std::vector<HopTraffic> ClusterEdge::Traffic() const {
  return state_->figures.Of(*state_->edge_transport, state_->compute);
}

Idling IdleOnMpi(MpiNetwork& network, Duration awake_max) {
  return {.sleep = [&network](Duration longest) { network.Wait(longest); }, .awake_max = awake_max};
}

}  // namespace mortar
