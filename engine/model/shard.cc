#include "engine/model/shard.h"

#include <numeric>
#include <string>

#include "engine/kernels/kernels.h"

namespace mortar {
namespace {

// KV heads whose query heads' outputs fill whole blocks together.
int KvHeadsOfUnit(const ModelConfig& c) {
  return kBlock / std::gcd(kBlock, c.n_heads / c.n_kv_heads * c.head_dim);
}

int UnitsOf(int n, int unit) { return (n + unit - 1) / unit; }

}  // namespace

ShardShape ShapeOf(const ModelConfig& c, ShardSpec shard) {
  const auto share = [&](int n, int unit) { return ShareOf(n, unit, shard.index, shard.count); };
  const int group = c.n_heads / c.n_kv_heads;
  const Share kv_heads = share(c.n_kv_heads, shard.count == 1 ? 1 : KvHeadsOfUnit(c));
  return {.kv_heads = kv_heads,
          .heads = {kv_heads.begin * group, kv_heads.end * group},
          .hidden = share(c.n_ff, kBlock),
          .embd = share(c.n_embd, kLanes)};
}

absl::Status CheckShard(const ModelConfig& c, ShardSpec shard) {
  if (shard.count < 1 || shard.index < 0 || shard.index >= shard.count) {
    return InvalidArgument("shard " + std::to_string(shard.index) + " of " +
                           std::to_string(shard.count) + " is none");
  }
  if (shard.count == 1) return absl::OkStatus();
  const auto too_few = [&](int units, const std::string& of_what) {
    return InvalidArgument("layers shared by " + std::to_string(shard.count) + ": this model's " +
                           of_what + " can be shared by at most " + std::to_string(units));
  };
  const int units = UnitsOf(c.n_kv_heads, KvHeadsOfUnit(c));
  if (units < shard.count) return too_few(units, std::to_string(c.n_kv_heads) + " KV heads");
  const int blocks = UnitsOf(c.n_ff, kBlock);
  if (blocks < shard.count) {
    return too_few(blocks, "feed-forward of " + std::to_string(c.n_ff) + " outputs");
  }
  const int groups = UnitsOf(c.n_embd, kLanes);
  if (groups < shard.count) return too_few(groups, "rows of " + std::to_string(c.n_embd));
  return absl::OkStatus();
}

}  // namespace mortar
