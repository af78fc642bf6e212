// plan: who would host what, with bytes and the predicted time of a token.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/commands.h"
#include "cli/cut.h"
#include "cli/forward_loop.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "cli/planned_route.h"
#include "cli/text_input.h"
#include "coordinator/placement.h"
#include "engine/brick/manifest.h"

namespace mortar {
namespace {

constexpr int kMeasuredTokens = 16;

// Milliseconds of one token of the whole model on this machine: the median of a few, since a
// single slow one says nothing.
absl::StatusOr<double> MeasureToken(const CommandContext& context, const GgufFile& file) {
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(context.settings));
  ForwardLoop::Options options;
  options.kv_type = KvTypeOf(context.settings.String("kv"));
  options.positions = kMeasuredTokens;
  options.ubatch_size = 1;
  ASSIGN_OR_RETURN(const auto loop,
                   ForwardLoop::Create(file, options, *compute.kernels, *compute.pool));
  RETURN_IF_ERROR(loop->Reserve(1, kMeasuredTokens));
  std::vector<double> times;
  for (int i = 0; i < kMeasuredTokens; ++i) {
    const int32_t token = i;
    const Time start = context.clock.Now();
    loop->Decode(std::span(&token, 1));
    times.push_back(Milliseconds(context.clock.Now() - start));
    RETURN_IF_ERROR(CheckInterrupted());
  }
  std::ranges::nth_element(times, times.begin() + kMeasuredTokens / 2);
  return times[kMeasuredTokens / 2];
}

std::string Measured() {
  return "the median of " + std::to_string(kMeasuredTokens) +
         " tokens of the whole model, measured here just now";
}

absl::StatusOr<std::vector<PlannedHop>> HopsOf(const CutRequest& request, const Manifest& manifest,
                                               const PlannedModel& model) {
  std::vector<WorkerOffer> offers;
  const std::vector<LayerBrick> bricks = LayerBricksOf(manifest);
  for (int i = 0; i < request.workers; ++i) {
    WorkerOffer offer;
    offer.node.value = kReservedNodeIds + static_cast<uint64_t>(i);
    offer.name = "worker-" + std::to_string(i + 1);
    offer.bricks = bricks;
    offers.push_back(std::move(offer));
  }
  const int n_layers = manifest.n_layers;
  ASSIGN_OR_RETURN(const LayerPlan placed,
                   PlaceLayers(n_layers, request.cut, request.sizes, offers));
  std::vector<PlannedHop> hops;
  hops.push_back(EdgeFront(model, request.cut.front));
  for (const PlacedHop& hop : placed.hops) {
    hops.push_back({.node = hop.name,
                    .role = "worker",
                    .layers = hop.layers,
                    .bytes = hop.weight_bytes,
                    .why = hop.why});
  }
  hops.push_back(EdgeBack(model, request.cut.back));
  return hops;
}

// The plan of the sizes given or of even ones, on machines like this one.
absl::StatusOr<PlanReport> PlanBySizes(const CommandContext& context, const GgufFile& file,
                                       const Manifest& manifest, const PlannedModel& model,
                                       const CutRequest& request) {
  PlanReport report;
  ASSIGN_OR_RETURN(report.hops, HopsOf(request, manifest, model));
  ASSIGN_OR_RETURN(report.predicted_ms_per_token, MeasureToken(context, file));
  const auto total = static_cast<double>(model.token_bytes());
  const int workers = static_cast<int>(report.hops.size()) - 2;  // the edge is at both ends
  for (int i = 0; i < workers + 2; ++i) {
    PlannedHop& hop = report.hops[static_cast<size_t>(i)];
    uint64_t reads = model.shares.Of(hop.layers);  // of a token, not all that lies there
    if (i == workers + 1) reads += model.head_bytes();
    hop.ms_per_token = report.predicted_ms_per_token * static_cast<double>(reads) / total;
    hop.sessions = static_cast<int>(context.settings.Int("parallel"));
    // Between an edge's own two ends nothing crosses.
    if (i == workers + 1 || workers == 0) continue;
    hop.wire_bytes_per_token = WireBytes(model.config, std::max(0, workers - 1 - i));
  }
  report.why = Measured() +
               " and shared out by bytes of weights; hops within one process cost next to nothing";
  return report;
}

// The nodes of the file; without one, workers like this machine.
absl::StatusOr<PlanReport> PlanBySpeed(const CommandContext& context, const GgufFile& file,
                                       const PlannedModel& model, int workers) {
  const Settings& settings = context.settings;
  ASSIGN_OR_RETURN(PlanRequest request, ReadPlanRequest(settings, model.config));
  NodesFile nodes;
  if (const auto path = settings.OptionalString("nodes")) {
    // As with --config: what a person wrote down wrongly is wrong usage.
    const auto text = ReadWholeFile(*path, kNodesFileBytesMax);
    if (!text.ok()) return UsageError(Message(text.status()));
    auto parsed =
        ParseNodes(*text, *path, model.config.n_layers, WireBytes(model.config, kHopsMax - 1));
    if (!parsed.ok()) return UsageError(Message(parsed.status()));
    nodes = *std::move(parsed);
  }
  const bool measure = !nodes.edge_ns_per_byte;
  if (measure) {
    ASSIGN_OR_RETURN(const double ms, MeasureToken(context, file));
    request.edge_ns_per_byte = ms * 1e6 / static_cast<double>(model.token_bytes());
  } else {
    request.edge_ns_per_byte = *nodes.edge_ns_per_byte;
  }
  if (nodes.nodes.empty()) nodes = NodesLikeTheEdge(workers, request.edge_ns_per_byte);
  ASSIGN_OR_RETURN(PlanReport report, ReportRoute(model, request, std::move(nodes)));
  if (measure) report.why += "; the edge's speed is " + Measured();
  return report;
}

// --workers and --layers are about machines like this one, --nodes about those of a file.
absl::Status CheckFlags(const Settings& settings) {
  const auto said = [&](std::string_view flag) {
    return settings.Has(flag) && settings.Source(flag) == FlagSource::kCommandLine;
  };
  if (settings.Has("nodes") && (said("workers") || said("layers"))) {
    return UsageError(settings.Where("nodes") +
                      ": the nodes of a file get the shares that make a "
                      "token fastest; leave --workers and --layers out");
  }
  if (settings.Has("edge-memory") && said("layers")) {
    return UsageError(settings.Where("edge-memory") +
                      ": with --layers the edge keeps --front and --back; leave one of them out");
  }
  return absl::OkStatus();
}

std::string Line(const PlannedHop& hop) {
  char line[512];  // a name of 64 bytes takes 256 where none of them can be shown
  std::snprintf(line, sizeof line, "| %-12s | %-10s | %12.2f | %19llu | %8.3f | %8.3f | %8d | ",
                OneLine(hop.node).c_str(), ToString(hop.layers).c_str(),
                static_cast<double>(hop.bytes) / (1 << 20),
                static_cast<unsigned long long>(hop.wire_bytes_per_token), hop.link_ms,
                hop.ms_per_token, hop.sessions);
  std::string text = line + hop.why;
  for (const PlannedReplica& replica : hop.replicas) {
    text += (&replica == &hop.replicas.front() ? "; replicas: " : ", ") + OneLine(replica.node) +
            " (" + std::to_string(replica.sessions) +
            (replica.sessions == 1 ? " session)" : " sessions)");
  }
  return text + "\n";
}

// How the plan is made to come true: sizes are given in the order in which workers join.
std::string AsFlags(const PlanReport& report) {
  std::string sizes;
  int workers = 0;
  for (const PlannedHop& hop : report.hops) {
    if (hop.role != "worker") continue;
    sizes += (workers++ == 0 ? "" : ",") + std::to_string(hop.layers.size());
  }
  if (workers == 0) return "";
  return "as flags: coordinator --workers " + std::to_string(workers) + " --layers " + sizes +
         ", workers started in this order; edge --front " +
         std::to_string(report.hops.front().layers.size()) + " --back " +
         std::to_string(report.hops.back().layers.size()) + "\n";
}

std::string Text(const PlanReport& report) {
  std::string text =
      "| node         | layers     |  weights MiB | bytes/token to next |  link ms | ms/token "
      "| sessions | why\n"
      "| ------------ | ---------- | -----------: | ------------------: | -------: | -------: "
      "| -------: | ---\n";
  for (const PlannedHop& hop : report.hops) text += Line(hop);
  char line[64];
  std::snprintf(line, sizeof line, "predicted %.3f ms a token: ", report.predicted_ms_per_token);
  text += line + report.why + "\n";
  std::string by_nodes;
  for (size_t k = 0; k < report.ms_by_nodes.size(); ++k) {
    if (!std::isfinite(report.ms_by_nodes[k])) continue;
    std::snprintf(line, sizeof line, "%s%.3f with %zu", by_nodes.empty() ? "" : ", ",
                  report.ms_by_nodes[k], k);
    by_nodes += line;
  }
  if (!by_nodes.empty()) text += "ms a token by the number of nodes: " + by_nodes + "\n";
  text += AsFlags(report);
  for (const DroppedPlanNode& dropped : report.dropped) {
    text += "left out: " + OneLine(dropped.node) + ": " + dropped.why + "\n";
  }
  if (report.dropped_more > 0) {
    text += "left out: " + std::to_string(report.dropped_more) + " more\n";
  }
  return text;
}

}  // namespace

absl::Status PlanCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  RETURN_IF_ERROR(CheckFlags(settings));
  ASSIGN_OR_RETURN(const auto file, OpenModel(settings, context.environment));
  PlannedModel model;
  ASSIGN_OR_RETURN(model.config, ReadDecoderConfig(*file));
  CutRequest request;
  if (settings.Has("nodes")) {
    ASSIGN_OR_RETURN(request.cut, ReadLayerCut(settings, model.config.n_layers));
  } else {
    ASSIGN_OR_RETURN(request, ReadCut(settings, model.config.n_layers));
  }
  ASSIGN_OR_RETURN(const Manifest manifest, BuildManifest(*file, model.config.n_layers));
  model.shares = SharesOf(manifest, model.config.tied_head);
  if (const std::string warning = CutWarning(request.cut); !warning.empty()) {
    context.console.Note("mortar: warning: " + warning);
  }
  const bool by_speed = settings.Has("nodes") || settings.Has("edge-memory");
  ASSIGN_OR_RETURN(const PlanReport report,
                   by_speed ? PlanBySpeed(context, *file, model, request.workers)
                            : PlanBySizes(context, *file, manifest, model, request));
  return context.console.Write(settings.Bool("json") ? ToJson(report) : Text(report));
}

}  // namespace mortar
