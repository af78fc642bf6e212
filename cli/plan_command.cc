// plan: who would host what, with bytes and the predicted time of a token.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/cut.h"
#include "cli/forward_loop.h"
#include "cli/json_output.h"
#include "cli/model.h"
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

absl::StatusOr<std::vector<PlannedHop>> HopsOf(const CutRequest& request, const Manifest& manifest,
                                               bool tied_head) {
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
  // A token reads one row of the embedding and the whole head, be it the same matrix or not.
  const WeightShares shares = SharesOf(manifest, tied_head);
  const uint64_t head = shares.head + (tied_head ? shares.embedding : 0);
  std::vector<PlannedHop> hops;
  const LayerRange front = {0, request.cut.front};
  const LayerRange back = {n_layers - request.cut.back, n_layers};
  hops.push_back({"edge", "edge", front, shares.Of(front), 0, 0,
                  "the text, the tokens and the first layers stay with their owner"});
  for (const PlacedHop& hop : placed.hops) {
    hops.push_back({hop.name, "worker", hop.layers, hop.weight_bytes, 0, 0, hop.why});
  }
  hops.push_back({"edge", "edge", back, shares.Of(back) + head, 0, 0,
                  "the last layers, the head and the choice of the token stay with their owner"});
  return hops;
}

std::string Text(const PlanReport& report) {
  std::string text =
      "| node     | layers   |  weights MiB | bytes/token to next | ms/token | why\n"
      "| -------- | -------- | -----------: | ------------------: | -------: | ---\n";
  for (const PlannedHop& hop : report.hops) {
    char line[160];
    std::snprintf(line, sizeof line, "| %-8s | %-8s | %12.2f | %19llu | %8.3f | ", hop.node.c_str(),
                  ToString(hop.layers).c_str(), static_cast<double>(hop.bytes) / (1 << 20),
                  static_cast<unsigned long long>(hop.wire_bytes_per_token), hop.ms_per_token);
    text += line + hop.why + "\n";
  }
  char line[64];
  std::snprintf(line, sizeof line, "predicted %.3f ms a token: ", report.predicted_ms_per_token);
  return text + line + report.why + "\n";
}

}  // namespace

absl::Status PlanCommand(const CommandContext& context) {
  ASSIGN_OR_RETURN(const auto file, OpenModel(context.settings, context.environment));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadDecoderConfig(*file));
  ASSIGN_OR_RETURN(const CutRequest request, ReadCut(context.settings, config.n_layers));
  ASSIGN_OR_RETURN(const Manifest manifest, BuildManifest(*file, config.n_layers));
  PlanReport report;
  ASSIGN_OR_RETURN(report.hops, HopsOf(request, manifest, config.tied_head));
  if (const std::string warning = CutWarning(request.cut); !warning.empty()) {
    context.console.Note("mortar: warning: " + warning);
  }
  ASSIGN_OR_RETURN(report.predicted_ms_per_token, MeasureToken(context, *file));

  uint64_t total = 0;
  for (const PlannedHop& hop : report.hops) total += hop.bytes;
  const int workers = static_cast<int>(report.hops.size()) - 2;  // the edge is at both ends
  for (int i = 0; i < workers + 2; ++i) {
    PlannedHop& hop = report.hops[static_cast<size_t>(i)];
    hop.ms_per_token =
        report.predicted_ms_per_token * static_cast<double>(hop.bytes) / static_cast<double>(total);
    // Between an edge's own two ends nothing crosses.
    if (i == workers + 1 || workers == 0) continue;
    const Envelope e{.n_hops = static_cast<uint8_t>(std::max(0, workers - 1 - i))};
    hop.wire_bytes_per_token =
        static_cast<uint64_t>(config.n_embd) * sizeof(float) + EncodedBytes(e);
  }
  report.why = "the median of " + std::to_string(kMeasuredTokens) +
               " tokens of the whole model, measured here just now and shared out by bytes of "
               "weights; hops within one process cost next to nothing";
  return context.console.Write(context.settings.Bool("json") ? ToJson(report) : Text(report));
}

}  // namespace mortar
