// What nodes are made of, however they are joined: the embedded run and the programs of one role
// build the same engines from the same options.
#pragma once

#include <memory>

#include "cli/hosted_model.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/placement.h"
#include "edge/drafter.h"
#include "edge/state.h"
#include "engine/batch/engine.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "protocol/messages.h"

namespace mortar {

// Rows of a batch. Frames are smaller than this; several may run together.
inline constexpr int kNodeRowsMax = 512;

// The name under which nodes agree that they have the same model: the digest of its bricks'
// digests, in their order, and what they keep its keys and values as.
ModelId ModelIdOf(const HostedModel& model, KvType kv);

// What an edge's sessions are like, however the rest is joined.
struct SessionOptions {
  LayerCut cut;
  bool show_tokens_to_cloud = false;
  int context = 4096;  // positions of a session
  KvType kv_type = KvType::kF16;
  Drafting drafting{};
};
// --front, --back, --kv, --ctx-size, and --draft where a command has it. UsageError when they do
// not fit the model.
absl::StatusOr<SessionOptions> ReadSessionOptions(const Settings& settings,
                                                  const ModelConfig& config);

// What an edge of such sessions is asked to be; what differs by how it is joined is set after.
EdgeOptions EdgeOptionsOf(const SessionOptions& session, const ModelId& model,
                          const std::string& name);

// Which weights a token reads at an edge of this model, for what it says of its speed.
void SayEdgeBytes(const HostedModel& model, EdgeOptions& options);

struct NodeEngineOptions {
  int context = 4096;  // positions of a session
  int sessions = 2;    // that have their KV at the same time
  KvType kv_type = KvType::kF16;
  int step_rows = 1;    // positions of a session's step that gives tokens (Drafting::step_rows)
  Sharding sharding{};  // of a worker that shares its layers
};

// The engine's options for them, with `logit_rows` rows of logits a batch.
EngineOptions EngineOptionsFor(const NodeEngineOptions& options, int logit_rows);

// What a worker's layer takes for the KV of all sessions that it admits.
uint64_t KvBytesPerLayer(const ModelConfig& config, const NodeEngineOptions& options);

// All of these outlive the engine.
struct NodeCompute {
  const HostedModel& model;
  const KernelTable& kernels;
  ThreadPool& pool;
};

// What the nodes of one process are made with. All of these outlive them.
struct NodeParts {
  const HostedModel& model;
  const KernelTable& kernels;
  ThreadPool& pool;
  const Clock& clock;
  const Logger& log;
};

// The edge's two parts (edge/jobs.h), which share KV pages.
absl::StatusOr<std::unique_ptr<Engine>> LoadEdgeEngine(const NodeCompute& compute,
                                                       const LayerCut& cut,
                                                       const NodeEngineOptions& options);
// The layers that a worker was told to host, and nothing else. DataLoss when the bricks are not
// this file's.
absl::StatusOr<std::unique_ptr<Engine>> LoadWorkerEngine(const NodeCompute& compute,
                                                         const Placement& placement,
                                                         const NodeEngineOptions& options);

}  // namespace mortar
