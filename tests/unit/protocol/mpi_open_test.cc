// Goal: in an MPI job that is open to nodes outside, rank 0 hands on what they and the ranks say to
// one another, in their names alone; what is too long, too much or for nobody ends nothing.
#include <gmock/gmock.h>

#include <cstring>

#include "tests/unit/protocol/mpi_ranks.h"

namespace mortar {
namespace {

using testing::HasSubstr;

constexpr NodeId kOutside{1000};

// What rank 0 hands on to nodes outside.
class Outside final : public NodesBehind {
 public:
  bool Owns(NodeId node) const override { return node == kOutside; }
  absl::Status Forward(NodeId from, NodeId to, AnyMessage message) override {
    got.push_back({from, to, std::move(message)});
    return absl::OkStatus();
  }
  struct Got {
    NodeId from, to;
    AnyMessage message;
  };
  std::vector<Got> got;
};

class OpenMpiTransportTest : public MpiTransportTest {
 protected:
  OpenMpiTransportTest() {
    first_.reset();
    second_.reset();
    edge_.reset();
    coordinator_.reset();
    for (int rank = 0; rank < 3; ++rank) {
      MpiNetwork::Parts parts{mpi_.functions(), mpi_.job(rank), clock_, pool_};
      parts.open = true;
      networks_[static_cast<size_t>(rank)] = std::make_unique<MpiNetwork>(rank, 3, kWidth, parts);
    }
    coordinator_ = networks_[0]->Attach(kCoordinatorNode);
    first_ = networks_[1]->Attach(kFirst, key_);
    second_ = networks_[2]->Attach(kSecond);
    networks_[0]->Open(outside_);
  }

  const PublicKey key_ = NewKeyPair().public_key;
  Outside outside_;
};

TEST_F(OpenMpiTransportTest, WhatARankSendsToANodeOutsideLeavesThroughRankZeroWithItsRows) {
  ASSERT_TRUE(first_->Send(kOutside, Frame(3, 2)).ok());
  ASSERT_TRUE(first_->Send(kOutside, Cancel{}).ok());
  EXPECT_FALSE(coordinator_->Poll().has_value()) << "none of it is the coordinator's";
  ASSERT_EQ(outside_.got.size(), 2u);
  EXPECT_EQ(outside_.got[0].from, kFirst);
  EXPECT_EQ(outside_.got[0].to, kOutside);
  const auto& frame = std::get<Activation>(outside_.got[0].message);
  EXPECT_EQ(std::memcmp(frame.rows.data(), Frame(3, 2).rows.data(), frame.rows.bytes()), 0);
  EXPECT_TRUE(std::holds_alternative<Cancel>(outside_.got[1].message));
}

TEST_F(OpenMpiTransportTest, WhatANodeOutsideSaysComesInItsName) {
  ASSERT_TRUE(networks_[0]->Forward(kOutside, kFirst, Frame(3, 2)).ok());
  ASSERT_TRUE(networks_[0]->Forward(kOutside, kCoordinatorNode, Alive{}).ok());
  const auto incoming = first_->Poll();
  ASSERT_TRUE(Is<Activation>(incoming));
  EXPECT_EQ(incoming->from, kOutside);
  EXPECT_EQ(Sender(coordinator_->Poll()), kOutside);
}

TEST_F(OpenMpiTransportTest, WhatIsTooLongForTheRanksIsRefusedAndEndsNothing) {
  NodeStatus status;
  status.bricks.resize(kBricksMax);
  status.padding = kFrameRowBytesMax;
  EXPECT_TRUE(absl::IsInvalidArgument(networks_[0]->Forward(kOutside, kFirst, status)));
  EXPECT_FALSE(first_->Poll().has_value());
  EXPECT_TRUE(networks_[0]->failure().ok());
  ASSERT_TRUE(networks_[0]->Forward(kOutside, kFirst, Alive{}).ok());
  EXPECT_TRUE(Is<Alive>(first_->Poll()));
}

TEST_F(OpenMpiTransportTest, TheEdgeOfRankZeroAndNodesOutsideReachOneAnother) {
  edge_ = networks_[0]->Attach(kEdge);
  ASSERT_TRUE(edge_->Send(kOutside, Frame(3, 2)).ok());
  EXPECT_EQ(outside_.got.at(0).from, kEdge);
  ASSERT_TRUE(networks_[0]->Forward(kOutside, kEdge, Cancel{}).ok());
  EXPECT_EQ(Sender(edge_->Poll()), kOutside);
}

TEST_F(OpenMpiTransportTest, TheIdsOfRanksAndOfTheCoordinatorAreNobodyElses) {
  EXPECT_TRUE(networks_[0]->Owns(kCoordinatorNode));
  EXPECT_TRUE(networks_[0]->Owns(kEdge)) << "also where rank 0 is no edge";
  EXPECT_TRUE(networks_[0]->Owns(kSecond));
  EXPECT_FALSE(networks_[0]->Owns(NodeOfRank(3)));
  EXPECT_FALSE(networks_[0]->Owns(kOutside));
}

TEST_F(OpenMpiTransportTest, ANodeThatIsNotThereIsNotFoundAndEndsNothing) {
  EXPECT_TRUE(absl::IsNotFound(networks_[0]->Forward(kOutside, kEdge, Alive{})));
  EXPECT_TRUE(absl::IsNotFound(networks_[0]->Forward(kOutside, NodeOfRank(3), Alive{})));
  // As an envelope that names rank 0's edge, where there is none, makes a rank do.
  ASSERT_TRUE(first_->Send(kEdge, Frame(1, 1)).ok());
  EXPECT_FALSE(coordinator_->Poll().has_value());
  EXPECT_TRUE(networks_[0]->failure().ok()) << networks_[0]->failure();
  EXPECT_EQ(outside_.got.size(), 1u) << "whoever knows nodes outside says that it is not there";
}

TEST_F(OpenMpiTransportTest, OnlyRankZeroSpeaksForNodesOutside) {
  EXPECT_THAT(FailureAfter({{kMpiHead, HeadOf(kOutside, kFirst, Cancel{})}}),
              HasSubstr("in the name of node"));
}

TEST_F(OpenMpiTransportTest, ARankThatSharesLayersWithoutANodeOfItsOwnGetsNothing) {
  MpiNetwork::Parts parts{mpi_.functions(), mpi_.job(0), clock_, pool_};
  parts.open = true;
  parts.ranks_per_node = 2;
  MpiNetwork network(0, 3, kWidth, parts);
  EXPECT_TRUE(network.Forward(kOutside, kFirst, Alive{}).ok());
  EXPECT_TRUE(absl::IsNotFound(network.Forward(kOutside, kSecond, Alive{})));
  EXPECT_TRUE(network.Owns(kSecond));
}

TEST_F(OpenMpiTransportTest, WhatWaitsForANodeOfRankZeroIsBounded) {
  size_t sent = 0;
  while (networks_[0]->Forward(kOutside, kCoordinatorNode, Alive{}).ok()) ++sent;
  EXPECT_EQ(sent, 256u);
  ASSERT_TRUE(coordinator_->Poll().has_value());
  EXPECT_TRUE(networks_[0]->Forward(kOutside, kCoordinatorNode, Alive{}).ok());
}

TEST_F(OpenMpiTransportTest, AHelloSaysTheKeyOfItsRankWhateverItsNodeSaid) {
  ASSERT_TRUE(first_->Send(kCoordinatorNode, Hello{}).ok());
  Hello said;
  said.key = key_;
  ASSERT_TRUE(second_->Send(kCoordinatorNode, said).ok());
  const auto with = coordinator_->Poll();
  const auto without = coordinator_->Poll();
  ASSERT_TRUE(Is<Hello>(with) && Is<Hello>(without));
  EXPECT_EQ(std::get<Hello>(with->message).key, key_);
  EXPECT_TRUE(std::get<Hello>(without->message).key.empty());
}

TEST_F(OpenMpiTransportTest, AWaitEndsWithWhatElseCame) {
  int naps = 0;
  networks_[0]->Wait(std::chrono::hours(1), [&](Duration) { return ++naps == 3; });
  EXPECT_EQ(naps, 3);
}

}  // namespace
}  // namespace mortar
