// The edge: one loop that owns its sessions and its part of the model.
#pragma once

#include <memory>
#include <optional>

#include "common/clock.h"
#include "common/job_queue.h"
#include "common/log.h"
#include "common/pump.h"
#include "edge/middle.h"
#include "edge/state.h"
#include "engine/batch/engine.h"
#include "protocol/transport.h"

namespace mortar {

class Edge final : public Loop {
 public:
  // All of these outlive the edge; `jobs` and `engine` are the edge's alone. The engine has two
  // parts, front and back as kFrontPart and kBackPart say (jobs.h), rows_max and context_max of
  // the options, and logit_rows_max >= n_parallel * drafting.step_rows().
  struct Parts {
    Transport& transport;
    const Clock& clock;
    JobQueue& jobs;
    const Logger& log;
    Engine& engine;
    const Tokenizer& tokenizer;
    const KeyPair* keys = nullptr;  // of this node, where EdgeOptions::sealed; else null
    // Where it may take over the layers between its own: what loads them, and a queue of a thread
    // of its own for it, the edge's alone. The edge ends when a load that runs has ended.
    LoadMiddle load_middle = {};
    JobQueue* loading = nullptr;
  };
  // As CheckEdgeOptions. takes_over, kv_pages, n_vocab and context_max follow from the parts.
  static absl::StatusOr<std::unique_ptr<Edge>> Create(EdgeOptions options, Parts parts);
  ~Edge() override;

  bool Step() override;
  Duration Patience() const override;

  // As CheckRequest. What becomes of the request comes out of PollOutput, Finished last.
  absl::StatusOr<RequestId> Submit(GenerateRequest request);
  void Cancel(RequestId request);  // nothing when it has ended
  std::optional<EdgeOutput> PollOutput();

  const EdgeState& state() const;

 private:
  struct Rest;
  explicit Edge(std::unique_ptr<Rest> rest);
  std::unique_ptr<Rest> rest_;
};

}  // namespace mortar
