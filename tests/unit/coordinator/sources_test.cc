// Goal: a worker without a model may join and learns who has it, and is given nothing until it
// comes with it.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {
namespace {

constexpr NodeId kNew{70};

class SourcesTest : public CoordinatorTables {
 protected:
  static Digest Named(uint8_t first) {
    Digest digest;
    digest.bytes[0] = first;
    return digest;
  }
  void JoinWithOutline(NodeId node, Role role, uint8_t outline) {
    Give(node, HelloOf(node, role));
    NodeStatus status = role == Role::kWorker ? WorkerStatus() : EdgeStatus();
    status.outline = Named(outline);
    Give(node, status);
    state_.outbox.clear();
  }
  void JoinWithoutModel() {
    Give(kNew, Hello{.role = Role::kWorker, .name = "new"});
    Owed<Welcome>();
    state_.outbox.clear();
  }
  Sources Ask() {
    now_ += kSourcesInterval;
    Give(kNew, SourcesRequest{});
    const Sources sources = Owed<Sources>();
    state_.outbox.clear();
    return sources;
  }
};

TEST_F(SourcesTest, AWorkerWithoutAModelJoinsAndNamesNone) {
  JoinWithoutModel();
  EXPECT_FALSE(state_.model.has_value());
  EXPECT_EQ(Ask(), Sources{});
  JoinWithOutline(kEdge, Role::kEdge, 1);
  EXPECT_EQ(state_.model, model_);
  const Sources sources = Ask();
  EXPECT_EQ(sources.model, model_);
  EXPECT_EQ(sources.outline, Named(1));
  ASSERT_EQ(sources.nodes.size(), 1u);
  EXPECT_EQ(sources.nodes[0].node, kEdge);
}

TEST_F(SourcesTest, ItIsGivenNoLayersAndMaySayNothingOfSome) {
  JoinWithoutModel();
  Join(kEdge, Role::kEdge);
  RunPlan();
  EXPECT_FALSE(state_.placement.has_value());
  Give(kNew, WorkerStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(Owed<Goodbye>().status));
  EXPECT_EQ(FindMember(state_, kNew), nullptr);
}

TEST_F(SourcesTest, AnotherRoleWithoutAModelIsRefused) {
  Join(kWorkerA, Role::kWorker);
  Give(kEdge, Hello{.role = Role::kEdge, .name = "e"});
  EXPECT_TRUE(absl::IsFailedPrecondition(Owed<Goodbye>().status));
}

TEST_F(SourcesTest, AskingIsHeardOfItAndSilenceIsNot) {
  JoinWithoutModel();
  now_ += kStatusAgeMax - std::chrono::seconds(1);
  Ask();
  now_ += kStatusAgeMax - std::chrono::seconds(1);
  RunPlan();
  EXPECT_NE(FindMember(state_, kNew), nullptr);
  now_ += std::chrono::seconds(2);
  RunPlan();
  EXPECT_EQ(FindMember(state_, kNew), nullptr);
}

TEST_F(SourcesTest, WorkersAreAskedBeforeEdgesAndOnlyThoseWithTheOutlineOfMost) {
  JoinWithOutline(NodeId{61}, Role::kWorker, 3);  // made up, and here first
  JoinWithOutline(kWorkerA, Role::kWorker, 1);
  JoinWithOutline(kEdge, Role::kEdge, 1);
  JoinWithOutline(NodeId{64}, Role::kWorker, 1);
  JoinWithOutline(NodeId{62}, Role::kWorker, 2);  // another file of the same bricks
  Join(NodeId{63}, Role::kWorker);                // sends none
  JoinWithoutModel();
  const Sources sources = Ask();
  ASSERT_EQ(sources.nodes.size(), 3u);
  EXPECT_EQ(sources.nodes[2].node, kEdge);
  EXPECT_EQ(sources.outline, Named(1));
}

TEST_F(SourcesTest, OfOutlinesNamedAsOftenWorkersAreBelievedAndThenTheFirst) {
  JoinWithOutline(kEdge, Role::kEdge, 1);
  JoinWithOutline(kWorkerA, Role::kWorker, 2);
  JoinWithoutModel();
  EXPECT_EQ(Ask().outline, Named(2));
  JoinWithOutline(kOtherEdge, Role::kEdge, 1);
  EXPECT_EQ(Ask().outline, Named(1)) << "two say so";
  JoinWithOutline(kWorkerB, Role::kWorker, 3);
  Give(kOtherEdge, Goodbye{});
  Give(kEdge, Goodbye{});
  state_.outbox.clear();
  EXPECT_EQ(Ask().outline, Named(2)) << "the first of two";
}

TEST_F(SourcesTest, OneThatAsksWithoutEndIsAnsweredNowAndThenAndHeard) {
  JoinWithOutline(kWorkerA, Role::kWorker, 1);
  JoinWithoutModel();
  Ask();
  now_ += kSourcesInterval - std::chrono::milliseconds(1);
  Give(kNew, SourcesRequest{});
  EXPECT_TRUE(state_.outbox.empty());
  EXPECT_EQ(FindMember(state_, kNew)->heard, now_);
  now_ += std::chrono::milliseconds(1);
  Give(kNew, SourcesRequest{});
  Owed<Sources>();
}

TEST_F(SourcesTest, EachAskerBeginsWithAnotherWorker) {
  for (uint64_t i = 0; i < 40; ++i) JoinWithOutline(NodeId{100 + i}, Role::kWorker, 1);
  EXPECT_EQ(SourcesFor(state_, NodeId{200}).nodes.front().node, NodeId{100});
  const Sources last = SourcesFor(state_, NodeId{239});
  EXPECT_EQ(last.nodes.at(0).node, NodeId{139});
  EXPECT_EQ(last.nodes.at(1).node, NodeId{100}) << "and goes round";
  EXPECT_EQ(last.nodes.size(), kBrickSourcesMax);
}

TEST_F(SourcesTest, OneThatHasSomeIsNotItsOwnSource) {
  JoinWithOutline(kWorkerA, Role::kWorker, 1);
  JoinWithOutline(kWorkerB, Role::kWorker, 1);
  Give(kWorkerA, SourcesRequest{});
  const auto& nodes = Owed<Sources>().nodes;
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].node, kWorkerB);
}

TEST_F(SourcesTest, SomeOfManyAreNamedEdgesAmongThem) {
  for (uint64_t i = 0; i < 40; ++i) JoinWithOutline(NodeId{100 + i}, Role::kWorker, 1);
  JoinWithOutline(kEdge, Role::kEdge, 1);
  JoinWithoutModel();
  const Sources sources = Ask();
  ASSERT_EQ(sources.nodes.size(), kBrickSourcesMax);
  EXPECT_EQ(sources.nodes.back().node, kEdge);
}

TEST_F(SourcesTest, StrangersAndEdgesGetNoAnswer) {
  Give(kNew, SourcesRequest{});
  EXPECT_TRUE(absl::IsUnavailable(Owed<Goodbye>().status));
  state_.outbox.clear();
  JoinWithOutline(kEdge, Role::kEdge, 1);
  Give(kEdge, SourcesRequest{});
  EXPECT_TRUE(state_.outbox.empty());
}

}  // namespace
}  // namespace mortar
