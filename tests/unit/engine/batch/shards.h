// Shards of layers in one process: an engine and a thread for each, which meet at a barrier.
#pragma once

#include <barrier>
#include <memory>
#include <vector>

#include "tests/unit/engine/batch/tiny_engine.h"

namespace mortar {

// The gather of so many shards over shared memory.
class LocalGather {
 public:
  explicit LocalGather(int count) : count_(count), barrier_(count) {}

  AllGather Of(int shard);
  size_t bytes_sent() const { return bytes_sent_; }  // by the first shard, to one other

 private:
  const int count_;
  std::barrier<> barrier_;
  std::vector<std::byte> all_;  // of this gather
  size_t bytes_sent_ = 0;
};

// An engine of layers alone that is shared, as it is used where it is whole.
class ShardedEngine {
 public:
  // options.parts: layers alone.
  ShardedEngine(const TinyEngineOptions& options, int count);

  Engine& shard(int index) { return *shards_[static_cast<size_t>(index)]->engine; }
  int count() const { return static_cast<int>(shards_.size()); }
  const LocalGather& gather() const { return gather_; }

  // One step of the session whose pages each shard keeps at `session`: rows [n, n_embd].
  struct Rows {
    int session = 0;
    int position = 0;
  };
  // Pages are taken here. Every shard runs it on a thread of its own; all must give the same bits.
  std::vector<float> Run(const std::vector<Rows>& rows, const std::vector<float>& rows_in);

 private:
  LocalGather gather_;
  std::vector<std::unique_ptr<TinyEngine>> shards_;
  std::vector<std::vector<KvTable>> tables_;  // of each shard, by session
};

// As LogitsThroughCut, with `cloud` shared by `count` shards, in chunks of `chunk`.
std::vector<float> LogitsThroughShards(TinyEngineOptions options, LayerRange cloud, int count,
                                       const std::vector<int32_t>& tokens, int chunk);

}  // namespace mortar
