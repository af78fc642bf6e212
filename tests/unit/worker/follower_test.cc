// Goal: the other shards of a hop do what their leader's jobs do: batches over the same places, and
// releases that give pages back; orders that break a bound are refused, and one that was started
// otherwise than its leader does not begin.
#include "worker/follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tiny_model.h"
#include "worker/jobs.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kContext = 128;
constexpr int kSessions = 2;
constexpr int kRowsMax = 32;
constexpr LayerRange kLayers = {1, 3};

class FollowerTest : public testing::Test {
 protected:
  FollowerTest() : pool_(*ThreadPool::Create(1)), leader_(*LoadLayers(kLayers)) {}

  // The whole layers: what a share gives is tests/unit/engine/batch/shards_test.cc's.
  absl::StatusOr<std::unique_ptr<Engine>> LoadLayers(LayerRange layers) {
    auto file = GgufFile::FromBytes(MakeTinyModel({}).Bytes(), "tiny.gguf");
    RETURN_IF_ERROR(file.status());
    EngineOptions options;
    options.kv_positions_max = kContext * kSessions;
    options.context_max = kContext;
    options.rows_max = kRowsMax;
    return Engine::Load(**file, {PartSpec{false, layers, false}}, options, **SelectKernels(""),
                        *pool_);
  }
  static ShardLoad Loading(LayerRange layers) {
    ShardLoad load;
    load.layers = layers;
    load.context = kContext;
    load.sessions = kSessions;
    load.model.bytes.fill(7);
    return load;
  }
  Follower NewFollower() {
    return Follower(Loading({}), [this](LayerRange layers) { return LoadLayers(layers); });
  }

  RowsPool rows_pool_;
  SteadyClock clock_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Engine> leader_;
};

RunningFrame Frame(int place, int base, Rows rows) {
  RunningFrame frame;
  frame.place = place;
  frame.envelope.base = static_cast<uint32_t>(base);
  frame.envelope.n = static_cast<uint32_t>(rows.n());
  frame.n = rows.n();
  frame.envelope.rows_wanted = RowsWanted::kAll;
  frame.rows_in = std::move(rows);
  return frame;
}

TEST_F(FollowerTest, DoesWhatTheLeadersJobsDo) {
  Follower follower = NewFollower();
  ASSERT_TRUE(follower.Load(Loading(kLayers)).ok());
  std::vector<ShardOrder> orders;
  const TellShards tell = [&](const ShardOrder& order, std::span<const float> rows) {
    orders.push_back(order);
    if (order.kind == ShardOrderKind::kBatch) {
      ASSERT_EQ(static_cast<int64_t>(rows.size()), RowsOf(order) * 64);
      ASSERT_TRUE(follower.Run(order.frames, rows.data()).ok());
    } else {
      ASSERT_TRUE(follower.Release(order.places).ok());
    }
  };
  BatchJob batch(rows_pool_, clock_, tell);
  std::vector<KvTable> tables(kSessions);
  // The prompt of one session, then a token of each.
  const std::vector<std::vector<ShardFrame>> steps = {{{1, 0, 20}}, {{0, 0, 1}, {1, 20, 1}}};
  for (const auto& step : steps) {
    std::vector<RunningFrame> frames;
    for (const ShardFrame& f : step) {
      Rows rows = rows_pool_.Take(f.n, 64);
      std::fill_n(rows.mutable_data(), f.n * 64, 0.25f);
      ASSERT_TRUE(
          leader_->kv().Reserve(tables[static_cast<size_t>(f.place)], f.base, f.base + f.n).ok());
      frames.push_back(Frame(f.place, f.base, std::move(rows)));
    }
    batch.Prepare(*leader_, frames, tables);
    batch.Run();
    EXPECT_EQ(orders.back().frames, step);
    EXPECT_EQ(follower.positions_free(), leader_->kv().positions_free());
  }
  EXPECT_LT(follower.positions_free(), kContext * kSessions);
  ReleaseJob release(tell);
  release.places = {1, 0};
  release.pool = &leader_->kv();
  release.tables = &tables;
  release.Run();
  EXPECT_THAT(orders.back().places, ElementsAre(1, 0));
  EXPECT_EQ(follower.positions_free(), kContext * kSessions);
  EXPECT_EQ(leader_->kv().positions_free(), kContext * kSessions);
}

// A prompt that runs in slices beside sessions that decode (worker/plan.cc).
TEST_F(FollowerTest, OfASlicedFrameItIsToldTheRowsThatRun) {
  std::vector<ShardOrder> orders;
  std::vector<float> first_of_each;
  const TellShards tell = [&](const ShardOrder& order, std::span<const float> rows) {
    orders.push_back(order);
    ASSERT_EQ(static_cast<int64_t>(rows.size()), RowsOf(order) * 64);
    first_of_each.push_back(rows[0]);
  };
  BatchJob batch(rows_pool_, clock_, tell);
  std::vector<KvTable> tables(kSessions);
  ASSERT_TRUE(leader_->kv().Reserve(tables[0], 0, 20).ok());
  Rows rows = rows_pool_.Take(20, 64);
  for (int i = 0; i < 20 * 64; ++i) rows.mutable_data()[i] = static_cast<float>(i / 64) / 32;
  std::vector<RunningFrame> frames;
  frames.push_back(Frame(0, 0, std::move(rows)));
  for (const ShardFrame& slice : {ShardFrame{0, 0, 8}, ShardFrame{0, 8, 12}}) {
    frames[0].first = slice.base;
    frames[0].n = slice.n;
    batch.Prepare(*leader_, frames, tables);
    batch.Run();
    EXPECT_THAT(orders.back().frames, ElementsAre(slice));
  }
  EXPECT_THAT(first_of_each, ElementsAre(0.0f, 0.25f));
  leader_->kv().Release(tables[0]);
}

TEST_F(FollowerTest, OneThatWasStartedOtherwiseDoesNotBegin) {
  Follower follower = NewFollower();
  const auto refused = [&](void (*change)(ShardLoad&)) {
    ShardLoad wanted = Loading(kLayers);
    change(wanted);
    const std::string why = Message(follower.Load(wanted));
    EXPECT_EQ(follower.engine(), nullptr);
    return why;
  };
  EXPECT_THAT(refused([](ShardLoad& l) { l.kv = KvFormat::kF32; }),
              HasSubstr("shares layers with a rank that has model 0707070707070707…, KV in f32"));
  EXPECT_THAT(refused([](ShardLoad& l) { l.context = 64; }), HasSubstr("a context of 64"));
  EXPECT_THAT(refused([](ShardLoad& l) { l.sessions = 3; }), HasSubstr("3 sessions"));
  EXPECT_THAT(refused([](ShardLoad& l) { l.model.bytes.fill(8); }), HasSubstr("model 08080808"));
  EXPECT_THAT(refused([](ShardLoad& l) { l.layers = {3, 9}; }), HasSubstr("[3, 9)"));
  EXPECT_TRUE(follower.Load(Loading(kLayers)).ok());
}

TEST_F(FollowerTest, OrdersThatBreakABoundAreRefused) {
  Follower follower = NewFollower();
  const auto why = [&](const std::vector<ShardFrame>& frames) {
    return Message(follower.CheckBatch(frames));
  };
  EXPECT_THAT(why({{0, 0, 1}}), HasSubstr("before layers are loaded"));
  EXPECT_THAT(Message(follower.Release({{0}})), HasSubstr("before layers are loaded"));
  ASSERT_TRUE(follower.Load(Loading(kLayers)).ok());
  EXPECT_EQ(why({{0, 0, 1}}), "");
  EXPECT_EQ(why({{0, kContext - 1, 1}}), "");
  EXPECT_THAT(why({{kSessions, 0, 1}}), HasSubstr("names place 2 of 2"));
  EXPECT_THAT(why({{-1, 0, 1}}), HasSubstr("names place -1"));
  EXPECT_THAT(why({{0, kContext, 1}}), HasSubstr("1 positions from 128 of a context of 128"));
  EXPECT_THAT(why({{0, 2'000'000'000, 2'000'000'000}}), HasSubstr("of a context of 128"));
  EXPECT_THAT(why({{0, 0, 20}, {1, 0, 20}}), HasSubstr("runs 40 rows, expected 1 to 32"));
  EXPECT_THAT(why({}), HasSubstr("runs 0 rows"));
  EXPECT_THAT(Message(follower.Release(std::vector<int>{5})), HasSubstr("names place 5 of 2"));
}

}  // namespace
}  // namespace mortar
