// Goal: ranks that share layers get one another's shares, whoever is first; the leader's orders
// come with their rows, and loading is answered; a rank that breaks the order of messages, stands
// still or cannot be reached ends it with its name, and nothing is waited for in vain.
#include "protocol/mpi_shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "tests/support/local_mpi.h"
#include "tests/support/uneven_clocks.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr int kFirst = 2;  // the second hop's ranks
constexpr int kCount = 3;

class MpiShardsTest : public testing::Test {
 protected:
  MpiShardsTest() {
    for (int i = 0; i < kCount; ++i) shards_.push_back(Shard(i, clock_));
  }

  std::unique_ptr<MpiShards> Shard(int index, const Clock& clock) {
    return std::make_unique<MpiShards>(
        kFirst, kCount, kFirst + index,
        MpiShards::Parts{mpi_.functions(), mpi_.job(kFirst + index), calls_, clock,
                         [this] { return check_; },
                         [](int rank) { return "rank " + std::to_string(rank); }});
  }
  MpiShards& At(int index) { return *shards_[static_cast<size_t>(index)]; }
  // What ends a shard that waits.
  std::string Failure(const MpiShards& shard) {
    EXPECT_FALSE(shard.failure().ok());
    return Message(shard.failure());
  }
  // A gather of shares of 3, 1 and 2 bytes at one shard.
  static bool Gather(MpiShards& shard, std::string& all) {
    const size_t ends[] = {3, 4, 6};
    return shard.AllGather(std::as_writable_bytes(std::span(all)), ends);
  }

  SteadyClock clock_;
  HurriedClock hurried_{std::chrono::seconds(1)};
  absl::Status check_;
  std::mutex calls_;
  LocalMpi mpi_{kFirst + kCount + 1};
  std::vector<std::unique_ptr<MpiShards>> shards_;
};

// --- Good ---

TEST_F(MpiShardsTest, EachGetsTheSharesOfAllInEveryGather) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kCount; ++i) {
    threads.emplace_back([this, i] {
      for (char round = 'a'; round < 'a' + 20; ++round) {
        std::string all(6, '.');
        const size_t begins[] = {0, 3, 4, 6};
        for (size_t b = begins[i]; b < begins[i + 1]; ++b) all[b] = static_cast<char>(round + i);
        ASSERT_TRUE(Gather(At(i), all));
        const std::string want = {round,
                                  round,
                                  round,
                                  static_cast<char>(round + 1),
                                  static_cast<char>(round + 2),
                                  static_cast<char>(round + 2)};
        ASSERT_EQ(all, want) << "shard " << i;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(At(0).gathers(), 20u);
  EXPECT_EQ(At(0).bytes_sent(), 20u * 3 * 2);
  EXPECT_EQ(At(1).bytes_sent(), 20u * 1 * 2);
}

TEST_F(MpiShardsTest, OrdersComeInTurnWithTheirRows) {
  std::vector<uint32_t> order;
  EXPECT_FALSE(At(1).Hear(order));
  const std::vector<uint32_t> first = {2, 0, 7, 1};
  const std::vector<uint32_t> second = {4};
  const std::vector<float> rows = {1, 2, 3};
  ASSERT_TRUE(At(0).Tell(first, std::as_bytes(std::span(rows))));
  ASSERT_TRUE(At(0).Tell(second, {}));
  for (const int i : {1, 2}) {
    ASSERT_TRUE(At(i).Hear(order));
    EXPECT_EQ(order, first);
    std::vector<float> got(3);
    ASSERT_TRUE(At(i).HearRows(std::as_writable_bytes(std::span(got))));
    EXPECT_EQ(got, rows);
    ASSERT_TRUE(At(i).Hear(order));
    EXPECT_EQ(order, second);
    EXPECT_FALSE(At(i).Hear(order));
  }
}

TEST_F(MpiShardsTest, TheLeaderHearsHowEachHasLoaded) {
  ASSERT_TRUE(At(1).Answer(absl::OkStatus()));
  ASSERT_TRUE(At(2).Answer(absl::OkStatus()));
  EXPECT_TRUE(At(0).Answers().ok());
  ASSERT_TRUE(At(1).Answer(absl::OkStatus()));
  ASSERT_TRUE(At(2).Answer(ResourceExhausted("no memory for it")));
  EXPECT_EQ(Message(At(0).Answers()), "rank 4: no memory for it");
  EXPECT_TRUE(At(0).failure().ok());  // its caller reports it
}

TEST_F(MpiShardsTest, NoAnswerIsLeftForTheNextLoad) {
  ASSERT_TRUE(At(1).Answer(ResourceExhausted("no memory for it")));
  ASSERT_TRUE(At(2).Answer(ResourceExhausted("none either")));
  EXPECT_EQ(Message(At(0).Answers()), "rank 3: no memory for it");
  ASSERT_TRUE(At(1).Answer(absl::OkStatus()));
  ASSERT_TRUE(At(2).Answer(absl::OkStatus()));
  EXPECT_TRUE(At(0).Answers().ok());
}

TEST_F(MpiShardsTest, AJobThatWasSuspendedAsAWholeGoesOn) {
  const SuspendedClock clock([this] {
    mpi_.Put(3, 2, kShardGather, "x");
    mpi_.Put(4, 2, kShardGather, "yy");
  });
  const auto leader = Shard(0, clock);
  std::string all(6, '.');
  EXPECT_TRUE(Gather(*leader, all)) << Message(leader->failure());
  EXPECT_EQ(all, "...xyy");
}

// --- Bad ---

TEST_F(MpiShardsTest, AShareOfAnotherSizeOrAnotherMessageEndsIt) {
  std::string all(6, '.');
  mpi_.Put(3, 2, kShardGather, "xx");
  EXPECT_FALSE(Gather(At(0), all));
  EXPECT_THAT(Failure(At(0)), HasSubstr("rank 3: sent 2 bytes with tag 21"));
  mpi_.Put(4, 3, kShardOrder, "xx");  // beside the leader's share, which has come
  EXPECT_FALSE(Gather(At(1), all));
  EXPECT_THAT(Failure(At(1)), HasSubstr("rank 4: sent 2 bytes with tag 22"));
  EXPECT_FALSE(Gather(At(1), all));  // it stays
}

TEST_F(MpiShardsTest, AnOrderThatIsNoneEndsIt) {
  std::vector<uint32_t> order;
  mpi_.Put(2, 3, kShardOrder, "12345");
  EXPECT_TRUE(At(1).Hear(order));
  EXPECT_THAT(Failure(At(1)), HasSubstr("rank 2: sent an order of 5 bytes, expected whole words"));
  mpi_.Put(2, 4, kShardOrder, std::string(1 << 20, 'x'));
  EXPECT_TRUE(At(2).Hear(order));
  EXPECT_THAT(Failure(At(2)), HasSubstr("sent 1048576 bytes with tag 22"));
}

TEST_F(MpiShardsTest, AnAnswerThatIsNoneEndsIt) {
  mpi_.Put(3, 2, kShardAnswer, std::string(kShardAnswerBytesMax + 1, 'x'));
  EXPECT_FALSE(At(0).Answers().ok());
  EXPECT_THAT(Failure(At(0)), HasSubstr("rank 3: sent 1025 bytes"));
}

// --- Good turning bad ---

TEST_F(MpiShardsTest, ARankThatStandsStillEndsItAfterALimitAndIsNamed) {
  const auto other = Shard(1, hurried_);
  std::vector<float> rows(1);
  EXPECT_FALSE(other->HearRows(std::as_writable_bytes(std::span(rows))));
  EXPECT_THAT(Failure(*other), HasSubstr("rank 2: shares layers, and has stood still for 11 s"));
  mpi_.Put(3, 2, kShardGather, "x");
  std::string all(6, '.');
  const auto leader = Shard(0, hurried_);
  EXPECT_FALSE(Gather(*leader, all));
  EXPECT_THAT(Failure(*leader), HasSubstr("rank 4: shares layers, and has stood still for 10 s"));
}

// The second waits for the third, and knows it.
TEST_F(MpiShardsTest, OneThatMissesSeveralLetsThoseSpeakWhoMissOne) {
  const auto leader = Shard(0, hurried_);
  std::string all(6, '.');
  EXPECT_FALSE(Gather(*leader, all));
  EXPECT_EQ(Failure(*leader),
            "rank 3, rank 4: they share layers, and one of them has stood still for 13 s amid a "
            "step");
}

TEST_F(MpiShardsTest, AnOrderThatDoesNotLeaveEndsItAfterALimit) {
  mpi_.Hold();
  const auto leader = Shard(0, hurried_);
  EXPECT_FALSE(leader->Tell(std::vector<uint32_t>{4}, {}));
  EXPECT_THAT(Failure(*leader), HasSubstr("rank 3, rank 4: they share layers, and one of them"));
}

TEST_F(MpiShardsTest, ARankThatNeverLoadsEndsItAfterALimit) {
  const auto leader = Shard(0, hurried_);
  EXPECT_EQ(Message(leader->Answers()), "rank 3: has not loaded its layers within 600 s");
}

TEST_F(MpiShardsTest, WhoeverWaitsHeedsASignal) {
  check_ = Cancelled("interrupted");
  std::string all(6, '.');
  EXPECT_FALSE(Gather(At(0), all));
  EXPECT_EQ(Failure(At(0)), "interrupted");
  EXPECT_EQ(Message(Shard(0, clock_)->Answers()), "interrupted");
}

TEST_F(MpiShardsTest, ASendThatFailsEndsIt) {
  mpi_.FailSends(7);
  std::string all(6, '.');
  EXPECT_FALSE(Gather(At(0), all));
  EXPECT_THAT(Failure(At(0)), HasSubstr("rank 3: MPI: sending: error 7"));
  EXPECT_FALSE(At(0).Tell(std::vector<uint32_t>{4}, {}));
}

}  // namespace
}  // namespace mortar
