// Edge, coordinator and workers in one process: the same objects that run in processes of their
// own, joined by local queues and driven by one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/answering.h"
#include "cli/node_parts.h"
#include "cli/reports.h"
#include "common/status.h"
#include "edge/request.h"

namespace mortar {

struct EmbeddedOptions {
  SessionOptions session;
  int workers = 1;         // 0: the edge keeps all layers
  std::vector<int> sizes;  // layers of each worker; empty: even
};

// As ReadSessionOptions, with --workers and --layers. UsageError when they do not fit the model.
absl::StatusOr<EmbeddedOptions> ReadEmbeddedOptions(const Settings& settings,
                                                    const ModelConfig& config);

// Used by one thread.
class Embedded final : public AnsweringNodes {
 public:
  // Starts all nodes and returns when every worker is ready, within ten minutes. Cancelled by a
  // signal.
  static absl::StatusOr<std::unique_ptr<Embedded>> Start(const EmbeddedOptions& options,
                                                         const NodeParts& parts);
  ~Embedded() override;

  absl::StatusOr<Finished> Generate(GenerateRequest request, const AnswerSinks& sinks) override;
  std::vector<HopTraffic> Traffic() const override;

 private:
  struct State;
  explicit Embedded(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mortar
