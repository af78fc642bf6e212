// What an edge refuses before anything is done: options against the model and the planner's
// rule, and requests against the edge.
#include <algorithm>

#include "edge/state.h"
#include "engine/kernels/kernels.h"

namespace mortar {

absl::Status CheckEdgeOptions(const EdgeOptions& o) {
  const int n_layers = o.model.n_layers;
  if (o.front_layers < 0 || o.back_layers < 0 || o.front_layers > n_layers - o.back_layers) {
    return InvalidArgument("the edge cannot keep " + std::to_string(o.front_layers) + " + " +
                           std::to_string(o.back_layers) + " of " + std::to_string(n_layers) +
                           " layers");
  }
  if (!o.show_tokens_to_cloud && (o.front_layers == 0 || o.back_layers == 0)) {
    return FailedPrecondition(
        "at least one layer at each end stays on the edge: without it the cloud can read the "
        "tokens; --show-tokens-to-cloud allows that");
  }
  if (o.model.n_embd < 1 || FrameRowsMax(o.model.n_embd) < 1) {
    return InvalidArgument("one row of " + std::to_string(o.model.n_embd) +
                           " floats does not fit a frame");
  }
  if (o.n_parallel < 1 || o.n_parallel > o.rows_max) {
    return InvalidArgument("sessions at a time: expected 1 to " + std::to_string(o.rows_max) +
                           ", got " + std::to_string(o.n_parallel));
  }
  if (o.drafting.max < 0 || o.drafting.max > kDraftMax) {
    return InvalidArgument("guesses of a step: expected 0 to " + std::to_string(kDraftMax) +
                           ", got " + std::to_string(o.drafting.max));
  }
  if (o.n_parallel > o.rows_max / o.drafting.step_rows()) {
    return InvalidArgument(std::to_string(o.n_parallel) + " sessions with " +
                           std::to_string(o.drafting.max) + " guesses each do not fit a batch of " +
                           std::to_string(o.rows_max) + " rows");
  }
  if (o.context_max < 2 || o.kv_pages * kKvPagePositions < o.context_max) {
    return InvalidArgument("KV of " + std::to_string(o.kv_pages * kKvPagePositions) +
                           " positions cannot hold a context of " + std::to_string(o.context_max));
  }
  return absl::OkStatus();
}

absl::Status CheckStops(const std::vector<std::string>& stops) {
  if (stops.size() > kStopsMax) {
    return InvalidArgument("at most " + std::to_string(kStopsMax) + " stop strings, got " +
                           std::to_string(stops.size()));
  }
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kStopBytesMax) {
      return InvalidArgument("a stop string has 1 to " + std::to_string(kStopBytesMax) +
                             " bytes, got " + std::to_string(stop.size()));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRequest(const EdgeOptions& o, const GenerateRequest& r) {
  if (r.prompt.empty()) return InvalidArgument("the prompt has no tokens");
  if (r.prompt.size() >= static_cast<size_t>(o.context_max)) {
    return InvalidArgument("the prompt has " + std::to_string(r.prompt.size()) +
                           " tokens, a context of " + std::to_string(o.context_max) +
                           " holds fewer: shorten it or raise -c");
  }
  for (const Token token : r.prompt) {
    if (token < 0 || token >= o.n_vocab) {
      return InvalidArgument("token " + std::to_string(token) + " is not in the vocabulary of " +
                             std::to_string(o.n_vocab));
    }
  }
  if (r.n_predict < 1) {
    return InvalidArgument("tokens to predict: expected 1 or more, got " +
                           std::to_string(r.n_predict));
  }
  RETURN_IF_ERROR(CheckStops(r.stops));
  if (r.chunk_rows < 0) return InvalidArgument("a chunk has 1 or more positions");
  return CheckSamplerOptions(r.sampler);
}

int EdgePositionsFor(const EdgeOptions& o, int n_prompt, int n_predict) {
  return n_prompt + std::min(o.context_max - n_prompt, n_predict);
}

int EdgePagesFor(const EdgeOptions& o, int n_prompt, int n_predict) {
  const int positions = EdgePositionsFor(o, n_prompt, n_predict);
  return (positions + kKvPagePositions - 1) / kKvPagePositions;
}

}  // namespace mortar
