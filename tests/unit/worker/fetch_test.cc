// Goal: a worker without the model's file fetches the bricks of its placement before it loads them,
// and only those of the newest one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  EXPECT_TRUE(PlanNow().send_status);
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

}  // namespace
}  // namespace mortar
