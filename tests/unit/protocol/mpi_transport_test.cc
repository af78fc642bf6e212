// Goal: nodes of an MPI job get what was sent to them, in order and with its rows, count it once at
// its sender, and bound what waits; whatever breaks the protocol ends the job with a reason.
#include "protocol/mpi_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/protocol/mpi_ranks.h"

namespace mortar {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::HasSubstr;

// --- What arrives ---

TEST_F(MpiTransportTest, FramesComeInOrderWithTheirRowsOnSixtyFourBytes) {
  for (int step = 1; step <= 3; ++step) {
    ASSERT_TRUE(edge_->Send(kFirst, Frame(static_cast<uint64_t>(step), step)).ok());
  }
  ASSERT_TRUE(edge_->Send(kFirst, Cancel{}).ok());
  for (int step = 1; step <= 3; ++step) {
    const auto incoming = first_->Poll();
    ASSERT_TRUE(Is<Activation>(incoming));
    EXPECT_EQ(incoming->from, kEdge);
    const auto& frame = std::get<Activation>(incoming->message);
    const Activation sent = Frame(static_cast<uint64_t>(step), step);
    EXPECT_EQ(frame.envelope, sent.envelope);
    ASSERT_EQ(frame.rows.bytes(), sent.rows.bytes());
    EXPECT_EQ(std::memcmp(frame.rows.data(), sent.rows.data(), sent.rows.bytes()), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(frame.rows.data()) % 64, 0u);
  }
  EXPECT_TRUE(Is<Cancel>(first_->Poll()));
  EXPECT_FALSE(first_->Poll().has_value());
}

TEST_F(MpiTransportTest, TheTwoNodesOfRankZeroGetTheirOwn) {
  ASSERT_TRUE(first_->Send(kEdge, Frame(1, 1)).ok());
  ASSERT_TRUE(first_->Send(kCoordinatorNode, Alive{}).ok());
  ASSERT_TRUE(second_->Send(kCoordinatorNode, Alive{}).ok());
  EXPECT_EQ(Sender(coordinator_->Poll()), kFirst);
  EXPECT_EQ(Sender(coordinator_->Poll()), kSecond);
  EXPECT_FALSE(coordinator_->Poll().has_value());
  EXPECT_TRUE(Is<Activation>(edge_->Poll()));
  EXPECT_FALSE(edge_->Poll().has_value());
}

TEST_F(MpiTransportTest, TheTwoNodesOfRankZeroReachOneAnotherBeforeAnyRankDoes) {
  ASSERT_TRUE(first_->Send(kCoordinatorNode, Alive{}).ok());
  ASSERT_TRUE(edge_->Send(kCoordinatorNode, Hello{}).ok());
  EXPECT_EQ(Sender(coordinator_->Poll()), kEdge);
  EXPECT_EQ(Sender(coordinator_->Poll()), kFirst);
}

TEST_F(MpiTransportTest, AnEmptyAnswerHasNoRows) {
  ASSERT_TRUE(second_->Send(kEdge, Frame(4, 0)).ok());
  const auto incoming = edge_->Poll();
  ASSERT_TRUE(Is<Activation>(incoming));
  EXPECT_EQ(std::get<Activation>(incoming->message).envelope.step, 4u);
  EXPECT_TRUE(std::get<Activation>(incoming->message).rows.empty());
}

TEST_F(MpiTransportTest, RowsThatAreLateComeBeforeWhatTheirSenderSentLater) {
  const Activation frame = Frame(1, 1);
  mpi_.Put(0, 1, kMpiHeadOfTwo, HeadOf(kEdge, kFirst, frame));
  EXPECT_FALSE(first_->Poll().has_value());
  mpi_.Put(2, 1, kMpiHead, HeadOf(kSecond, kFirst, Alive{}));  // waits for nobody
  EXPECT_EQ(Sender(first_->Poll()), kSecond);
  mpi_.Put(0, 1, kMpiRows, {reinterpret_cast<const char*>(frame.rows.data()), frame.rows.bytes()});
  mpi_.Put(0, 1, kMpiHead, HeadOf(kEdge, kFirst, Cancel{}));
  EXPECT_TRUE(Is<Activation>(first_->Poll()));
  EXPECT_TRUE(Is<Cancel>(first_->Poll()));
  EXPECT_TRUE(networks_[1]->failure().ok());
}

TEST_F(MpiTransportTest, ANodeOfNoRankIsNotFound) {
  EXPECT_EQ(edge_->Send(NodeOfRank(3), Alive{}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(edge_->Send(kNoNode, Alive{}).code(), absl::StatusCode::kNotFound);
}

// --- Counting and limits ---

TEST_F(MpiTransportTest, CountsFramesOnceAtTheirSender) {
  const Activation frame = Frame(1, 3);
  const size_t bytes = HeadOf(kEdge, kFirst, frame).size() + frame.rows.bytes();
  EXPECT_EQ(edge_->BytesOf(frame), bytes);
  ASSERT_TRUE(edge_->Send(kFirst, frame).ok());
  ASSERT_TRUE(edge_->Send(kFirst, Cancel{}).ok());
  ASSERT_EQ(edge_->Links().size(), 1u);
  const LinkCounters link = edge_->Links()[0];
  EXPECT_EQ(link.to, kFirst);
  EXPECT_EQ(link.frames, 1u);
  EXPECT_EQ(link.frame_bytes, bytes);
  EXPECT_EQ(link.rows, 3u);
  EXPECT_EQ(link.others, 1u);
  (void)first_->Poll();
  EXPECT_TRUE(first_->Links().empty());
}

TEST_F(MpiTransportTest, WhatWaitsForARankIsBoundedInBytesAndTakesMoreOnceItHasLeft) {
  mpi_.Hold();
  const Activation frame = Frame(1, FrameRowsMax(kWidth));
  size_t sent = 0;
  absl::Status status;
  while ((status = edge_->Send(kFirst, frame)).ok()) sent += edge_->BytesOf(frame);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(status), HasSubstr("rank 1 is full"));
  EXPECT_LE(sent, kQueueBytesPerPeerMax);
  EXPECT_GT(sent + edge_->BytesOf(frame), kQueueBytesPerPeerMax);
  EXPECT_TRUE(edge_->Send(kSecond, frame).ok()) << "each rank has a queue of its own";
  mpi_.LetGo();
  EXPECT_TRUE(edge_->Send(kFirst, frame).ok());
  EXPECT_EQ(edge_->Links()[0].refused, 1u);
}

TEST_F(MpiTransportTest, WhatWaitsForARankIsBoundedInMessages) {
  mpi_.Hold();
  size_t sent = 0;
  while (edge_->Send(kFirst, Alive{}).ok()) ++sent;
  EXPECT_EQ(sent, kQueueMessagesPerPeerMax);
}

TEST_F(MpiTransportTest, ANodeThatDoesNotPollKeepsNoMoreThanARoundOfMessagesHere) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(first_->Send(kEdge, Alive{}).ok());
  ASSERT_TRUE(first_->Send(kCoordinatorNode, Alive{}).ok());
  // However often it looks: its message is behind more than a round for the edge.
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(coordinator_->Poll().has_value());
  int n = 0;
  while (edge_->Poll()) ++n;
  EXPECT_EQ(n, 1000);
  EXPECT_TRUE(coordinator_->Poll().has_value());
}

TEST(MpiNap, IsASixteenthOfTheQuietWithinItsBounds) {
  EXPECT_EQ(MpiNap(microseconds(0)), microseconds(20));
  EXPECT_EQ(MpiNap(milliseconds(8)), microseconds(500));
  EXPECT_EQ(MpiNap(std::chrono::seconds(10)), milliseconds(1));
}

TEST_F(MpiTransportTest, WaitEndsWithAMessageOrWithItsTime) {
  const Time start = clock_.Now();
  networks_[1]->Wait(milliseconds(20));
  EXPECT_GE(clock_.Now() - start, milliseconds(20));
  ASSERT_TRUE(edge_->Send(kFirst, Alive{}).ok());
  networks_[1]->Wait(std::chrono::hours(1));
  EXPECT_TRUE(first_->Poll().has_value());
}

// --- What breaks the protocol ---

TEST_F(MpiTransportTest, BytesThatAreNoMessageEndTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHead, std::string(64, '\xff')}}), HasSubstr("rank 2"));
}

TEST_F(MpiTransportTest, AHeadOfAWrongSizeEndsTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHead, "12345"}}), HasSubstr("rank 2: sent 5 bytes with tag 1"));
}

TEST_F(MpiTransportTest, AHeadBeyondTheLimitEndsTheJobBeforeItIsTaken) {
  EXPECT_THAT(FailureAfter({{kMpiHead, std::string(kMessageBytesMax + 8, '\0')}}),
              HasSubstr("at most 524288"));
}

TEST_F(MpiTransportTest, AnUnknownTagEndsTheJob) {
  EXPECT_THAT(FailureAfter({{9, ""}}), HasSubstr("with tag 9"));
}

TEST_F(MpiTransportTest, RowsOfAnotherSizeThanTheirEnvelopeSaysEndTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHeadOfTwo, HeadOf(kSecond, kFirst, Frame(1, 2))},
                            {kMpiRows, std::string(2 * kWidth * 4 - 4, '\0')}}),
              HasSubstr("expected 512 bytes of rows"));
}

TEST_F(MpiTransportTest, AnotherMessageWhereRowsShouldFollowEndsTheJob) {
  const std::string alive = HeadOf(kSecond, kFirst, Alive{});
  EXPECT_THAT(
      FailureAfter({{kMpiHeadOfTwo, HeadOf(kSecond, kFirst, Frame(1, 1))}, {kMpiHead, alive}}),
      HasSubstr("expected 256 bytes of rows"));
}

TEST_F(MpiTransportTest, RowsWithoutAFrameEndTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiRows, std::string(256, '\0')}}), HasSubstr("expected a head"));
}

TEST_F(MpiTransportTest, AFrameWithoutItsRowsEndsTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHead, HeadOf(kSecond, kFirst, Frame(1, 1))}}),
              HasSubstr("without its rows"));
}

TEST_F(MpiTransportTest, RowsWithAMessageThatHasNoneEndTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHeadOfTwo, HeadOf(kSecond, kFirst, Cancel{})}}),
              HasSubstr("that has none"));
}

TEST_F(MpiTransportTest, AFrameOfTooManyRowsEndsTheJobBeforeTheyAreTaken) {
  Activation frame = Frame(1, 1);
  frame.envelope.n = static_cast<uint32_t>(FrameRowsMax(kWidth)) + 1;
  EXPECT_THAT(FailureAfter({{kMpiHeadOfTwo, HeadOf(kSecond, kFirst, frame)}}),
              HasSubstr("frame of 1025 rows, at most 1024"));
}

TEST_F(MpiTransportTest, AMessageInTheNameOfAnotherRankEndsTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHead, HeadOf(kEdge, kFirst, Cancel{})}}),
              HasSubstr("in the name of node"));
}

TEST_F(MpiTransportTest, AMessageForANodeElsewhereEndsTheJob) {
  EXPECT_THAT(FailureAfter({{kMpiHead, HeadOf(kSecond, kEdge, Cancel{})}}),
              HasSubstr("which is not here"));
}

TEST_F(MpiTransportTest, NothingIsSentOrTakenAfterAFailure) {
  FailureAfter({{9, ""}});
  ASSERT_TRUE(edge_->Send(kFirst, Alive{}).ok());
  EXPECT_FALSE(first_->Poll().has_value());
  EXPECT_EQ(first_->Send(kEdge, Alive{}), networks_[1]->failure());
}

TEST_F(MpiTransportTest, AnErrorOfMpiIsAFailureThatNamesTheRank) {
  mpi_.FailSends(7);
  EXPECT_EQ(edge_->Send(kSecond, Alive{}), networks_[0]->failure());
  EXPECT_THAT(Message(networks_[0]->failure()), HasSubstr("rank 2: MPI: sending: error 7"));
}

// --- Leaving ---

TEST_F(MpiTransportTest, RanksLeaveOnceAllHaveSaidSo) {
  ASSERT_TRUE(first_->Send(kCoordinatorNode, Alive{}).ok());  // dropped: nobody reads it any more
  EXPECT_FALSE(networks_[1]->over());
  // One after the other says it and is interrupted in its wait; the last finds that all have.
  const auto interrupted = [] { return Cancelled("so far"); };
  EXPECT_EQ(Message(networks_[0]->Leave(interrupted)), "so far");
  networks_[1]->Wait(std::chrono::hours(1));
  EXPECT_TRUE(networks_[1]->over());
  EXPECT_EQ(Message(networks_[1]->Leave(interrupted)), "so far");
  EXPECT_TRUE(networks_[2]->Leave(interrupted).ok());
  EXPECT_FALSE(coordinator_->Poll().has_value());
}

TEST_F(MpiTransportTest, ARankThatDoesNotLeaveIsNamedAfterItsTime) {
  ManualClock clock;
  MpiNetwork network(0, 2, kWidth, {mpi_.functions(), mpi_.job(0), clock, pool_});
  const absl::Status left = network.Leave([&] {
    clock.Advance(kMpiLeaveMax + std::chrono::seconds(1));
    return absl::OkStatus();
  });
  EXPECT_EQ(Message(left), "rank 1 has not left the job within 10 s");
}

}  // namespace
}  // namespace mortar
