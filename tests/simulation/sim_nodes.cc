#include "tests/simulation/sim_nodes.h"

#include <utility>

#include "common/check.h"
#include "tests/integration/embedded_cluster.h"
#include "tests/simulation/undisturbed.h"
#include "tests/support/known_drafter.h"

namespace mortar {

std::vector<LayerBrick> SimBricksOf(const ModelId& model) {
  std::vector<LayerBrick> bricks = TinyBricksOf(model);
  for (LayerBrick& brick : bricks) brick.weight_bytes = kSimLayerBytes;
  return bricks;
}

SimNodes::SimNodes(Parts parts)
    : parts_(parts),
      kernels_(*SelectKernels("")),
      tokenizer_(*Tokenizer::FromGguf(*parts.file)),
      random_(parts.scenario.seed) {
  const ModelConfig config = *ReadModelConfig(*parts_.file);
  model_ = {.name = "tiny", .digest = {}, .n_layers = config.n_layers, .n_embd = config.n_embd};
  processes_.resize(static_cast<size_t>(parts_.scenario.n_nodes()));
  for (int node = 0; node < parts_.scenario.n_nodes(); ++node) Start(node, false);
}

SimNodes::~SimNodes() {
  for (int node = 0; node < parts_.scenario.n_nodes(); ++node) Kill(node, false);
}

void SimNodes::Start(int node, bool new_id) {
  Process& process = At(node);
  if (process.loop != nullptr) return;
  const int n_edges = parts_.scenario.n_edges;
  // A node's id follows from its key: it keeps both, or neither.
  if (process.starts == 0 || new_id) process.keys = NewKeyPair();
  const bool coordinates = parts_.scenario.is_coordinator(node);
  if (coordinates) {
    process.id = CoordinatorNode(node == 0 ? 0 : 1);
  } else if (process.starts == 0 || new_id) {
    const int first = node <= n_edges ? 100 + node : 200 + node - n_edges;
    process.id = {static_cast<uint64_t>(first + 1000 * process.starts)};
  }
  ++process.starts;
  parts_.checker.Forget(process.id);
  process.transport = parts_.network.Attach(process.id);
  if (parts_.scenario.sealed) {
    process.transport = WithKey(std::move(process.transport), process.keys.public_key);
  }
  process.jobs = parts_.network.NewJobs(process.id);
  process.pool = *ThreadPool::Create(1);
  if (coordinates) {
    StartCoordinator(process);
  } else if (node <= n_edges) {
    StartEdge(process, node);
  } else {
    StartWorker(process, node);
  }
  SetStalled(node, false);
}

void SimNodes::StartCoordinator(Process& process) {
  const Scenario& s = parts_.scenario;
  CoordinatorOptions options{.workers_expected = std::max(1, s.n_workers - 1),
                             .sizes = {},
                             .measured = s.measured(),
                             .cut = LayerCut{s.front, s.back}};
  process.coordinator = std::make_unique<Coordinator>(
      std::move(options), Coordinator::Parts{*process.transport, parts_.clock, random_, log_,
                                             s.sealed ? &process.keys : nullptr});
  process.loop = process.coordinator.get();
  parts_.view.coordinators[process.id] = &process.coordinator->state();
}

void SimNodes::StartEdge(Process& process, int node) {
  const Scenario& s = parts_.scenario;
  EdgeOptions options;
  options.name = NodeName(s, node);
  options.coordinators = s.n_coordinators;
  options.model = model_;
  options.front_layers = s.front;
  options.back_layers = s.back;
  options.has_relay = s.relayed && !s.relay_is_coordinator;
  options.sealed = s.sealed;
  options.n_parallel = s.n_parallel;
  options.rows_max = kTinyRowsMax;
  options.step_deadline = kSimStepDeadline;
  options.drafting = parts_.drafting;
  const int n_layers = model_.n_layers;
  process.engine = *Engine::Load(
      *parts_.file, {{true, {0, s.front}, false}, {false, {n_layers - s.back, n_layers}, true}},
      TinyEngineOptions(kTinyContext * s.n_parallel, s.n_parallel * options.drafting.step_rows()),
      *kernels_, *process.pool);
  LoadMiddle load;
  if (s.takes_over) {
    process.loading = parts_.network.NewJobs(process.id);
    load = [this, &s, &process, n_layers](const std::atomic<bool>&) {
      return Engine::Load(*parts_.file, {{false, {s.front, n_layers - s.back}, false}},
                          TinyEngineOptions(kTinyContext * s.n_parallel, 1), *kernels_,
                          *process.pool);
    };
  }
  process.edge = *Edge::Create(
      options, {*process.transport, parts_.clock, *process.jobs, log_, *process.engine, *tokenizer_,
                s.sealed ? &process.keys : nullptr, std::move(load), process.loading.get()});
  process.loop = process.edge.get();
  parts_.view.edges[process.id] = &process.edge->state();
}

void SimNodes::StartWorker(Process& process, int node) {
  WorkerOptions options;
  options.name = NodeName(parts_.scenario, node);
  options.coordinators = parts_.scenario.n_coordinators;
  options.model = model_;
  options.bricks = SimBricksOf(model_);
  if (parts_.scenario.measured()) {
    const int worker = node - parts_.scenario.n_edges - 1;
    options.ns_per_byte = parts_.scenario.ns_per_byte[static_cast<size_t>(worker)];
    options.memory_bytes = static_cast<uint64_t>(parts_.scenario.layers_that_fit) * kSimLayerBytes;
  }
  options.rows_max = kTinyRowsMax;
  LoadLayers load = [this, &process](const Placement& p) {
    return Engine::Load(*parts_.file, {{false, p.layers, false}},
                        TinyEngineOptions(parts_.scenario.worker_kv_positions, 1), *kernels_,
                        *process.pool);
  };
  process.worker = std::make_unique<Worker>(
      options, Worker::Parts{*process.transport, parts_.clock, *process.jobs, log_, std::move(load),
                             parts_.scenario.sealed ? &process.keys : nullptr});
  process.loop = process.worker.get();
  parts_.view.workers[process.id] = &process.worker->state();
}

void SimNodes::Kill(int node, bool said) {
  Process& process = At(node);
  if (process.loop == nullptr) return;
  process.loop = nullptr;
  parts_.view.coordinators.erase(process.id);
  parts_.view.edges.erase(process.id);
  parts_.view.workers.erase(process.id);
  process.coordinator.reset();
  process.edge.reset();
  process.worker.reset();
  process.engine.reset();
  process.jobs.reset();
  process.loading.reset();
  process.transport.reset();
  process.pool.reset();
  parts_.network.Kill(process.id, said, ids());
}

void SimNodes::SetStalled(int node, bool stalled) {
  At(node).stalled = stalled;
  parts_.network.SetStalled(At(node).id, stalled);
}

std::vector<NodeId> SimNodes::ids() const {
  std::vector<NodeId> ids;
  for (const Process& process : processes_) {
    if (process.loop != nullptr) ids.push_back(process.id);
  }
  return ids;
}

bool SimNodes::Step() {
  bool worked = false;
  for (Process& process : processes_) {
    if (process.loop != nullptr && !process.stalled) worked |= process.loop->Step();
  }
  return worked;
}

}  // namespace mortar
