#include "cli/embedded.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "cli/console.h"
#include "cli/model.h"
#include "common/check.h"
#include "common/job_queue.h"
#include "common/pump.h"
#include "common/random.h"
#include "coordinator/loop.h"
#include "edge/jobs.h"
#include "edge/loop.h"
#include "engine/batch/engine.h"
#include "engine/brick/digest.h"
#include "protocol/local_transport.h"
#include "worker/loop.h"

namespace mortar {
namespace {

// Rows of a batch. Frames are smaller than this; several may run together.
constexpr int kRowsMax = 512;
// A session that has ended gives its place back while the next one begins.
constexpr int kSessions = 2;
// Within one process nothing is lost, and a slow machine may take its time over a chunk.
constexpr Duration kStepDeadline = std::chrono::hours(1);
// Workers read their layers once from the file; whatever disk it lies on, longer is a hang.
constexpr Duration kReadyWaitMax = std::chrono::minutes(10);
// Between two looks when no loop has anything to do: waiting for a status, not for a token.
constexpr auto kIdle = std::chrono::microseconds(50);

// The model as a whole, by the digests of its bricks in their order.
Digest ModelDigest(const Manifest& manifest) {
  std::string all;
  for (const Brick& brick : manifest.bricks) {
    CHECK(brick.digest.has_value());
    all += ToHex(*brick.digest);
  }
  return DigestOf(all);
}

int WholePages(int positions) {
  return (positions + kKvPagePositions - 1) / kKvPagePositions * kKvPagePositions;
}

}  // namespace

// One worker with what it alone uses.
struct WorkerNode {
  std::string name;
  PumpedJobs jobs;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Worker> worker;
};

struct Embedded::State {
  State(const EmbeddedOptions& o, const Parts& p)
      : options(o),
        parts(p),
        model{p.model.manifest.model, ModelDigest(p.model.manifest), p.model.config.n_layers,
              p.model.config.n_embd} {}

  EngineOptions EngineOptionsFor(int sessions, int logit_rows) const;
  absl::Status AddEdge();
  void AddCoordinator();
  void AddWorker(int index);
  absl::StatusOr<std::unique_ptr<Engine>> LoadWorkerLayers(const Placement& placement) const;
  absl::Status CheckNobodyIsRefused() const;
  absl::Status WaitUntilReady();

  EmbeddedOptions options;
  Parts parts;
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
};

EngineOptions Embedded::State::EngineOptionsFor(int sessions, int logit_rows) const {
  EngineOptions engine;
  engine.kv_type = options.kv_type;
  engine.context_max = options.context;
  engine.kv_positions_max = WholePages(options.context) * sessions;
  engine.rows_max = kRowsMax;
  engine.logit_rows_max = logit_rows;
  return engine;
}

absl::Status Embedded::State::AddEdge() {
  const LayerCut& cut = options.cut.cut;
  const int n_layers = parts.model.config.n_layers;
  std::vector<PartSpec> specs(2);
  specs[kFrontPart] = {true, {0, cut.front}, false};
  specs[kBackPart] = {false, {n_layers - cut.back, n_layers}, true};
  ASSIGN_OR_RETURN(edge_engine,
                   Engine::Load(*parts.model.file, specs, EngineOptionsFor(kSessions, 1),
                                parts.kernels, parts.pool));
  edge_transport = network.Attach(NewNodeId(random));
  EdgeOptions edge_options;
  edge_options.name = "edge";
  edge_options.model = model;
  edge_options.front_layers = cut.front;
  edge_options.back_layers = cut.back;
  edge_options.show_tokens_to_cloud = options.show_tokens_to_cloud;
  edge_options.rows_max = kRowsMax;
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
  coordinator_options.workers_expected = options.cut.workers;
  coordinator_options.sizes = options.cut.sizes;
  coordinator_options.cut = options.cut.cut;
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
  worker_options.rows_max = kRowsMax;
  worker_options.starter_reports = true;
  node->worker = std::make_unique<Worker>(
      worker_options,
      Worker::Parts{*node->transport, parts.clock, node->jobs, parts.log,
                    [this](const Placement& placement) { return LoadWorkerLayers(placement); }});
  pump.Add(node->worker.get(), &node->jobs);
  workers.push_back(std::move(node));
}

// A worker loads what it was told to host and nothing else: the bricks must be this file's.
absl::StatusOr<std::unique_ptr<Engine>> Embedded::State::LoadWorkerLayers(
    const Placement& placement) const {
  const std::vector<LayerBrick> own = LayerBricksOf(parts.model.manifest);
  for (const LayerBrick& brick : placement.bricks) {
    if (std::ranges::find(own, brick) == own.end()) {
      return DataLoss("layers " + ToString(brick.layers) + " with digest " + ToHex(brick.digest) +
                      " are not in " + parts.model.file->path());
    }
  }
  return Engine::Load(*parts.model.file, {PartSpec{false, placement.layers, false}},
                      EngineOptionsFor(kSessions, 0), parts.kernels, parts.pool);
}

absl::Status Embedded::State::CheckNobodyIsRefused() const {
  if (edge->state().phase == EdgePhase::kRefused) {
    return WithContext(edge->state().refusal, "the edge was refused");
  }
  for (const auto& node : workers) {
    const WorkerState& worker = node->worker->state();
    if (worker.phase != WorkerPhase::kRefused) continue;
    return WithContext(worker.refusal, node->name + " was refused");
  }
  return absl::OkStatus();
}

absl::Status Embedded::State::WaitUntilReady() {
  const RouteRequest probe{.model = model,
                           .front_layers = options.cut.cut.front,
                           .back_layers = options.cut.cut.back,
                           .positions_max = options.context};
  const Time start = parts.clock.Now();
  while (true) {
    RETURN_IF_ERROR(CheckInterrupted());
    RETURN_IF_ERROR(CheckNobodyIsRefused());
    absl::Status status = RouteStatus(coordinator->state(), probe);
    if (status.ok() || !absl::IsUnavailable(status)) return status;
    if (parts.clock.Now() - start > kReadyWaitMax) {
      return WithContext(
          status,
          "not ready within " + std::to_string(static_cast<int>(Seconds(kReadyWaitMax))) + " s");
    }
    if (!pump.RunOnce()) std::this_thread::sleep_for(kIdle);
  }
}

absl::StatusOr<EmbeddedOptions> ReadEmbeddedOptions(const Settings& settings,
                                                    const ModelConfig& config) {
  EmbeddedOptions options;
  ASSIGN_OR_RETURN(options.cut, ReadCut(settings, config.n_layers));
  options.show_tokens_to_cloud = settings.Bool("show-tokens-to-cloud");
  options.kv_type = KvTypeOf(settings.String("kv"));
  ASSIGN_OR_RETURN(options.context, ContextSize(settings, config.n_ctx_train));
  return options;
}

Embedded::Embedded(std::unique_ptr<State> state) : state_(std::move(state)) {}
Embedded::~Embedded() = default;

absl::StatusOr<std::unique_ptr<Embedded>> Embedded::Start(const EmbeddedOptions& options,
                                                          const Parts& parts) {
  auto state = std::make_unique<State>(options, parts);
  state->AddCoordinator();
  RETURN_IF_ERROR(state->AddEdge());
  for (int i = 0; i < options.cut.workers; ++i) state->AddWorker(i);
  RETURN_IF_ERROR(state->WaitUntilReady());
  return std::unique_ptr<Embedded>(new Embedded(std::move(state)));
}

absl::StatusOr<Finished> Embedded::Generate(GenerateRequest request, const OnToken& on_token) {
  State& s = *state_;
  ASSIGN_OR_RETURN(const RequestId id, s.edge->Submit(std::move(request)));
  absl::Status stopped;  // why we cancelled
  std::optional<Finished> finished;
  while (!finished) {
    if (!s.pump.RunOnce()) std::this_thread::sleep_for(kIdle);
    while (std::optional<EdgeOutput> output = s.edge->PollOutput()) {
      if (const auto* token = std::get_if<TokenOut>(&output->what); token && stopped.ok()) {
        stopped = on_token(*token);
      } else if (auto* end = std::get_if<Finished>(&output->what)) {
        finished = std::move(*end);
      }
      if (!stopped.ok()) s.edge->Cancel(id);
    }
    if (stopped.ok() && InterruptSignal() != 0) {
      stopped = CheckInterrupted();
      s.edge->Cancel(id);
    }
  }
  if (!stopped.ok()) return stopped;
  if (finished->reason == FinishReason::kError) return finished->status;
  return *std::move(finished);
}

std::vector<RouteNode> Embedded::Route() const {
  const State& s = *state_;
  const auto& placement = s.coordinator->state().placement;
  CHECK(placement.has_value());
  const int n_layers = s.parts.model.config.n_layers;
  const LayerCut& cut = s.options.cut.cut;
  const WeightShares shares = SharesOf(s.parts.model.manifest, s.parts.model.config.tied_head);
  const LayerRange front = {0, cut.front};
  const LayerRange back = {n_layers - cut.back, n_layers};
  std::vector<RouteNode> route;
  route.push_back({"edge", "edge", front, shares.embedding + shares.Of(front)});
  for (const PlacedHop& hop : placement->hops) {
    route.push_back({hop.name, "worker", hop.layers, shares.Of(hop.layers)});
  }
  route.push_back({"edge", "edge", back, shares.Of(back) + shares.head});
  return route;
}

std::vector<HopTraffic> Embedded::Traffic() const {
  const State& s = *state_;
  // Nodes of the route, the edge at both ends.
  std::vector<std::pair<std::string, const Transport*>> nodes = {{"edge", s.edge_transport.get()}};
  for (const PlacedHop& hop : s.coordinator->state().placement->hops) {
    const auto node = std::ranges::find(s.workers, hop.name, &WorkerNode::name);
    CHECK(node != s.workers.end());
    nodes.emplace_back(hop.name, (*node)->transport.get());
  }
  std::vector<HopTraffic> hops;
  if (nodes.size() == 1) return hops;  // nothing leaves an edge that keeps all layers
  nodes.push_back(nodes.front());
  for (size_t i = 0; i + 1 < nodes.size(); ++i) {
    HopTraffic hop{.from = nodes[i].first, .to = nodes[i + 1].first};
    for (const LinkCounters& link : nodes[i].second->Links()) {
      if (link.to != nodes[i + 1].second->self()) continue;
      hop.messages += link.frames;
      hop.bytes += link.frame_bytes;
    }
    hops.push_back(std::move(hop));
  }
  return hops;
}

}  // namespace mortar
