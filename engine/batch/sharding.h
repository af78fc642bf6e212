// How the shards of a layer run meet: they hand one another what each has computed of a row.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "engine/model/shard.h"

namespace mortar {

// Every shard calls it in the same order, with equal `ends`. Of `all`, bytes [ends[i - 1], ends[i])
// are shard i's (of the first: [0, ends[0])): its own are there, and when it returns true, those of
// all others too. False: they did not come, and whoever made the function knows why. Called by one
// thread; may wait for the others; allocates nothing once it has met the largest size.
using AllGather = std::function<bool(std::span<std::byte> all, std::span<const size_t> ends)>;

struct Sharding {
  ShardSpec shard;
  AllGather all_gather;  // where shard.count > 1
};

}  // namespace mortar
