#include "cli/cut.h"

#include <numeric>

#include "cli/console.h"

namespace mortar {
namespace {

absl::Status CheckEnd(const Settings& settings, std::string_view flag, int layers) {
  if (layers > 0 || settings.Bool("show-tokens-to-cloud")) return absl::OkStatus();
  return UsageError(settings.Where(flag) +
                    ": 0 would let workers read the text; keep at least 1 layer, or allow it "
                    "with --show-tokens-to-cloud");
}

std::string Kept(const LayerCut& cut) {
  return "--front " + std::to_string(cut.front) + " and --back " + std::to_string(cut.back);
}

// --layers for the workers of `request`; `who` asks for so many.
absl::Status ReadSizes(const Settings& settings, const std::string& who, int n_layers,
                       CutRequest& request) {
  const int between = n_layers - request.cut.front - request.cut.back;
  for (const int64_t size : settings.OptionalInts("layers")) {
    request.sizes.push_back(static_cast<int>(size));
  }
  const std::string workers =
      std::to_string(request.workers) + (request.workers == 1 ? " worker" : " workers");
  if (request.workers > between) {
    return UsageError(who + ": " + workers + " cannot share " + std::to_string(between) +
                      " layers; give fewer workers, or keep fewer layers on the edge");
  }
  if (request.sizes.empty()) return absl::OkStatus();
  if (static_cast<int>(request.sizes.size()) != request.workers) {
    return UsageError(settings.Where("layers") + ": " + std::to_string(request.sizes.size()) +
                      " sizes for " + workers + "; give one size for each worker");
  }
  const int sum = std::accumulate(request.sizes.begin(), request.sizes.end(), 0);
  if (sum == between) return absl::OkStatus();
  return UsageError(settings.Where("layers") + ": the sizes add up to " + std::to_string(sum) +
                    " layers, but " + Kept(request.cut) + " leave " + std::to_string(between) +
                    " of " + std::to_string(n_layers) + "; make them add up");
}

}  // namespace

absl::StatusOr<LayerCut> ReadLayerCut(const Settings& settings, int n_layers) {
  LayerCut cut;
  cut.front = static_cast<int>(settings.Int("front"));
  cut.back = static_cast<int>(settings.Int("back"));
  RETURN_IF_ERROR(CheckEnd(settings, "front", cut.front));
  RETURN_IF_ERROR(CheckEnd(settings, "back", cut.back));
  if (cut.front + cut.back <= n_layers) return cut;
  return UsageError(Kept(cut) + " are more than the model's " + std::to_string(n_layers) +
                    " layers; keep fewer on the edge");
}

absl::StatusOr<CutRequest> ReadCut(const Settings& settings, int n_layers) {
  CutRequest request;
  ASSIGN_OR_RETURN(request.cut, ReadLayerCut(settings, n_layers));
  request.workers = static_cast<int>(settings.Int("workers"));
  const int between = n_layers - request.cut.front - request.cut.back;
  // A small model may fit the edge alone: then nobody else is needed, unless asked for.
  if (between == 0 && settings.Source("workers") == FlagSource::kDefault) request.workers = 0;
  RETURN_IF_ERROR(ReadSizes(settings, settings.Where("workers"), n_layers, request));
  return request;
}

absl::StatusOr<CutRequest> ReadCutFor(int workers, const Settings& settings, int n_layers) {
  CutRequest request;
  ASSIGN_OR_RETURN(request.cut, ReadLayerCut(settings, n_layers));
  request.workers = workers;
  RETURN_IF_ERROR(ReadSizes(settings, "this job", n_layers, request));
  const int between = n_layers - request.cut.front - request.cut.back;
  if (request.sizes.empty()) request.sizes = EvenSizes(between, workers);
  return request;
}

std::vector<LayerRange> RangesOf(const CutRequest& request) {
  std::vector<LayerRange> ranges;
  int begin = request.cut.front;
  for (const int size : request.sizes) {
    ranges.push_back({begin, begin + size});
    begin += size;
  }
  return ranges;
}

std::string CutWarning(const LayerCut& cut) {
  std::string warning;
  if (cut.front == 0) {
    warning = "with --front 0 what crosses is the tokens' embedding: workers can read the prompt";
  }
  if (cut.back == 0) {
    warning += std::string(warning.empty() ? "" : "; ") +
               "with --back 0 workers can compute the logits: they can read the answer";
  }
  return warning;
}

uint64_t WeightShares::Of(LayerRange range) const {
  uint64_t bytes = 0;
  for (int i = range.begin; i < range.end; ++i) bytes += layers[static_cast<size_t>(i)];
  return bytes;
}

WeightShares SharesOf(const Manifest& manifest, bool tied_head) {
  WeightShares shares;
  shares.layers.resize(static_cast<size_t>(manifest.n_layers));
  for (const Brick& brick : manifest.bricks) {
    if (brick.kind == BrickKind::kEmbedding) shares.embedding = brick.bytes;
    if (brick.kind == BrickKind::kHead) shares.head = brick.bytes;
    if (brick.kind == BrickKind::kLayers) {
      shares.layers[static_cast<size_t>(brick.layers.begin)] = brick.bytes;
    }
  }
  if (tied_head) shares.head -= shares.embedding;
  return shares;
}

std::vector<LayerBrick> LayerBricksOf(const Manifest& manifest) {
  std::vector<LayerBrick> bricks;
  for (const Brick& brick : manifest.bricks) {
    if (brick.kind != BrickKind::kLayers) continue;
    bricks.push_back(
        {brick.layers, brick.digest.value_or(Digest{}), brick.bytes, brick.sensitivity});
  }
  return bricks;
}

}  // namespace mortar
