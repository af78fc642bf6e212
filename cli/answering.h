// The nodes that answer one request, whatever joins them: all in this process, or an edge here and
// the rest elsewhere.
#pragma once

#include <functional>
#include <vector>

#include "cli/cut.h"
#include "cli/hosted_model.h"
#include "cli/reports.h"
#include "common/status.h"
#include "edge/loop.h"
#include "edge/request.h"

namespace mortar {

struct AnswerSinks {
  // The way that a token takes: before the first one, and again when a worker was replaced.
  std::function<absl::Status(const std::vector<RouteNode>& route)> on_route;
  std::function<absl::Status(const TokenOut& token)> on_token;
};

// Used by one thread.
class AnsweringNodes {
 public:
  virtual ~AnsweringNodes() = default;

  // Runs one request to its end. A signal, or an error of a sink, cancels the request; that error,
  // or the request's own, is returned.
  virtual absl::StatusOr<Finished> Generate(GenerateRequest request, const AnswerSinks& sinks) = 0;
  // Frames between neighbours on the last answer's last route.
  virtual std::vector<HopTraffic> Traffic() const = 0;
  // What these nodes still do once the answer was written.
  virtual absl::Status Afterwards() { return absl::OkStatus(); }
};

// The route as a table shows it: the edge's own layers at both ends of the hops, or of those that
// it took over.
std::vector<RouteNode> RouteOf(const Routed& routed, const LayerCut& cut, const HostedModel& model);

// Submits a request and turns `edge` by `turn()` until it is over, or `turn` gives an error: that
// of nodes without which nothing goes on. `on_routed` is called for each route that it gets.
absl::StatusOr<Finished> RunToEnd(Edge& edge, GenerateRequest request,
                                  const std::function<absl::Status()>& turn,
                                  const std::function<absl::Status(const Routed&)>& on_routed,
                                  const AnswerSinks& sinks);

}  // namespace mortar
