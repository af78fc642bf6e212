// worker: hosts the layers that a coordinator gives it, for the sessions of many edges.
#include <optional>

#include "cli/byte_size.h"
#include "cli/cut.h"
#include "cli/hosted_model.h"
#include "cli/layer_text.h"
#include "cli/machine_memory.h"
#include "cli/model.h"
#include "cli/node_keys.h"
#include "cli/node_parts.h"
#include "cli/node_process.h"
#include "cli/refusal_log.h"
#include "cli/speed_probe.h"
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

}  // namespace

absl::Status WorkerCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  RETURN_IF_ERROR(AllowManyLinks());
  ZmqOptions link;
  ASSIGN_OR_RETURN(link.upstream, ReadEndpoint(context, "coordinator", EndpointUse::kDial));
  RETURN_IF_ERROR(ReadListen(context, link));
  if (settings.Has("relay")) {
    ASSIGN_OR_RETURN(link.relay, ReadEndpoint(context, "relay", EndpointUse::kDial));
  }
  link.direct = settings.Bool("direct");
  link.insecure = settings.Bool("insecure");
  RETURN_IF_ERROR(ReadNodeKeys(context, link));
  ASSIGN_OR_RETURN(const HostedModel model,
                   OpenHostedModel(settings, context.environment, context.log));
  WorkerOptions options;
  ASSIGN_OR_RETURN(options.name, NodeName(settings));
  const KvType kv_type = KvTypeOf(settings.String("kv"));
  options.model = ModelIdOf(model, kv_type);
  options.bricks = LayerBricksOf(model.manifest);
  ASSIGN_OR_RETURN(options.layers_only, ReadLayers(settings, model.config.n_layers));
  options.sessions_max = static_cast<int>(settings.Int("parallel"));
  options.rows_max = kNodeRowsMax;
  ASSIGN_OR_RETURN(options.memory_bytes, ReadMemory(settings));
  NodeEngineOptions engine{.sessions = options.sessions_max, .kv_type = kv_type};
  ASSIGN_OR_RETURN(engine.context, ContextSize(settings, model.config.n_ctx_train));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));
  SayWorkerSpeed({model, *compute.kernels, *compute.pool}, engine, context.clock, context.log,
                 options);

  SystemRandom random;
  RowsPool pool;
  link.card = {.role = Role::kWorker, .name = options.name, .model = options.model};
  ChooseId(link, random);
  ASSIGN_OR_RETURN(const auto transport,
                   ZmqTransport::Create(link, {context.clock, context.log, pool}));
  PumpedJobs jobs;
  Worker worker(options, {*transport, context.clock, jobs, context.log,
                          [&](const Placement& placement) {
                            return LoadWorkerEngine({model, *compute.kernels, *compute.pool},
                                                    placement, engine);
                          },
                          link.keys ? &*link.keys : nullptr});
  LoopDriver driver(worker, &jobs, IdleOn(*transport, AwakeMax(settings), context.clock),
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
                       link.upstream +
                       (link.listen.empty() ? "" : ", listens at " + transport->endpoint()));
  const absl::Status end = RunUntilSignal(turn, [&]() -> absl::Status {
    if (worker.state().phase != WorkerPhase::kRefused) return absl::OkStatus();
    return WithContext(worker.state().refusal, "the coordinator refused this worker");
  });
  SayGoodbye(*transport, "it was stopped");
  LogTraffic(*transport, context.log);
  refusals.End();
  return end;
}

}  // namespace mortar
