// What the leader of a hop has the other shards of its layers do. They keep the KV of the same
// sessions in the same places, each for its own heads, and run every batch with it.
//
// Crosses between processes of one program as words of 32 bits:
//
//   kind     | words behind it                                   | and behind them
//   ---------+---------------------------------------------------+------------------------------
//   kLoad    | layers begin, end, KV format, context, sessions,  | an answer from each shard,
//            | 8 of the model's digest                           | for loading may fail
//   kBatch   | for each frame: place, base, n                    | rows, as a message of its own
//   kRelease | places                                            |
//   kEnd     |                                                   |
//
// A place is the leader's; a session keeps it from its first batch to its release.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/layer_range.h"
#include "common/status.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace mortar {

// Processes that share the layers of one hop: more heads than that have few models.
inline constexpr int kShardsMax = 8;

enum class ShardOrderKind : uint32_t { kLoad = 1, kBatch = 2, kRelease = 3, kEnd = 4 };

// All shards must agree on these: they are what KV and results depend on.
struct ShardLoad {
  LayerRange layers;
  KvFormat kv = KvFormat::kF16;
  int context = 0;   // positions of one session
  int sessions = 0;  // places
  Digest model{};    // of the whole model's bricks
  bool operator==(const ShardLoad&) const = default;
};

// Positions [base, base + n) of the session at a place.
struct ShardFrame {
  int place = 0;
  int base = 0;
  int n = 0;
  bool operator==(const ShardFrame&) const = default;
};

struct ShardOrder {
  ShardOrderKind kind = ShardOrderKind::kEnd;
  ShardLoad load;                  // of kLoad
  std::vector<ShardFrame> frames;  // of kBatch, in the order of their rows
  std::vector<int> places;         // of kRelease
};

inline constexpr size_t kShardOrderWordsMax = 16 + 3 * static_cast<size_t>(kWorkerSessionsMax);

// Into `words`, whose memory is used again.
void WriteShardOrder(const ShardOrder& order, std::vector<uint32_t>& words);
// Likewise into `order`. InvalidArgument: an unknown kind, a length that does not go with it, a
// number beyond 2^31, a batch without rows.
absl::Status ReadShardOrder(std::span<const uint32_t> words, ShardOrder& order);

// Of all frames.
int64_t RowsOf(const ShardOrder& order);

}  // namespace mortar
