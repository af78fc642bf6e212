// Goal: a worker that no layer fits is warned about, and no other.
#include "cli/worker_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using testing::HasSubstr;

WorkerOptions Options(uint64_t memory) {
  WorkerOptions options;
  options.memory_bytes = memory;
  options.kv_bytes_per_layer = 2048;
  options.sessions_max = 3;
  for (int i = 0; i < 4; ++i) {
    options.bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = 4096});
  }
  options.bricks[2].weight_bytes = 3072;
  return options;
}

TEST(RoomWarning, IsForAWorkerThatNotEvenTheSmallestLayerFits) {
  EXPECT_EQ(RoomWarning(Options(5120)), "");
  EXPECT_THAT(RoomWarning(Options(5119)),
              HasSubstr("the smallest one with the KV of 3 sessions needs 5 KiB, and 4 are free"));
}

TEST(RoomWarning, OfAFixedRunIsForAllOfIt) {
  WorkerOptions options = Options(6144);
  options.layers_only = {0, 1};
  EXPECT_EQ(RoomWarning(options), "");
  options.layers_only = {0, 2};
  EXPECT_THAT(RoomWarning(options),
              HasSubstr("those of --layers with the KV of 3 sessions needs 12"));
}

TEST(RoomWarning, IsNotForAWorkerThatDoesNotKnowItsMemory) {
  EXPECT_EQ(RoomWarning(Options(0)), "");
}

}  // namespace
}  // namespace mortar
