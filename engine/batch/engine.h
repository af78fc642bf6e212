// The engine of one node: the bricks that it hosts, compiled, and the KV of its sessions.
//
// A part is a contiguous run that is executed as one program (engine/model/program.h).
// A worker has one part; an edge has two, front and back, which share one pool of KV pages
// and, where the head is tied to the embedding, one copy of that matrix.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/layer_range.h"
#include "common/status.h"
#include "engine/batch/executor.h"
#include "engine/batch/kv_pages.h"
#include "engine/batch/sharding.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/config.h"
#include "engine/model/program.h"

namespace mortar {

inline constexpr int kBatchRowsMax = 4096;  // scratch memory grows with them

struct EngineOptions {
  KvType kv_type = KvType::kF16;
  int kv_positions_max = 0;  // over all sessions
  int context_max = 0;       // positions of one session: the length of the rotation table
  int rows_max = 512;        // of one batch, at most kBatchRowsMax
  int logit_rows_max = 1;    // of one batch
  Sharding sharding{};       // of a node whose parts are layers alone
};

// For an engine that is loaded while another one computes.
struct LoadBeside {
  ThreadPool& packing;            // packs the weights; used by the loading thread alone
  const std::atomic<bool>& stop;  // true: the load ends before the next tensor, Cancelled
};

// Used by one thread at a time. Run() cannot fail and allocates nothing. Of shards all run the same
// batches in the same order; where a gather failed, this step's rows and all later ones are
// nothing: whoever made the gather is asked before they are used.
class Engine {
 public:
  // Reads from `file` the tensors of these parts alone, repacks them and drops the file's
  // pages as it goes. InvalidArgument names the tensor that is missing or has a wrong shape, the
  // encoder that was asked for a head, heads that q8_0 cannot hold, or what cannot be a shard;
  // ResourceExhausted says how much memory was wanted.
  // `pool` and `kernels` outlive the engine. With `beside`, which need not, loading leaves `pool`
  // to whoever computes on it meanwhile.
  static absl::StatusOr<std::unique_ptr<Engine>> Load(const GgufFile& file,
                                                      std::vector<PartSpec> parts,
                                                      const EngineOptions& options,
                                                      const KernelTable& kernels, ThreadPool& pool,
                                                      const LoadBeside* beside = nullptr);
  ~Engine();

  const ModelConfig& config() const;
  const EngineOptions& options() const;
  KvPool& kv();
  uint64_t weight_bytes() const;  // resident, after repacking
  // Of an engine with such options, beside weights and KV: scratch and rotation tables. `pool`:
  // its.
  static uint64_t ScratchBytes(const ModelConfig& config, const EngineOptions& options,
                               const KernelTable& kernels, ThreadPool& pool);
  uint64_t touched_bytes(int part) const;  // weights read by one step of `part`

  void Run(int part, const Batch& batch);

 private:
  Engine();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mortar
