// One of several processes that run the same layers together: which outputs of each matrix it has.
//
// A matrix is cut by its output rows alone, attention by KV head, so that no sum is ever cut and
// the bits are those of one process. Shares differ where they must: three KV heads on two shards
// are one and two. Cuts lie between blocks of 32 where the outputs are rounded for the next
// product, so that whoever computes a block can round it, and between groups of eight elsewhere.
#pragma once

#include "common/status.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/config.h"

namespace mortar {

// Shard `index` of `count`; of one it is the whole.
struct ShardSpec {
  int index = 0;
  int count = 1;
};

// Each as [begin, end) of what the whole model has.
struct ShardShape {
  Share kv_heads;
  Share heads;   // query heads of those KV heads
  Share hidden;  // of n_ff: outputs of gate and up
  Share embd;    // of n_embd: outputs of o and down
};
inline int SizeOf(Share share) { return share.end - share.begin; }

// Needs: CheckShard.
ShardShape ShapeOf(const ModelConfig& config, ShardSpec shard);

// InvalidArgument for an index that is none of `count`, and for more shards than the model has KV
// heads (or groups of them that fill blocks), or blocks of the feed-forward.
absl::Status CheckShard(const ModelConfig& config, ShardSpec shard);

}  // namespace mortar
