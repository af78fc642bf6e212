// worker: hosts the layers that a coordinator gives it, for the sessions of many edges.
#include <cstdio>

#include "cli/cut.h"
#include "cli/hosted_model.h"
#include "cli/model.h"
#include "cli/node_parts.h"
#include "cli/node_process.h"
#include "worker/loop.h"

namespace mortar {
namespace {

// "A-B" as [A, B).
absl::StatusOr<LayerRange> ReadLayers(const Settings& settings, int n_layers) {
  const auto text = settings.OptionalString("layers");
  if (!text) return LayerRange{};
  LayerRange range;
  char rest = 0;
  const int read = std::sscanf(text->c_str(), "%d-%d%c", &range.begin, &range.end, &rest);
  if (read != 2 || range.begin < 0 || range.empty() || range.end > n_layers) {
    return UsageError(settings.Where("layers") + ": \"" + *text +
                      "\" is no run of layers; give FIRST-END within 0-" +
                      std::to_string(n_layers) + ", the end not included");
  }
  return range;
}

absl::StatusOr<std::string> ReadListen(const CommandContext& context) {
  if (context.settings.String("listen") == "none") return std::string();
  return ReadEndpoint(context, "listen");
}

}  // namespace

absl::Status WorkerCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  ZmqOptions link;
  ASSIGN_OR_RETURN(link.upstream, ReadEndpoint(context, "coordinator"));
  ASSIGN_OR_RETURN(link.listen, ReadListen(context));
  if (settings.Has("relay")) {
    ASSIGN_OR_RETURN(link.relay, ReadEndpoint(context, "relay"));
  }
  link.direct = settings.Bool("direct");
  ASSIGN_OR_RETURN(const HostedModel model,
                   OpenHostedModel(settings, context.environment, context.log));
  WorkerOptions options;
  options.name = NodeName(settings);
  options.model = ModelIdOf(model);
  options.bricks = LayerBricksOf(model.manifest);
  ASSIGN_OR_RETURN(options.layers_only, ReadLayers(settings, model.config.n_layers));
  options.sessions_max = static_cast<int>(settings.Int("parallel"));
  options.rows_max = kNodeRowsMax;
  NodeEngineOptions engine{.sessions = options.sessions_max,
                           .kv_type = KvTypeOf(settings.String("kv"))};
  ASSIGN_OR_RETURN(engine.context, ContextSize(settings, model.config.n_ctx_train));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));

  SystemRandom random;
  RowsPool pool;
  link.self = NewNodeId(random);
  link.card = {.role = Role::kWorker, .name = options.name, .model = options.model};
  ASSIGN_OR_RETURN(const auto transport,
                   ZmqTransport::Create(link, {context.clock, context.log, pool}));
  PumpedJobs jobs;
  Worker worker(options,
                {*transport, context.clock, jobs, context.log, [&](const Placement& placement) {
                   return LoadWorkerEngine({model, *compute.kernels, *compute.pool}, placement,
                                           engine);
                 }});
  LoopDriver driver(worker, &jobs, [&](Duration longest) { transport->Wait(longest); });
  const auto turn = [&] { driver.Turn(kIdleWaitMax); };
  RETURN_IF_ERROR(WaitForCoordinator(*transport, context.clock, turn));
  context.console.Note("mortar: worker " + options.name + " joined the coordinator at " +
                       link.upstream +
                       (link.listen.empty() ? "" : ", listens at " + transport->endpoint()));
  return RunUntilSignal(*transport, turn, [&]() -> absl::Status {
    if (worker.state().phase != WorkerPhase::kRefused) return absl::OkStatus();
    return WithContext(worker.state().refusal, "the coordinator refused this worker");
  });
}

}  // namespace mortar
