// Goal: one test for each row of the table in coordinator/replan.h: when another placement replaces
// the one that is there, and whose sessions it leaves alone.
#include "coordinator/replan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/measured_tables.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Replan : public MeasuredTables {
 protected:
  // A has room for everything, B and C for half each; all are here, placed and loaded.
  void Start(std::vector<std::pair<NodeId, NodeStatus>> workers) {
    state_.options.workers_expected = static_cast<int>(workers.size());
    JoinEdge();
    for (const auto& [worker, status] : workers) JoinMeasured(worker, status);
    RunPlan();
    RunPlan();
    for (const auto& [worker, status] : workers) Say(worker, status);
    ASSERT_TRUE(state_.placement.has_value()) << state_.placement_problem;
    first_ = state_.placement_id;
  }
  // As long as the loop would, a round every second; whether it was placed anew.
  bool PlacedWithin(Duration time) {
    for (Duration passed{}; passed < time; passed += seconds(1)) {
      Pass(seconds(1));
      RunPlan();
      if (state_.placement_id != first_) return true;
    }
    return false;
  }

  uint64_t first_ = 0;
};

TEST_F(Replan, ANodeThatSlowsLosesItsLayersOnceTheyHaveLainForAMinute) {
  Start({{kWorkerA, Measured(1)}, {kWorkerB, Measured(4)}});
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA));
  Say(kWorkerA, Measured(8));
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin - seconds(1)));
  EXPECT_TRUE(PlacedWithin(seconds(3)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
}

TEST_F(Replan, LessThanATenthOfATokenMovesNothing) {
  Start({{kWorkerA, Measured(1)}, {kWorkerB, Measured(1.6)}});
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA)) << "B would take 1.6 times as long";
  // 8 + 0.5 ms by then; the other 12.8: not worth it before this one is at 13.3 / 0.9.
  Say(kWorkerA, Measured(1.75));  // 14.5 ms against 13.3: 8 %
  // B is no replica of the same stop either, which would be no move: it is beyond 1.5 times no
  // more, and joins.
  EXPECT_TRUE(PlacedWithin(seconds(30)));
  EXPECT_THAT(HostsAt(0), UnorderedElementsAre(kWorkerA, kWorkerB));
  EXPECT_EQ(HopAt(0).layers, (LayerRange{2, 10}));
}

TEST_F(Replan, ASplitThatSavesLessThanATenthIsNotMadeHoweverLongItWould) {
  // Six layers fit each: 6 + 2.1 ms.
  Start({{kWorkerA, Measured(1, 6)}, {kWorkerB, Measured(1.05, 6)}});
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  // 7.7 + 2.1 ms against 6.3 + 2.6, and a millisecond on the way: less than a tenth, if not by
  // much.
  Say(kWorkerA, Measured(1.28, 6));
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + kReplanWaitMax + seconds(20)));
  Say(kWorkerA, Measured(1.4, 6));  // 8.4 + 2.1 against 6.3 + 2.8
  EXPECT_TRUE(PlacedWithin(seconds(12)));
}

TEST_F(Replan, NoiseOfASpeedIsNotEvenLookedAt) {
  Start({{kWorkerA, Measured(1)}});
  Pass(kReplanInterval);
  Say(kWorkerA, Measured(1.04));
  EXPECT_FALSE(PlanReplacement(state_, now_).has_value());
  Say(kWorkerA, Measured(1.06));
  EXPECT_TRUE(PlanReplacement(state_, now_).has_value()) << "a look, which finds nothing";
  EXPECT_FALSE(PlacedWithin(seconds(100)));
}

TEST_F(Replan, AWorkerThatJoinsAsAReplicaDisturbsNobodyAndNeedNotWait) {
  Start({{kWorkerA, Measured(1)}});
  Say(kWorkerA, Measured(1), 3);
  JoinMeasured(kWorkerB, Measured(1));
  EXPECT_TRUE(PlacedWithin(kReplanInterval + seconds(2)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA, kWorkerB));
  // A is told of it under the new id, with the layers that it has: it keeps its sessions.
  std::vector<Outgoing> told = RunPlan();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(std::get<Placement>(told[0].message).layers, (LayerRange{2, 10}));
}

TEST_F(Replan, ABetterPlacementWaitsForSessionsAMinuteAtMost) {
  Start({{kWorkerA, Measured(4)}});
  JoinMeasured(kWorkerB, Measured(1));
  Say(kWorkerA, Measured(4), 1);  // it has a session
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + kReplanWaitMax - seconds(3)));
  EXPECT_TRUE(PlacedWithin(seconds(6)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
}

TEST_F(Replan, ABetterPlacementComesAsSoonAsTheLastSessionOfThoseThatItMovesHasEnded) {
  Start({{kWorkerA, Measured(4)}});
  JoinMeasured(kWorkerB, Measured(1));
  Say(kWorkerA, Measured(4), 1);
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + seconds(10)));
  Say(kWorkerA, Measured(4), 0);
  EXPECT_TRUE(PlacedWithin(seconds(2)));
}

TEST_F(Replan, WhoeverKeepsItsShareKeepsItsSessions) {
  // Two stops of four layers; the second one's host is replaced by one that is faster.
  NodeStatus first = Measured(1, 4), second = Measured(4, 4);
  first.layers_only = {2, 6};
  second.layers_only = {6, 10};
  Start({{kWorkerA, first}, {kWorkerB, second}});
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  NodeStatus faster = Measured(1, 4);
  faster.layers_only = {6, 10};
  JoinMeasured(kWorkerC, faster);
  Say(kWorkerA, first, 5);  // busy, but not moved
  EXPECT_TRUE(PlacedWithin(kPlacementKeptMin + seconds(12)));
  EXPECT_EQ(HopAt(0).node, kWorkerA);
  EXPECT_EQ(HopAt(0).layers, (LayerRange{2, 6}));
  EXPECT_EQ(HopAt(1).node, kWorkerC);
}

TEST_F(Replan, AVoidPlacementDoesNotWait) {
  Start({{kWorkerA, Measured(1)}, {kWorkerB, Measured(4)}});
  Give(kWorkerA, Goodbye{Unavailable("gone")});
  RunPlan();
  EXPECT_NE(state_.placement_id, first_);
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
}

TEST_F(Replan, ADecisionIsForgottenWhenOneOfItsNodesGoes) {
  Start({{kWorkerA, Measured(4)}});
  JoinMeasured(kWorkerB, Measured(1));
  Say(kWorkerA, Measured(4), 1);
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + seconds(5)));
  ASSERT_TRUE(state_.replanning.better.has_value());
  Give(kWorkerB, Goodbye{Unavailable("gone")});
  EXPECT_FALSE(state_.replanning.better.has_value());
  EXPECT_FALSE(PlacedWithin(kReplanWaitMax + seconds(60)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA));
  // And thought over again: another one that is as good takes its place.
  JoinMeasured(kWorkerC, Measured(1));
  Say(kWorkerA, Measured(4), 0);
  EXPECT_TRUE(PlacedWithin(kReplanInterval + seconds(2)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerC));
}

TEST_F(Replan, ANodeThatIsFastAgainInTimeKeepsItsLayers) {
  Start({{kWorkerA, Measured(1)}, {kWorkerB, Measured(4)}});
  Say(kWorkerA, Measured(8));
  EXPECT_FALSE(PlacedWithin(seconds(30)));
  EXPECT_TRUE(state_.replanning.better.has_value());
  Say(kWorkerA, Measured(1));
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + kReplanWaitMax));
  EXPECT_FALSE(state_.replanning.better.has_value());
}

TEST_F(Replan, AReplicaThatHasBecomeSlowLeavesTheStop) {
  Start({{kWorkerA, Measured(1)}, {kWorkerB, Measured(1)}});
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA, kWorkerB));
  Say(kWorkerB, Measured(4));
  EXPECT_TRUE(PlacedWithin(kPlacementKeptMin + seconds(3)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA));
}

TEST_F(Replan, AWorkerThatFetchesItsBricksTakesNoLayersFromOneThatServes) {
  NodeStatus fetching = Measured(1);
  fetching.fetches = true;
  Start({{kWorkerA, Measured(4)}});
  JoinMeasured(kWorkerB, fetching);
  EXPECT_TRUE(PlacedWithin(kReplanInterval + seconds(2))) << "four times as fast";
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA, kWorkerB)) << "and its bricks are elsewhere";
  const auto say = [&](LoadPhase phase) {
    fetching.placement = first_ = state_.placement_id;
    fetching.phase = phase;
    Give(kWorkerB, fetching);
  };
  say(LoadPhase::kLoading);
  Say(kWorkerA, Measured(8));
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + kReplanWaitMax + seconds(20)));
  say(LoadPhase::kReady);
  EXPECT_TRUE(PlacedWithin(kReplanInterval + seconds(2)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
}

TEST_F(Replan, AWorkerThatFetchesItsBricksIsNoPartOfABetterSplit) {
  NodeStatus fetching = Measured(1, 6);
  fetching.fetches = true;
  Start({{kWorkerA, Measured(4)}});
  JoinMeasured(kWorkerB, fetching);
  EXPECT_FALSE(PlacedWithin(kPlacementKeptMin + kReplanWaitMax + seconds(20)));
  fetching.fetches = false;
  Say(kWorkerB, fetching);
  state_.replanning.facts_changed = true;
  EXPECT_TRUE(PlacedWithin(kReplanInterval + seconds(2))) << "else it is";
}

TEST_F(Replan, AWorkerThatFetchesItsBricksTakesLayersThatNobodyHostsAnyMore) {
  NodeStatus fetching = Measured(1);
  fetching.fetches = true;
  Start({{kWorkerA, Measured(4)}});
  JoinMeasured(kWorkerB, fetching);
  Give(kWorkerA, Goodbye{Unavailable("gone")});
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value());
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
}

TEST_F(Replan, AWorkerThatFetchesItsBricksJoinsAsAReplicaAndKeepsWhatItHosts) {
  NodeStatus fetching = Measured(1);
  fetching.fetches = true;
  Start({{kWorkerA, Measured(1)}});
  JoinMeasured(kWorkerB, fetching);
  EXPECT_TRUE(PlacedWithin(kReplanInterval + seconds(2)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA, kWorkerB));
  Say(kWorkerA, Measured(8));
  Say(kWorkerB, fetching);
  first_ = state_.placement_id;
  EXPECT_TRUE(PlacedWithin(kPlacementKeptMin + seconds(12)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB)) << "these layers are there";
}

TEST_F(Replan, AnEvenPlacementIsReplacedOnceEverybodyHasSaidItsSpeed) {
  Start({{kWorkerA, Measured(0)}, {kWorkerB, Measured(0)}});
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  Say(kWorkerA, Measured(1));
  Say(kWorkerB, Measured(4));
  EXPECT_TRUE(PlacedWithin(kPlacementKeptMin + seconds(12)));
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA));
  EXPECT_TRUE(state_.placement->measured);
}

}  // namespace
}  // namespace mortar
