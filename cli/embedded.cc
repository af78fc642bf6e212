#include "cli/embedded.h"

#include <chrono>
#include <thread>

#include "cli/console.h"
#include "cli/cut.h"
#include "cli/node_parts.h"
#include "cli/ready_wait.h"
#include "cli/route_figures.h"
#include "common/job_queue.h"
#include "common/pump.h"
#include "common/random.h"
#include "coordinator/loop.h"
#include "edge/loop.h"
#include "engine/batch/engine.h"
#include "protocol/local_transport.h"
#include "worker/loop.h"

namespace mortar {
namespace {

// A session that has ended gives its place back while the next one begins.
constexpr int kSessions = 2;
// Within one process nothing is lost, and a slow machine may take its time over a chunk.
constexpr Duration kStepDeadline = std::chrono::hours(1);
// Between two looks when no loop has anything to do: waiting for a status, not for a token.
constexpr auto kIdle = std::chrono::microseconds(50);

}  // namespace

// One worker with what it alone uses.
struct WorkerNode {
  std::string name;
  PumpedJobs jobs;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Worker> worker;
};

struct Embedded::State {
  State(const EmbeddedOptions& o, const NodeParts& p)
      : options(o), parts(p), model(ModelIdOf(p.model, o.session.kv_type)) {}

  NodeCompute Compute() const { return {parts.model, parts.kernels, parts.pool}; }
  NodeEngineOptions EngineOptionsOf() const {
    return {options.session.context, kSessions, options.session.kv_type,
            options.session.drafting.step_rows()};
  }
  absl::Status AddEdge();
  void AddCoordinator();
  void AddWorker(int index);
  absl::Status CheckNobodyIsRefused() const;
  absl::Status WaitUntilReady();
  void Turn();

  EmbeddedOptions options;
  NodeParts parts;
  ModelId model;
  SystemRandom random;
  LocalNetwork network;
  Pump pump;

  std::unique_ptr<Transport> coordinator_transport;
  std::unique_ptr<Coordinator> coordinator;
  PumpedJobs edge_jobs;
  std::unique_ptr<Engine> edge_engine;
  std::unique_ptr<Transport> edge_transport;
  std::unique_ptr<Edge> edge;
  std::vector<std::unique_ptr<WorkerNode>> workers;
  RouteFigures figures;
  Duration compute{};  // of the last answer
};

absl::Status Embedded::State::AddEdge() {
  const LayerCut& cut = options.session.cut;
  ASSIGN_OR_RETURN(edge_engine, LoadEdgeEngine(Compute(), cut, EngineOptionsOf()));
  edge_transport = network.Attach(NewNodeId(random));
  EdgeOptions edge_options = EdgeOptionsOf(options.session, model, "edge");
  edge_options.step_deadline = kStepDeadline;
  ASSIGN_OR_RETURN(edge,
                   Edge::Create(edge_options, {*edge_transport, parts.clock, edge_jobs, parts.log,
                                               *edge_engine, *parts.model.tokenizer}));
  pump.Add(edge.get(), &edge_jobs);
  return absl::OkStatus();
}

void Embedded::State::AddCoordinator() {
  coordinator_transport = network.Attach(kCoordinatorNode);
  CoordinatorOptions coordinator_options;
  coordinator_options.workers_expected = options.workers;
  coordinator_options.sizes = options.sizes;
  coordinator_options.cut = options.session.cut;
  coordinator_options.starter_reports = true;
  coordinator = std::make_unique<Coordinator>(
      coordinator_options,
      Coordinator::Parts{*coordinator_transport, parts.clock, random, parts.log});
  pump.Add(coordinator.get(), nullptr);
}

void Embedded::State::AddWorker(int index) {
  auto node = std::make_unique<WorkerNode>();
  node->name = "worker-" + std::to_string(index + 1);
  node->transport = network.Attach(NewNodeId(random));
  WorkerOptions worker_options;
  worker_options.name = node->name;
  worker_options.model = model;
  worker_options.bricks = LayerBricksOf(parts.model.manifest);
  worker_options.sessions_max = kSessions;
  worker_options.rows_max = kNodeRowsMax;
  worker_options.starter_reports = true;
  node->worker = std::make_unique<Worker>(
      worker_options, Worker::Parts{*node->transport, parts.clock, node->jobs, parts.log,
                                    [this](const Placement& placement) {
                                      return LoadWorkerEngine(Compute(), placement,
                                                              EngineOptionsOf());
                                    }});
  pump.Add(node->worker.get(), &node->jobs);
  workers.push_back(std::move(node));
}

absl::Status Embedded::State::CheckNobodyIsRefused() const {
  if (PhaseOf(edge->state().coordinators) == Membership::kRefused) {
    return WithContext(RefusalOf(edge->state().coordinators), "the edge was refused");
  }
  for (const auto& node : workers) {
    const WorkerState& worker = node->worker->state();
    if (PhaseOf(worker.coordinators) != Membership::kRefused) continue;
    return WithContext(RefusalOf(worker.coordinators), node->name + " was refused");
  }
  return absl::OkStatus();
}

absl::Status Embedded::State::WaitUntilReady() {
  const RouteRequest probe{.model = model,
                           .front_layers = options.session.cut.front,
                           .back_layers = options.session.cut.back,
                           .positions_max = options.session.context};
  return mortar::WaitUntilReady(*coordinator, probe, parts.clock, [&] {
    Turn();
    return CheckNobodyIsRefused();
  });
}

void Embedded::State::Turn() {
  if (!pump.RunOnce()) std::this_thread::sleep_for(kIdle);
}

absl::StatusOr<EmbeddedOptions> ReadEmbeddedOptions(const Settings& settings,
                                                    const ModelConfig& config) {
  EmbeddedOptions options;
  ASSIGN_OR_RETURN(options.session, ReadSessionOptions(settings, config));
  ASSIGN_OR_RETURN(CutRequest cut, ReadCut(settings, config.n_layers));
  options.workers = cut.workers;
  options.sizes = std::move(cut.sizes);
  return options;
}

Embedded::Embedded(std::unique_ptr<State> state) : state_(std::move(state)) {}
Embedded::~Embedded() = default;

absl::StatusOr<std::unique_ptr<Embedded>> Embedded::Start(const EmbeddedOptions& options,
                                                          const NodeParts& parts) {
  auto state = std::make_unique<State>(options, parts);
  state->AddCoordinator();
  RETURN_IF_ERROR(state->AddEdge());
  for (int i = 0; i < options.workers; ++i) state->AddWorker(i);
  RETURN_IF_ERROR(state->WaitUntilReady());
  return std::unique_ptr<Embedded>(new Embedded(std::move(state)));
}

absl::StatusOr<Finished> Embedded::Generate(GenerateRequest request, const AnswerSinks& sinks) {
  State& s = *state_;
  const auto turn = [&] {
    s.Turn();
    return absl::OkStatus();
  };
  const auto on_routed = [&](const Routed& routed) {
    s.figures.Begin(routed.hops);
    return sinks.on_route(RouteOf(routed, s.options.session.cut, s.parts.model));
  };
  auto finished = RunToEnd(*s.edge, std::move(request), turn, on_routed, sinks);
  if (!finished.ok()) return finished;
  s.figures.Collect(*s.edge, s.parts.clock, [&] { s.Turn(); });
  s.compute = finished->timings.compute;
  return finished;
}

std::vector<HopTraffic> Embedded::Traffic() const {
  return state_->figures.Of(*state_->edge_transport, state_->compute);
}

}  // namespace mortar
