// Edge, coordinator and workers in one process: the same objects that run in processes of their
// own, joined by local queues and driven by one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/cut.h"
#include "cli/hosted_model.h"
#include "cli/reports.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status.h"
#include "edge/request.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"

namespace mortar {

struct EmbeddedOptions {
  CutRequest cut;
  bool show_tokens_to_cloud = false;
  int context = 4096;  // positions of a session
  KvType kv_type = KvType::kF16;
};

// The cut, --kv and --ctx-size. UsageError when they do not fit the model.
absl::StatusOr<EmbeddedOptions> ReadEmbeddedOptions(const Settings& settings,
                                                    const ModelConfig& config);

// Used by one thread.
class Embedded {
 public:
  // All of these outlive the object.
  struct Parts {
    const HostedModel& model;
    const KernelTable& kernels;
    ThreadPool& pool;
    const Clock& clock;
    const Logger& log;
  };

  // Starts all nodes and returns when every worker is ready, within ten minutes. Cancelled by a
  // signal.
  static absl::StatusOr<std::unique_ptr<Embedded>> Start(const EmbeddedOptions& options,
                                                         const Parts& parts);
  ~Embedded();

  // Runs one request to its end. `on_token` is called for each token of the answer. A signal, or
  // an error of `on_token`, cancels the request; that error, or the request's own, is returned.
  using OnToken = std::function<absl::Status(const TokenOut& token)>;
  absl::StatusOr<Finished> Generate(GenerateRequest request, const OnToken& on_token);

  // In the order in which a token passes.
  std::vector<RouteNode> Route() const;
  // Frames between neighbours on the route since the start.
  std::vector<HopTraffic> Traffic() const;

 private:
  struct State;
  explicit Embedded(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mortar
