#include "cli/edge_process.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "cli/node_process.h"
#include "common/job_queue.h"
#include "common/loop_driver.h"
#include "common/random.h"
#include "edge/loop.h"
#include "protocol/zmq_transport.h"

namespace mortar {
namespace {

// How long an answer's figures wait for what its hops sent on.
constexpr Duration kTotalsWaitMax = std::chrono::seconds(1);

}  // namespace

struct EdgeProcess::State {
  State(EdgeProcessOptions o, const NodeParts& p) : options(std::move(o)), parts(p) {}

  absl::Status Start();
  void Turn() { driver->Turn(kIdleWaitMax); }
  void WaitForTotals(Time now);

  EdgeProcessOptions options;
  NodeParts parts;
  SystemRandom random;
  RowsPool pool;  // of rows that come in
  PumpedJobs jobs;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ZmqTransport> transport;
  std::unique_ptr<Edge> edge;
  std::unique_ptr<LoopDriver> driver;
  std::vector<Hop> hops;      // of the newest route
  std::vector<Ended> totals;  // of hops, index for index
};

absl::Status EdgeProcess::State::Start() {
  const SessionOptions& session = options.session;
  const ModelId model = ModelIdOf(parts.model);
  // Dialled before the engine is loaded: the one goes on while the other does.
  ASSIGN_OR_RETURN(
      transport,
      ZmqTransport::Create({.self = NewNodeId(random),
                            .card = {.role = Role::kEdge, .name = options.name, .model = model},
                            .upstream = options.coordinator,
                            .relay = options.relay,
                            .direct = options.direct,
                            .insecure = options.insecure},
                           {parts.clock, parts.log, pool}));
  constexpr int kSessions = 2;  // one ends while the next begins
  ASSIGN_OR_RETURN(engine, LoadEdgeEngine({parts.model, parts.kernels, parts.pool}, session.cut,
                                          {session.context, kSessions, session.kv_type}));
  EdgeOptions edge_options;
  edge_options.name = options.name;
  edge_options.model = model;
  edge_options.front_layers = session.cut.front;
  edge_options.back_layers = session.cut.back;
  edge_options.show_tokens_to_cloud = session.show_tokens_to_cloud;
  edge_options.has_relay = !options.relay.empty();
  edge_options.rows_max = kNodeRowsMax;
  ASSIGN_OR_RETURN(edge, Edge::Create(edge_options, {*transport, parts.clock, jobs, parts.log,
                                                     *engine, *parts.model.tokenizer}));
  driver = std::make_unique<LoopDriver>(*edge, &jobs,
                                        [this](Duration longest) { transport->Wait(longest); },
                                        options.awake_max);
  return WaitForCoordinator(*transport, parts.clock, [this] { Turn(); });
}

EdgeProcess::EdgeProcess(std::unique_ptr<State> state) : state_(std::move(state)) {}

EdgeProcess::~EdgeProcess() {
  SayGoodbye(*state_->transport, "it has its answer");
  LogTraffic(*state_->transport, state_->parts.log);
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
    s.hops = routed.hops;
    s.totals.assign(s.hops.size(), {});
    return sinks.on_route(RouteOf(s.hops, s.options.session.cut, s.parts.model));
  };
  auto finished = RunToEnd(*s.edge, std::move(request), [&] { s.Turn(); }, on_routed, sinks);
  if (finished.ok()) s.WaitForTotals(s.parts.clock.Now());
  return finished;
}

void EdgeProcess::State::WaitForTotals(Time now) {
  size_t came = 0;
  while (came < hops.size() && parts.clock.Now() - now < kTotalsWaitMax) {
    Turn();
    while (std::optional<EdgeOutput> output = edge->PollOutput()) {
      const auto* said = std::get_if<HopTotals>(&output->what);
      if (said == nullptr) continue;
      const auto hop = std::ranges::find(hops, said->hop, &Hop::node);
      if (hop == hops.end()) continue;
      totals[static_cast<size_t>(hop - hops.begin())] = said->sent;
      ++came;
    }
  }
}

std::vector<HopTraffic> EdgeProcess::Traffic() const {
  const State& s = *state_;
  std::vector<HopTraffic> traffic;
  if (s.hops.empty()) return traffic;  // nothing leaves an edge that keeps all layers
  HopTraffic first{.from = "edge", .to = s.hops.front().name};
  for (const LinkCounters& link : s.transport->Links()) {
    if (link.to != s.hops.front().node) continue;
    first.messages = link.frames;
    first.bytes = link.frame_bytes;
    first.rows = link.rows;
  }
  traffic.push_back(first);
  for (size_t i = 0; i < s.hops.size(); ++i) {
    const bool last = i + 1 == s.hops.size();
    traffic.push_back({.from = s.hops[i].name,
                       .to = last ? "edge" : s.hops[i + 1].name,
                       .messages = s.totals[i].frames,
                       .bytes = s.totals[i].bytes,
                       .rows = s.totals[i].rows});
  }
  return traffic;
}

}  // namespace mortar
