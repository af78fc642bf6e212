// Goal: orders for the shards of a hop cross as they are; words that are none of them are refused
// with a reason before anything is done.
#include "protocol/shard_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using testing::HasSubstr;
using Words = std::vector<uint32_t>;

ShardOrder ReadBack(const ShardOrder& order) {
  Words words;
  WriteShardOrder(order, words);
  ShardOrder read;
  read.frames.push_back({9, 9, 9});  // of an order before
  read.places.push_back(9);
  const absl::Status status = ReadShardOrder(words, read);
  EXPECT_TRUE(status.ok()) << Message(status);
  return read;
}

std::string WhyNot(const Words& words) {
  ShardOrder order;
  return Message(ReadShardOrder(words, order));
}

TEST(ShardOrder, EachKindCrossesAsItIs) {
  ShardOrder load;
  load.kind = ShardOrderKind::kLoad;
  load.load = {
      .layers = {2, 28}, .kv = KvFormat::kQ80, .context = 4096, .sessions = 2, .model = {}};
  load.load.model.bytes.fill(0xfe);  // numbers beyond 2^31 are a digest's right
  EXPECT_EQ(ReadBack(load).load, load.load);

  ShardOrder batch;
  batch.kind = ShardOrderKind::kBatch;
  batch.frames = {{0, 5, 1}, {1023, 130000, 512}};
  const ShardOrder read = ReadBack(batch);
  EXPECT_EQ(read.kind, ShardOrderKind::kBatch);
  EXPECT_EQ(read.frames, batch.frames);
  EXPECT_EQ(RowsOf(read), 513);

  ShardOrder release;
  release.kind = ShardOrderKind::kRelease;
  release.places = {3, 0};
  EXPECT_EQ(ReadBack(release).places, release.places);
  EXPECT_EQ(ReadBack({}).kind, ShardOrderKind::kEnd);
}

TEST(ShardOrder, WordsThatAreNoOrderAreRefused) {
  EXPECT_THAT(WhyNot({}), HasSubstr("has 0 words"));
  EXPECT_THAT(WhyNot(Words(kShardOrderWordsMax + 1, 2)), HasSubstr("expected 1 to"));
  EXPECT_THAT(WhyNot({7}), HasSubstr("is of kind 7"));
  EXPECT_THAT(WhyNot({0}), HasSubstr("is of kind 0"));
  EXPECT_THAT(WhyNot({1, 2, 28}), HasSubstr("to load has 2 words, expected 13"));
  Words load(14);
  load[0] = 1;
  load[3] = 3;
  EXPECT_THAT(WhyNot(load), HasSubstr("KV format 3"));
  load[3] = 0;
  load[4] = 0x80000000;
  EXPECT_THAT(WhyNot(load), HasSubstr("too large"));
  EXPECT_THAT(WhyNot({2}), HasSubstr("to run a batch has 0 words"));
  EXPECT_THAT(WhyNot({2, 0, 5}), HasSubstr("to run a batch has 2 words"));
  EXPECT_THAT(WhyNot({2, 0, 5, 0}), HasSubstr("a frame without rows"));
  EXPECT_THAT(WhyNot({2, 0, 0xffffffff, 1}), HasSubstr("too large"));
  EXPECT_THAT(WhyNot({3}), HasSubstr("names no place"));
  EXPECT_THAT(WhyNot({4, 1}), HasSubstr("to end has more words"));
}

}  // namespace
}  // namespace mortar
