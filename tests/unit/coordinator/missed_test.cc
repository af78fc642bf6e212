// Goal: what an edge says of hops that it missed: they are looked for, and lost soon if they stay
// silent; one edge's word holds back its own requests alone, and of no worker but those it was
// granted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class Missed : public CoordinatorTables {
 protected:
  // Two hosts of one stop, as a measured placement has them.
  void JoinTwins() {
    JoinAllAndLoad();
    Join(kWorkerB, Role::kWorker);
    state_.placement->hops.at(0).replicas.push_back({kWorkerB, "n61", 0});
    Hear(kWorkerB);
  }
  void Hear(NodeId worker, int sessions = 0) {
    NodeStatus status = WorkerStatus(state_.placement_id, LoadPhase::kReady);
    status.sessions = sessions;
    Give(worker, status);
  }
  RouteRequest Misses(std::vector<NodeId> nodes, uint64_t number = 7) {
    RouteRequest request = Request(number);
    request.missed = std::move(nodes);
    return request;
  }
  // The hosts that the newest requests are granted; each its first.
  std::vector<NodeId> Granted() {
    std::vector<NodeId> hosts;
    for (const Outgoing& outgoing : RunPlan()) {
      if (const auto* route = std::get_if<Route>(&outgoing.message)) {
        EXPECT_TRUE(route->status.ok()) << route->status;
        hosts.push_back(route->grant.hops.at(0).node);
      }
    }
    return hosts;
  }
  // It has had a route over A.
  void GrantOne(NodeId edge) {
    Give(edge, Request(1));
    ASSERT_THAT(Granted(), ElementsAre(kWorkerA));
    Hear(kWorkerA);
    state_.outbox.clear();
  }
};

TEST_F(Missed, AHopIsLookedForAndGrantedOnceItIsHeard) {
  JoinAllAndLoad();
  GrantOne(kEdge);
  const RouteRequest request = Misses({kWorkerA, NodeId{99}});
  Give(kEdge, request);
  EXPECT_EQ(state_.outbox.at(0).to, kWorkerA);
  Owed<Alive>();  // it shows whether the connection stands
  EXPECT_TRUE(RunPlan().empty()) << "nothing is known of it since";
  state_.outbox.clear();
  Give(kEdge, request);
  EXPECT_TRUE(state_.outbox.empty()) << "it is looked for already";
  Hear(kWorkerA);
  EXPECT_THAT(Granted(), ElementsAre(kWorkerA)) << "it is the link between the two that is gone";
}

TEST_F(Missed, ASteadyHopIsGrantedAgainAndNobodysWordLosesIt) {
  state_.options.steady = {kWorkerA};
  JoinAllAndLoad();
  GrantOne(kEdge);
  Give(kEdge, Misses({kWorkerA}));
  EXPECT_TRUE(state_.outbox.empty()) << "it is not even asked";
  now_ += kWatchedSilenceMax + milliseconds(1);
  EXPECT_THAT(Granted(), ElementsAre(kWorkerA));
  EXPECT_NE(FindMember(state_, kWorkerA), nullptr);
}

TEST_F(Missed, AHopThatIsSilentIsReplacedSoonerThanAnother) {
  JoinAllAndLoad();
  Join(kWorkerB, Role::kWorker);
  GrantOne(kEdge);
  Give(kEdge, Misses({kWorkerA}));
  now_ += kWatchedSilenceMax;
  RunPlan();
  EXPECT_NE(FindMember(state_, kWorkerA), nullptr);
  now_ += milliseconds(1);
  Give(kWorkerB, WorkerStatus());
  RunPlan();
  EXPECT_EQ(FindMember(state_, kWorkerA), nullptr);
  EXPECT_NE(FindMember(state_, kEdge), nullptr) << "as silent, and nobody missed it";
  RunPlan();
  EXPECT_EQ(state_.placement->hops.at(0).node, kWorkerB);
}

TEST_F(Missed, SilenceIsCountedFromTheQuestionNotFromTheLastStatus) {
  JoinAllAndLoad();
  GrantOne(kEdge);
  now_ += milliseconds(1100);  // two statuses were lost
  Give(kEdge, Misses({kWorkerA}));
  RunPlan();
  EXPECT_NE(FindMember(state_, kWorkerA), nullptr) << "it has had no time to answer";
  now_ += kWatchedSilenceMax;
  RunPlan();
  EXPECT_NE(FindMember(state_, kWorkerA), nullptr);
  now_ += milliseconds(1);
  RunPlan();
  EXPECT_EQ(FindMember(state_, kWorkerA), nullptr);
}

TEST_F(Missed, ADoubtGivesNobodyMoreTimeThanItHad) {
  JoinAllAndLoad();
  GrantOne(kEdge);
  now_ += kStatusAgeMax - milliseconds(100);
  Give(kEdge, EdgeStatus());
  Give(kEdge, Misses({kWorkerA}));
  now_ += milliseconds(101);
  RunPlan();
  EXPECT_EQ(FindMember(state_, kWorkerA), nullptr);
}

TEST_F(Missed, AfterStandingStillItselfTheCoordinatorCountsAgain) {
  JoinAllAndLoad();
  GrantOne(kEdge);
  Apply(state_, now_, Ticked{});
  Give(kEdge, Misses({kWorkerA}));
  now_ += seconds(30);
  Apply(state_, now_, Ticked{});
  RunPlan();
  EXPECT_NE(FindMember(state_, kWorkerA), nullptr);
  now_ += kWatchedSilenceMax + milliseconds(1);
  RunPlan();
  EXPECT_EQ(FindMember(state_, kWorkerA), nullptr);
}

TEST_F(Missed, AnEdgeIsNotHeededOfNodesThatItWasNotGranted) {
  JoinAllAndLoad();
  Join(kOtherEdge, Role::kEdge);
  GrantOne(kEdge);
  for (const NodeId node : {kOtherEdge, kWorkerA}) {
    Give(kOtherEdge, Misses({node}, node.value));
    EXPECT_THAT(state_.outbox, IsEmpty());
    EXPECT_FALSE(FindMember(state_, node)->doubted);
  }
}

TEST_F(Missed, AWorkerIsAskedOnceInASecondWhoeverMissesIt) {
  JoinAllAndLoad();
  GrantOne(kEdge);
  Give(kEdge, Misses({kWorkerA}));
  Hear(kWorkerA);
  state_.outbox.clear();
  now_ += kWatchedSilenceMax - milliseconds(1);
  Give(kEdge, Misses({kWorkerA}));
  EXPECT_FALSE(FindMember(state_, kWorkerA)->doubted);
  EXPECT_THAT(state_.outbox, IsEmpty());
  now_ += milliseconds(1);
  Give(kEdge, Misses({kWorkerA}));
  EXPECT_TRUE(FindMember(state_, kWorkerA)->doubted);
}

TEST_F(Missed, ARequestThatIsRefusedDoubtsNobody) {
  JoinAllAndLoad();
  GrantOne(kEdge);
  for (uint64_t i = 0; i < kRouteRequestsPerEdgeMax; ++i) Give(kEdge, Request(100 + i));
  Give(kEdge, Misses({kWorkerA}));
  EXPECT_TRUE(absl::IsResourceExhausted(Owed<Route>().status));
  EXPECT_FALSE(FindMember(state_, kWorkerA)->doubted);
}

TEST_F(Missed, ADoubtHoldsBackThoseWhoMissedItAndNoOthers) {
  JoinAllAndLoad();
  Join(kOtherEdge, Role::kEdge);
  GrantOne(kEdge);
  Give(kEdge, Misses({kWorkerA}));
  Give(kOtherEdge, Request(8));
  const std::vector<Outgoing> sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, kOtherEdge);
  EXPECT_TRUE(std::get<Route>(sent[0].message).status.ok());
}

TEST_F(Missed, OneThatWasMissedComesLastHoweverIdle) {
  JoinTwins();
  GrantOne(kEdge);
  Hear(kWorkerB, 100);
  Give(kEdge, Misses({kWorkerA}));
  EXPECT_THAT(Granted(), ElementsAre(kWorkerB)) << "without waiting for the other";
  Hear(kWorkerA);
  now_ += kWatchedSilenceMax;
  Hear(kWorkerA);
  Hear(kWorkerB, 100);
  Give(kEdge, Misses({kWorkerA}));
  Hear(kWorkerA);  // it lives, and the edge still does not reach it
  EXPECT_THAT(Granted(), ElementsAre(kWorkerB));
  Give(kEdge, Misses({kWorkerA, kWorkerB}));
  EXPECT_THAT(Granted(), ElementsAre(kWorkerA)) << "both: the idle one";
}

TEST_F(Missed, TheNewestWordOfARepeatedRequestCounts) {
  JoinTwins();
  Give(kEdge, Request(1));
  Give(kEdge, Misses({kWorkerA}, 1));
  ASSERT_EQ(state_.waiting.size(), 1u);
  EXPECT_THAT(state_.waiting[0].request.missed, ElementsAre(kWorkerA));
  EXPECT_THAT(Granted(), ElementsAre(kWorkerB));
}

TEST_F(Missed, AnEdgesHostsAreRememberedUpToABound) {
  Join(kEdge, Role::kEdge);
  for (uint64_t i = 0; i < 2 * kGrantedHostsRemembered; ++i) {
    Apply(state_, now_, RouteAnswered{.edge = kEdge, .request = i, .hosts = {NodeId{1000 + i}}});
    Apply(state_, now_, RouteAnswered{.edge = kEdge, .request = i, .hosts = {kWorkerA}});
  }
  const std::vector<NodeId>& over = FindMember(state_, kEdge)->granted_over;
  EXPECT_EQ(over.size(), kGrantedHostsRemembered);
  EXPECT_EQ(over.back(), kWorkerA);
  EXPECT_EQ(over.front().value, 1000 + kGrantedHostsRemembered + 1);
}

}  // namespace
}  // namespace mortar
