#include "cli/answering.h"

#include <optional>
#include <utility>

#include "cli/console.h"

namespace mortar {

std::vector<RouteNode> RouteOf(const Routed& routed, const LayerCut& cut,
                               const HostedModel& model) {
  const int n_layers = model.config.n_layers;
  const WeightShares shares = SharesOf(model.manifest, model.config.tied_head);
  const LayerRange front = {0, cut.front};
  const LayerRange back = {n_layers - cut.back, n_layers};
  std::vector<RouteNode> route;
  route.push_back({"edge", "edge", front, shares.embedding + shares.Of(front)});
  if (!routed.here.empty()) {
    route.push_back({"edge", "edge", routed.here, shares.Of(routed.here)});
  }
  for (const Hop& hop : routed.hops) {
    route.push_back({hop.name, "worker", hop.layers, shares.Of(hop.layers)});
  }
  route.push_back({"edge", "edge", back, shares.Of(back) + shares.head});
  return route;
}

absl::StatusOr<Finished> RunToEnd(Edge& edge, GenerateRequest request,
                                  const std::function<absl::Status()>& turn,
                                  const std::function<absl::Status(const Routed&)>& on_routed,
                                  const AnswerSinks& sinks) {
  ASSIGN_OR_RETURN(const RequestId id, edge.Submit(std::move(request)));
  absl::Status stopped;  // why we cancelled
  std::optional<Finished> finished;
  while (!finished) {
    RETURN_IF_ERROR(turn());
    while (std::optional<EdgeOutput> output = edge.PollOutput()) {
      if (output->request != id) continue;  // totals of an earlier one
      if (auto* end = std::get_if<Finished>(&output->what)) {
        finished = std::move(*end);
        break;
      }
      if (!stopped.ok()) continue;
      if (const auto* routed = std::get_if<Routed>(&output->what)) stopped = on_routed(*routed);
      if (const auto* token = std::get_if<TokenOut>(&output->what)) {
        stopped = sinks.on_token(*token);
      }
      if (!stopped.ok()) edge.Cancel(id);
    }
    if (!finished && stopped.ok() && InterruptSignal() != 0) {
      stopped = CheckInterrupted();
      edge.Cancel(id);
    }
  }
  if (!stopped.ok()) {
    RETURN_IF_ERROR(turn());  // sends the Cancel
    return stopped;
  }
  if (finished->reason == FinishReason::kError) return finished->status;
  return *std::move(finished);
}

}  // namespace mortar
