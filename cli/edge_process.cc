#include "cli/edge_process.h"

#include <optional>
#include <utility>

#include "cli/brick_node.h"
#include "cli/node_process.h"
#include "cli/refusal_log.h"
#include "cli/route_figures.h"
#include "common/job_queue.h"
#include "common/loop_driver.h"
#include "common/random.h"
#include "common/thread_jobs.h"
#include "edge/loop.h"
#include "protocol/zmq_transport.h"

namespace mortar {

struct EdgeProcess::State {
  State(EdgeProcessOptions o, const NodeParts& p) : options(std::move(o)), parts(p) {}

  absl::Status Start();
  void Turn() {
    driver->Turn(kIdleWaitMax);
    refusals->Tick();
  }

  EdgeProcessOptions options;
  NodeParts parts;
  SystemRandom random;
  RowsPool pool;  // of rows that come in
  PumpedJobs jobs;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ZmqTransport> transport;
  std::unique_ptr<BrickShelf> shelf;  // null: this node sends no bricks
  std::optional<BrickNode> bricks;
  std::optional<ThreadJobs> loading;  // where layers may be taken over
  std::unique_ptr<Edge> edge;
  std::unique_ptr<LoopDriver> driver;
  std::optional<RefusalLog> refusals;
  RouteFigures figures;
  Duration compute{};  // of the last answer
};

absl::Status EdgeProcess::State::Start() {
  const SessionOptions& session = options.session;
  const ModelId model = ModelIdOf(parts.model, session.kv_type);
  // Dialled before the engine is loaded: the one goes on while the other does.
  ZmqOptions link = options.link;
  link.card = {.role = Role::kEdge, .name = options.name, .model = model};
  ChooseId(link, random);
  ASSIGN_OR_RETURN(transport,
                   ZmqTransport::Create(std::move(link), {parts.clock, parts.log, pool}));
  constexpr int kSessions = 2;  // one ends while the next begins
  const NodeCompute here{parts.model, parts.kernels, parts.pool};
  NodeEngineOptions sessions{session.context, kSessions, session.kv_type,
                             session.drafting.step_rows()};
  ASSIGN_OR_RETURN(engine, LoadEdgeEngine(here, session.cut, sessions));
  EdgeOptions edge_options = EdgeOptionsOf(session, model, options.name);
  SayEdgeBytes(parts.model, edge_options);
  edge_options.coordinators = static_cast<int>(options.link.upstreams.size());
  edge_options.has_relay = !options.link.relay.empty();
  edge_options.sealed = options.link.keys.has_value();
  shelf = ShelfOf(parts.model, parts.log);
  if (shelf != nullptr) {
    bricks.emplace(BrickNode::Parts{*transport, *shelf, parts.clock, parts.log});
    edge_options.outline = shelf->outline();
  }
  Transport& outer = bricks ? static_cast<Transport&>(bricks->exchange()) : *transport;
  const KeyPair* keys = options.link.keys ? &*options.link.keys : nullptr;
  sessions.sessions = edge_options.n_parallel;  // what has ended has no pages of the middle
  LoadMiddle load = MiddleLoaderOf(options.take_over, here, session.cut, sessions, *engine);
  if (load != nullptr) loading.emplace([this] { transport->Wake(); });
  ASSIGN_OR_RETURN(edge, Edge::Create(edge_options, {outer, parts.clock, jobs, parts.log, *engine,
                                                     *parts.model.tokenizer, keys, std::move(load),
                                                     loading ? &*loading : nullptr}));
  driver = std::make_unique<LoopDriver>(
      *edge, &jobs, IdleOn(*transport, options.awake_max, parts.clock), parts.clock);
  refusals.emplace(parts.log, parts.clock, [this] {
    return Joined(RefusalsOf(transport->counters()), RefusalsOf(edge->state().counters));
  });
  return WaitForCoordinator(*transport, parts.clock, [this] { Turn(); });
}

EdgeProcess::EdgeProcess(std::unique_ptr<State> state) : state_(std::move(state)) {}

EdgeProcess::~EdgeProcess() {
  SayGoodbye(*state_->transport, "it has its answer");
  LogTraffic(*state_->transport, state_->parts.log);
  state_->refusals->End();
  if (state_->bricks) state_->bricks->LogTraffic(state_->parts.log);
}

absl::StatusOr<std::unique_ptr<EdgeProcess>> EdgeProcess::Start(const EdgeProcessOptions& options,
                                                                const NodeParts& parts) {
  auto state = std::make_unique<State>(options, parts);
  RETURN_IF_ERROR(state->Start());
  return std::unique_ptr<EdgeProcess>(new EdgeProcess(std::move(state)));
}

absl::StatusOr<Finished> EdgeProcess::Generate(GenerateRequest request, const AnswerSinks& sinks) {
  State& s = *state_;
  const auto on_routed = [&](const Routed& routed) -> absl::Status {
    s.figures.Begin(routed.hops);
    return sinks.on_route(RouteOf(routed, s.options.session.cut, s.parts.model));
  };
  const auto turn = [&] {
    s.Turn();
    return absl::OkStatus();
  };
  auto finished = RunToEnd(*s.edge, std::move(request), turn, on_routed, sinks);
  if (!finished.ok()) return finished;
  s.figures.Collect(*s.edge, s.parts.clock, [&] { s.Turn(); });
  s.compute = finished->timings.compute;
  return finished;
}

std::vector<HopTraffic> EdgeProcess::Traffic() const {
  return state_->figures.Of(*state_->transport, state_->compute);
}

}  // namespace mortar
