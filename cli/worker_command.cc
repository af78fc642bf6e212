// worker: hosts the layers that a coordinator gives it, for the sessions of many edges. Its bricks
// are those of its model's file, or come from other nodes.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/brick_node.h"
#include "cli/byte_size.h"
#include "cli/cut.h"
#include "cli/fetched_model.h"
#include "cli/hosted_model.h"
#include "cli/layer_text.h"
#include "cli/machine_memory.h"
#include "cli/model.h"
#include "cli/node_keys.h"
#include "cli/node_parts.h"
#include "cli/node_process.h"
#include "cli/refusal_log.h"
#include "cli/speed_probe.h"
#include "cli/worker_room.h"
#include "protocol/endpoint.h"
#include "worker/loop.h"

namespace mortar {
namespace {

// "A-B" as [A, B).
absl::StatusOr<LayerRange> ReadLayers(const Settings& settings, int n_layers) {
  const auto text = settings.OptionalString("layers");
  if (!text) return LayerRange{};
  const std::optional<LayerRange> range = ParseLayerRange(*text, n_layers);
  if (range) return *range;
  return UsageError(settings.Where("layers") + ": \"" + *text +
                    "\" is no run of layers; give FIRST-END within 0-" + std::to_string(n_layers) +
                    ", the end not included");
}

// --memory, or what the machine has free.
absl::StatusOr<uint64_t> ReadMemory(const Settings& settings) {
  const auto text = settings.OptionalString("memory");
  if (!text) return AvailableMemory();
  const auto bytes = ParseByteSize(*text, settings.Where("memory"));
  if (!bytes.ok()) return UsageError(Message(bytes.status()));
  return *bytes;
}

// --listen and --advertise: where this worker listens, and where others are told to dial it.
absl::Status ReadListen(const CommandContext& context, ZmqOptions& link) {
  const Settings& settings = context.settings;
  const bool advertises = settings.Has("advertise");
  if (settings.String("listen") == "none") {
    if (!advertises) return absl::OkStatus();
    return UsageError(settings.Where("advertise") +
                      ": nobody can dial a worker with --listen none; leave one of them out");
  }
  const auto listen = ParseEndpoint(settings.String("listen"));
  if (listen.ok() && IsAnyAddress(*listen) && !advertises) {  // others would dial themselves
    return UsageError(settings.Where("listen") + ": " + ToString(*listen) +
                      " does not say where others dial this worker; add --advertise "
                      "tcp://A.B.C.D:PORT");
  }
  ASSIGN_OR_RETURN(link.listen, ReadEndpoint(context, "listen", EndpointUse::kListen));
  if (!advertises) return absl::OkStatus();
  ASSIGN_OR_RETURN(link.advertise, ReadEndpoint(context, "advertise", EndpointUse::kDial));
  return absl::OkStatus();
}

// Where its bricks come from, and with what it sends them.
struct WorkerModel {
  std::unique_ptr<HostedModel> file;      // of --model
  std::unique_ptr<FetchedModel> fetched;  // with --brick-cache
  std::unique_ptr<BrickShelf> shelf;      // null: it sends none

  const HostedModel& model() const { return file != nullptr ? *file : fetched->model(); }
  std::optional<Digest> outline() const {
    if (fetched != nullptr) return fetched->outline_digest();
    return shelf == nullptr ? std::nullopt : shelf->outline();
  }
};

absl::StatusOr<WorkerModel> OpenWorkerModel(const CommandContext& context, const ZmqOptions& link,
                                            const std::string& name) {
  const Settings& settings = context.settings;
  WorkerModel model;
  if (settings.Has("brick-cache")) {
    ASSIGN_OR_RETURN(model.fetched, FetchedModel::Fetch(context, link, name));
    model.shelf = std::make_unique<BrickShelf>(model.fetched->cache());
    return model;
  }
  ASSIGN_OR_RETURN(HostedModel hosted, OpenHostedModel(settings, context.environment, context.log));
  model.file = std::make_unique<HostedModel>(std::move(hosted));
  model.shelf = ShelfOf(*model.file, context.log);
  return model;
}

absl::StatusOr<WorkerOptions> ReadWorkerOptions(const Settings& settings, const WorkerModel& from,
                                                const std::string& name) {
  WorkerOptions options;
  options.name = name;
  const HostedModel& model = from.model();
  options.model = ModelIdOf(model, KvTypeOf(settings.String("kv")));
  options.bricks = LayerBricksOf(model.manifest);
  ASSIGN_OR_RETURN(options.layers_only, ReadLayers(settings, model.config.n_layers));
  options.sessions_max = static_cast<int>(settings.Int("parallel"));
  options.rows_max = kNodeRowsMax;
  ASSIGN_OR_RETURN(options.memory_bytes, ReadMemory(settings));
  if (from.fetched != nullptr) {  // what it cannot keep is not placed on it
    options.memory_bytes = std::min(options.memory_bytes, from.fetched->BytesForBricks());
  }
  options.outline = from.outline();
  options.fetches = from.fetched != nullptr;
  return options;
}

// What loads a placement. `from` and `compute` outlive it.
LoadLayers LoaderOf(const WorkerModel& from, const Compute& compute,
                    const NodeEngineOptions& engine) {
  return [&from, &compute,
          engine](const Placement& placement) -> absl::StatusOr<std::unique_ptr<Engine>> {
    if (from.fetched == nullptr) {
      return LoadWorkerEngine({*from.file, *compute.kernels, *compute.pool}, placement, engine);
    }
    ASSIGN_OR_RETURN(const HostedModel model, from.fetched->WithBricks(placement.bricks));
    return LoadWorkerEngine({model, *compute.kernels, *compute.pool}, placement, engine);
  };
}

// The worker's loop and what it stands on, until a signal or the coordinator's refusal.
absl::Status RunWorker(const CommandContext& context, const ZmqOptions& link,
                       const WorkerOptions& options, const WorkerModel& from,
                       const LoadLayers& load) {
  RowsPool pool;
  ASSIGN_OR_RETURN(const auto transport,
                   ZmqTransport::Create(link, {context.clock, context.log, pool}));
  std::optional<BrickNode> bricks;
  if (from.shelf != nullptr) {
    bricks.emplace(BrickNode::Parts{*transport, *from.shelf, context.clock, context.log});
  }
  std::optional<CacheFetcher> fetcher;
  if (from.fetched != nullptr) fetcher.emplace(*from.fetched, bricks->exchange(), context.log);
  Transport& outer = bricks ? static_cast<Transport&>(bricks->exchange()) : *transport;
  PumpedJobs jobs;
  Worker worker(options, {.transport = outer,
                          .clock = context.clock,
                          .jobs = jobs,
                          .log = context.log,
                          .load = load,
                          .keys = link.keys ? &*link.keys : nullptr,
                          .fetcher = fetcher ? &*fetcher : nullptr});
  LoopDriver driver(worker, &jobs, IdleOn(*transport, AwakeMax(context.settings), context.clock),
                    context.clock);
  RefusalLog refusals(context.log, context.clock, [&] {
    return Joined(RefusalsOf(transport->counters()), RefusalsOf(worker.state().counters));
  });
  const auto turn = [&] {
    driver.Turn(kIdleWaitMax);
    refusals.Tick();
  };
  RETURN_IF_ERROR(WaitForCoordinator(*transport, context.clock, turn));
  context.console.Note("mortar: worker " + OneLine(options.name) + " joined the coordinator at " +
                       CoordinatorsOf(link) +
                       (link.listen.empty() ? "" : ", listens at " + transport->endpoint()));
  const absl::Status end = RunUntilSignal(turn, [&]() -> absl::Status {
    const Coordinators& coordinators = worker.state().coordinators;
    if (PhaseOf(coordinators) != Membership::kRefused) return absl::OkStatus();
    return WithContext(RefusalOf(coordinators), "the coordinator refused this worker");
  });
  SayGoodbye(*transport, "it was stopped");
  LogTraffic(*transport, context.log);
  if (bricks) bricks->LogTraffic(context.log);
  refusals.End();
  return end;
}

}  // namespace

absl::Status WorkerCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  RETURN_IF_ERROR(AllowManyLinks());
  ZmqOptions link;
  ASSIGN_OR_RETURN(link.upstreams, ReadCoordinators(context));
  RETURN_IF_ERROR(ReadListen(context, link));
  if (settings.Has("relay")) {
    ASSIGN_OR_RETURN(link.relay, ReadEndpoint(context, "relay", EndpointUse::kDial));
  }
  link.direct = settings.Bool("direct");
  link.insecure = settings.Bool("insecure");
  RETURN_IF_ERROR(ReadNodeKeys(context, link));
  ASSIGN_OR_RETURN(const std::string name, NodeName(settings));
  ASSIGN_OR_RETURN(const WorkerModel model, OpenWorkerModel(context, link, name));
  ASSIGN_OR_RETURN(WorkerOptions options, ReadWorkerOptions(settings, model, name));
  NodeEngineOptions engine{.sessions = options.sessions_max,
                           .kv_type = KvTypeOf(settings.String("kv"))};
  ASSIGN_OR_RETURN(engine.context, ContextSize(settings, model.model().config.n_ctx_train));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));
  options.kv_bytes_per_layer = KvBytesPerLayer(model.model().config, engine);
  if (const std::string warning = RoomWarning(options); !warning.empty()) {
    context.console.Note("mortar: warning: " + warning);
  }
  if (model.file != nullptr) {  // else there is nothing here yet to compute with
    SayWorkerSpeed({*model.file, *compute.kernels, *compute.pool}, engine, context.clock,
                   context.log, options);
  }
  SystemRandom random;
  options.coordinators = static_cast<int>(link.upstreams.size());
  link.card = {.role = Role::kWorker, .name = options.name, .model = options.model};
  ChooseId(link, random);
  return RunWorker(context, link, options, model, LoaderOf(model, compute, engine));
}

}  // namespace mortar
