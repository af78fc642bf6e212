// Goal: one test for each row of the table in coordinator/state.h about who is a member.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(CoordinatorTables, HelloThatFitsMakesAMemberAndOwesAWelcome) {
  Give(kWorkerA, HelloOf(kWorkerA, Role::kWorker));
  EXPECT_EQ(state_.outbox.at(0).to, kWorkerA);
  EXPECT_EQ(Owed<Welcome>().contract, "N1");
  ASSERT_NE(FindMember(state_, kWorkerA), nullptr);
  EXPECT_EQ(FindMember(state_, kWorkerA)->heard, now_);
}

TEST_F(CoordinatorTables, HelloOfAnotherVersionContractRoleOrNameIsRefusedWithTheReason) {
  const auto refusal = [&](auto change) {
    Hello hello = HelloOf(kWorkerA, Role::kWorker);
    change(hello);
    state_.outbox.clear();
    Give(kWorkerA, hello);
    EXPECT_EQ(FindMember(state_, kWorkerA), nullptr);
    EXPECT_FALSE(absl::IsUnavailable(Owed<Goodbye>().status)) << "it should not try again";
    return Message(Owed<Goodbye>().status);
  };
  EXPECT_THAT(refusal([](Hello& h) { h.version = 9; }), HasSubstr("protocol version 9"));
  EXPECT_THAT(refusal([](Hello& h) { h.contract = "C2"; }), HasSubstr("numeric contract C2"));
  EXPECT_THAT(refusal([](Hello& h) { h.role = Role::kCoordinator; }), HasSubstr("only workers"));
  EXPECT_THAT(refusal([](Hello& h) { h.name = std::string(65, 'x'); }), HasSubstr("64 bytes"));
  EXPECT_EQ(state_.refused, 4u);
}

TEST_F(CoordinatorTables, HelloUnderAReservedIdIsRefused) {
  Give(NodeId{kReservedNodeIds - 1}, HelloOf(kWorkerA, Role::kWorker));
  EXPECT_THAT(Message(Owed<Goodbye>().status), HasSubstr("reserved"));
}

TEST_F(CoordinatorTables, FirstHelloNamesTheModelAndAnotherModelIsRefused) {
  Join(kWorkerA, Role::kWorker);
  EXPECT_EQ(*state_.model, model_);
  model_.digest.bytes[0] = 1;
  Give(kWorkerB, HelloOf(kWorkerB, Role::kWorker));
  EXPECT_THAT(Message(Owed<Goodbye>().status), HasSubstr("serves model m"));
  EXPECT_EQ(FindMember(state_, kWorkerB), nullptr);
}

TEST_F(CoordinatorTables, AModelThatWasGivenIsNotTheFirstMembersToName) {
  state_.options.model = state_.model = model_;
  const ModelId given = model_;
  Join(kWorkerA, Role::kWorker);
  Give(kWorkerA, Goodbye{Unavailable("it was stopped")});
  ASSERT_TRUE(state_.members.empty());
  state_.outbox.clear();
  model_.digest.bytes[0] = 1;
  Give(kWorkerB, HelloOf(kWorkerB, Role::kWorker));
  EXPECT_THAT(Message(Owed<Goodbye>().status), HasSubstr("serves model m"));
  EXPECT_EQ(*state_.model, given);
}

TEST_F(CoordinatorTables, StatusOfAStrangerAsksForAHello) {
  Give(kWorkerA, WorkerStatus());
  EXPECT_TRUE(absl::IsUnavailable(Owed<Goodbye>().status));
}

TEST_F(CoordinatorTables, RouteRequestOfAStrangerAsksForAHello) {
  Give(kEdge, Request());
  EXPECT_TRUE(absl::IsUnavailable(Owed<Goodbye>().status));
  EXPECT_THAT(state_.waiting, IsEmpty());
}

TEST_F(CoordinatorTables, AStatusWhoseLayersCannotBeIsRefusedWithTheReason) {
  const auto refusal = [&](NodeId node, NodeStatus status, auto change) {
    Join(node, status.role);
    change(status);
    Give(node, status);
    EXPECT_EQ(FindMember(state_, node), nullptr);
    std::string why = Message(Owed<Goodbye>().status);
    state_.outbox.clear();
    return why;
  };
  constexpr int kMax = std::numeric_limits<int>::max();
  const auto edge = [&](int front, int back) {
    return refusal(kEdge, EdgeStatus(), [&](NodeStatus& s) {
      s.front_layers = front;
      s.back_layers = back;
    });
  };
  EXPECT_THAT(edge(kMax, kMax), HasSubstr("of 6 layers"));
  EXPECT_THAT(edge(4, 3), HasSubstr("cannot keep 4 + 3 of 6"));
  EXPECT_THAT(edge(-1, 1), HasSubstr("cannot keep -1 + 1"));
  EXPECT_THAT(edge(1, -kMax - 1), HasSubstr("cannot keep 1 + -2147483648"));
  const auto worker = [&](LayerRange layers) {
    return refusal(kWorkerA, WorkerStatus(),
                   [&](NodeStatus& s) { s.bricks.push_back({.layers = layers, .digest = {}}); });
  };
  EXPECT_THAT(worker({3, 4}), HasSubstr("two bricks of layers [3, 4)"));
  EXPECT_THAT(worker({5, 7}), HasSubstr("brick of layers [5, 7) in a model of 6"));
  EXPECT_THAT(worker({-1, 2}), HasSubstr("brick of layers [-1, 2)"));
  EXPECT_THAT(worker({1, -kMax - 1}), HasSubstr("brick of layers [1, -2147483648)"));
  EXPECT_THAT(worker({2, 4}), HasSubstr("bricks of layers [2, 3) and [2, 4) in a status: they "
                                        "overlap"));
  const auto sessions = [&](int n) {
    return refusal(kWorkerA, WorkerStatus(), [&](NodeStatus& s) { s.sessions = n; });
  };
  EXPECT_THAT(sessions(kWorkerSessionsMax + 1), HasSubstr("1025 sessions in a status"));
  EXPECT_THAT(sessions(kMax), HasSubstr("at most 1024"));
  EXPECT_THAT(sessions(-1), HasSubstr("-1 sessions"));
  const auto only = [&](LayerRange layers) {
    return refusal(kWorkerA, WorkerStatus(), [&](NodeStatus& s) { s.layers_only = layers; });
  };
  EXPECT_THAT(only({-1, 3}), HasSubstr("layers [-1, 3) alone, in a model of 6"));
  EXPECT_THAT(only({3, 7}), HasSubstr("layers [3, 7) alone"));
  EXPECT_THAT(only({3, 2}), HasSubstr("layers [3, 2) alone"));
}

TEST_F(CoordinatorTables, MessagesThatNoNodeSendsAreCounted) {
  Give(kEdge, Activation{});
  EXPECT_EQ(state_.refused, 1u);
  EXPECT_TRUE(state_.outbox.empty());
}

TEST_F(CoordinatorTables, ASilentMemberIsLostAndItsPlacementVoid) {
  JoinAllAndLoad();
  now_ += kStatusAgeMax + seconds(1);
  Give(kEdge, EdgeStatus());
  RunPlan();
  EXPECT_EQ(FindMember(state_, kWorkerA), nullptr);
  EXPECT_FALSE(state_.placement.has_value());
  EXPECT_NE(FindMember(state_, kEdge), nullptr);
}

TEST_F(CoordinatorTables, AfterStandingStillItselfItJudgesNobody) {
  JoinAllAndLoad();
  Apply(state_, now_, Ticked{});
  now_ += 10 * kStatusAgeMax;
  Apply(state_, now_, Ticked{});
  EXPECT_TRUE(RunPlan().empty());
  EXPECT_NE(FindMember(state_, kWorkerA), nullptr);
}

TEST_F(CoordinatorTables, AnEdgesGoodbyeTakesItsRequestsAlong) {
  Join(kEdge, Role::kEdge);
  Give(kEdge, Request());
  Give(kEdge, Goodbye{});
  EXPECT_TRUE(state_.waiting.empty());
  EXPECT_FALSE(state_.model.has_value()) << "an empty cluster takes any model";
}

}  // namespace
}  // namespace mortar
