// Goal: a worker without the model's file fetches the bricks of its placement before it loads them,
// and only those of the newest one; and serves what it hosts meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

class WorkerFetches : public WorkerTables {
 protected:
  WorkerFetches() {
    state_.options.fetches = true;
    Join();
  }
};

TEST_F(WorkerFetches, BricksComeBeforeTheyAreLoaded) {
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  EXPECT_TRUE(PlanNow().fetch);
  EXPECT_FALSE(PlanNow().load);
  Give(FetchStarted{});
  EXPECT_FALSE(PlanNow().fetch);
  EXPECT_FALSE(PlanNow().load);
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kLoading);
  EXPECT_TRUE(StatusOf(state_).fetches);
  Give(FetchDone{});
  EXPECT_FALSE(PlanNow().fetch);
  EXPECT_TRUE(PlanNow().load);
}

TEST_F(WorkerFetches, WhatDoesNotComeIsAFailedLoadWithItsReason) {
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(FetchStarted{});
  Give(StatusSent{});
  Give(FetchDone{Unavailable("no node has it")});
  EXPECT_FALSE(PlanNow().fetch);
  EXPECT_FALSE(PlanNow().load);
  EXPECT_FALSE(PlanNow().send_status.empty());
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kFailed);
  EXPECT_EQ(Message(StatusOf(state_).load_status), "no node has it");
}

TEST_F(WorkerFetches, ANewerPlacementIsFetchedInstead) {
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(FetchStarted{});
  GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 3}));
  EXPECT_TRUE(PlanNow().fetch);
  Give(FetchStarted{});
  Give(FetchDone{});
  EXPECT_TRUE(PlanNow().load);
  GiveFrom(kCoordinatorNode, PlacementOf(3, {2, 4}));
  EXPECT_TRUE(PlanNow().fetch) << "what is here are the bricks of another one";
  EXPECT_FALSE(PlanNow().load);
}

TEST_F(WorkerFetches, ANewIdOfTheSameLayersLetsTheFetchGoOn) {
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(FetchStarted{});
  GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 5}));
  EXPECT_EQ(StatusOf(state_).placement, 2u);
  EXPECT_FALSE(PlanNow().fetch) << "it is on its way";
  Give(FetchDone{});
  GiveFrom(kCoordinatorNode, PlacementOf(3, {1, 5}));
  EXPECT_FALSE(PlanNow().fetch) << "it is here";
  EXPECT_TRUE(PlanNow().load);
}

class WorkerFetchesAnother : public WorkerFetches {
 protected:
  WorkerFetchesAnother() {
    Load();
    GiveFrame(Frame(1, 1, 1, 0, 5));
    RunBatch();
    state_.outbox.clear();
    GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 3}));
  }
};

TEST_F(WorkerFetchesAnother, WhatItHostsServesOnUntilTheBricksAreHere) {
  EXPECT_TRUE(state_.outbox.empty()) << "no session is sent away for bricks that may never come";
  EXPECT_TRUE(PlanNow().release.empty());
  EXPECT_TRUE(PlanNow().fetch);
  Give(FetchStarted{});
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kLoading) << "and no new route leads here";
  GiveFrame(Frame(1, 1, 2, 5, 1));
  EXPECT_EQ(RunBatch().size(), 1u);
  EXPECT_EQ(TakeOwed<Activation>().envelope.step, 2u);
  Give(FetchDone{});
  EXPECT_EQ(TakeOwed<NeedRoute>().session, Session(1));
  GiveFrame(Frame(1, 1, 3, 6, 1));
  TakeOwed<NeedRoute>();
  EXPECT_FALSE(PlanNow().load);
  Release();
  EXPECT_TRUE(PlanNow().load);
}

TEST_F(WorkerFetchesAnother, BricksThatDoNotComeEndItsSessionsToo) {
  Give(FetchStarted{});
  Give(FetchDone{Unavailable("no node has it")});
  EXPECT_EQ(TakeOwed<NeedRoute>().session, Session(1));
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kFailed);
  GiveFrame(Frame(1, 1, 2, 5, 1));
  TakeOwed<NeedRoute>();
}

TEST_F(WorkerFetchesAnother, PlacedBackMeanwhileItNeedsNeitherFetchNorLoad) {
  Give(FetchStarted{});
  GiveFrom(kCoordinatorNode, PlacementOf(3, {1, 5}));
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
  EXPECT_FALSE(PlanNow().fetch || PlanNow().load);
  EXPECT_FALSE(state_.fetching);
  EXPECT_TRUE(state_.outbox.empty());
}

TEST_F(WorkerFetches, APlacementOfNothingNeedsNoBricks) {
  GiveFrom(kCoordinatorNode, PlacementOf(1, {}));
  EXPECT_FALSE(PlanNow().fetch);
  EXPECT_TRUE(PlanNow().load);
}

TEST_F(WorkerFetches, APrivateBrickIsNotFetched) {
  Placement placement = PlacementOf(1, {1, 5});
  placement.bricks[2].sensitivity = Sensitivity::kPrivate;
  GiveFrom(kCoordinatorNode, placement);
  EXPECT_FALSE(PlanNow().fetch);
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kFailed);
}

TEST_F(WorkerTables, ABrickIsKnownByItsDigestWhateverAnotherHostSaidOfItsSize) {
  Join();
  Placement placement = PlacementOf(1, {1, 5});
  placement.bricks[0].weight_bytes = std::numeric_limits<uint64_t>::max();
  GiveFrom(kCoordinatorNode, placement);
  EXPECT_TRUE(PlanNow().load) << Message(StatusOf(state_).load_status);
}

}  // namespace
}  // namespace mortar
