// Goal: an edge of two coordinators asks one for a route, the other when that one is silent, gone
// or refuses, and takes the first grant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr NodeId kFirst = CoordinatorNode(0);
constexpr NodeId kSecond = CoordinatorNode(1);

class EdgeCoordinators : public EdgeTables {
 protected:
  EdgeCoordinators() {
    EdgeOptions options = state_.options;
    options.coordinators = 2;
    SetOptions(options);
  }

  std::vector<int> Asked() {
    if (PlanNow().ask_route.empty()) return {};
    std::vector<int> to = CoordinatorsToAsk(state_, Slot(0), now_);
    Give(RouteAsked{0});
    return to;
  }
  void BothAreThere() {
    GiveFrom(kFirst, Welcome{});
    GiveFrom(kSecond, Welcome{});
  }
  void WaitForARoute() {
    Submit(RequestOf(3));
    Give(Admitted{0});
  }
  Route Refusal(absl::Status why) {
    return {.request = Slot(0).route_request, .status = std::move(why), .grant = {}};
  }
};

TEST_F(EdgeCoordinators, BothAreToldAndTheFirstIsAsked) {
  EXPECT_THAT(PlanNow().send_hello, ElementsAre(0, 1));
  BothAreThere();
  EXPECT_THAT(PlanNow().send_status, ElementsAre(0, 1));
  WaitForARoute();
  EXPECT_THAT(Asked(), ElementsAre(0));
  GiveFrom(kFirst, RouteFor(0, 1));
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
}

TEST_F(EdgeCoordinators, WhenTheFirstHasNotAnsweredForASecondBothAreAsked) {
  BothAreThere();
  WaitForARoute();
  EXPECT_THAT(Asked(), ElementsAre(0));
  now_ += kWatchedSilenceMax - milliseconds(1);
  EXPECT_THAT(Asked(), IsEmpty());
  now_ += milliseconds(1);
  EXPECT_THAT(Asked(), ElementsAre(0, 1));
  EXPECT_THAT(Asked(), IsEmpty()) << "once, until it is time to ask again";
  now_ += kRouteAskInterval;
  EXPECT_THAT(Asked(), ElementsAre(0, 1));
}

TEST_F(EdgeCoordinators, TheFirstGrantCountsAndTheOtherIsDropped) {
  BothAreThere();
  WaitForARoute();
  Asked();
  now_ += kWatchedSilenceMax;
  Asked();
  const Route late = RouteFor(0, 2);
  GiveFrom(kSecond, RouteFor(0, 1));
  ASSERT_EQ(Slot(0).phase, SlotPhase::kRunning);
  GiveFrom(kFirst, late);
  EXPECT_EQ(Slot(0).session, Session(1));
  EXPECT_EQ(state_.counters.old_answers, 1u);
}

TEST_F(EdgeCoordinators, WhenTheFirstIsGoneTheSecondIsAskedAtOnce) {
  BothAreThere();
  WaitForARoute();
  EXPECT_THAT(Asked(), ElementsAre(0));
  GiveFrom(kFirst, Goodbye{Unavailable("gone")});
  EXPECT_THAT(Asked(), ElementsAre(1));
  GiveFrom(kFirst, Welcome{});
  EXPECT_THAT(Asked(), ElementsAre(0)) << "it is back, and knows nothing of the request";
}

TEST_F(EdgeCoordinators, OneThatHasBeenSilentForFiveSecondsIsNotAskedFirst) {
  BothAreThere();
  for (int i = 0; i < 12; ++i) {
    now_ += milliseconds(500);
    GiveFrom(kSecond, Echo{});
  }
  WaitForARoute();
  EXPECT_THAT(Asked(), ElementsAre(1));
}

TEST_F(EdgeCoordinators, ARefusalCountsWhenNobodyElseIsLeftToAsk) {
  BothAreThere();
  WaitForARoute();
  EXPECT_THAT(Asked(), ElementsAre(0));
  GiveFrom(kFirst, Refusal(FailedPrecondition("no room at the first")));
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
  EXPECT_THAT(Asked(), ElementsAre(1)) << "and not the first again";
  GiveFrom(kSecond, Refusal(Unavailable("no workers at the second")));
  const auto finished = std::get<Finished>(state_.outputs.pop_front().what);
  EXPECT_THAT(Message(finished.status), HasSubstr("no room at the first"));
}

TEST_F(EdgeCoordinators, ARefusalCountsWhenTheOtherGoes) {
  BothAreThere();
  WaitForARoute();
  Asked();
  GiveFrom(kFirst, Refusal(FailedPrecondition("no room")));
  Asked();
  GiveFrom(kSecond, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kDone);
}

TEST_F(EdgeCoordinators, ASecondOnesGrantMendsTheRefusalOfTheFirst) {
  BothAreThere();
  WaitForARoute();
  Asked();
  GiveFrom(kFirst, Refusal(FailedPrecondition("no room")));
  Asked();
  GiveFrom(kSecond, RouteFor(0, 1));
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
}

TEST_F(EdgeCoordinators, OneThatRefusesThisNodeLeavesTheOther) {
  GiveFrom(kFirst, Goodbye{FailedPrecondition("another model")});
  GiveFrom(kSecond, Welcome{});
  WaitForARoute();
  EXPECT_THAT(Asked(), ElementsAre(1));
  GiveFrom(kSecond, Goodbye{PermissionDenied("not allowed")});
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kRefused);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kDone) << "nobody is left";
}

TEST_F(EdgeCoordinators, WhenNoRouteCameTheFirstReasonThatAnyOfThemGaveIsTold) {
  const auto end = [&] {
    now_ = Slot(0).routing_since + kRouteGiveUp + milliseconds(1);
    EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
    Give(RouteTimedOut{0});
    TextOut();
    return Message(finished_->status);
  };
  // The first never came, and the second goes.
  GiveFrom(kSecond, Welcome{});
  WaitForARoute();
  GiveFrom(kSecond, Goodbye{Unavailable("the connection was lost")});
  EXPECT_EQ(end(),
            "the coordinator gave no route within 35 s; it is gone: the connection was lost");
  // The first refuses, and the second never answers.
  Give(EdgeReleaseStarted{});
  const std::vector<int> slots = {0};
  Give(EdgePagesReleased{&slots});
  BothAreThere();
  WaitForARoute();
  GiveFrom(kFirst, Refusal(Unavailable("0 of 1 workers are here")));
  EXPECT_EQ(end(), "0 of 1 workers are here");
}

TEST_F(EdgeCoordinators, ANodeThatIsNoneOfItsCoordinatorsGrantsNothing) {
  SetOptions([&] {
    EdgeOptions one = state_.options;
    one.coordinators = 1;
    return one;
  }());
  GiveFrom(kFirst, Welcome{});
  WaitForARoute();
  Asked();
  GiveFrom(kSecond, RouteFor(0, 1));
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
  now_ += kWatchedSilenceMax;
  EXPECT_THAT(Asked(), IsEmpty()) << "one is asked as before";
}

TEST_F(EdgeCoordinators, WhoComesBackIsAskedWhateverItRefusedBefore) {
  BothAreThere();
  WaitForARoute();
  Asked();
  GiveFrom(kFirst, Refusal(Unavailable("no workers yet")));
  EXPECT_THAT(Asked(), ElementsAre(1));
  GiveFrom(kFirst, Goodbye{Unavailable("gone")});
  GiveFrom(kFirst, Welcome{});
  EXPECT_THAT(Asked(), ElementsAre(0));
  GiveFrom(kSecond, Refusal(Unavailable("no workers at the second")));
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting) << "the other may still give one";
}

// --- What is on its way through a coordinator ---

TEST_F(EdgeCoordinators, ARelayedRouteIsLeftWithTheFirstAndNotWithTheOneThatStoodBy) {
  BothAreThere();
  WaitForARoute();
  Asked();
  GiveFrom(kFirst, RouteFor(0, 1));
  GiveFrom(kSecond, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning) << "its frames go through the first";
  GiveFrom(kSecond, Welcome{});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  GiveFrom(kFirst, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
}

TEST_F(EdgeCoordinators, ARelayedRouteIsLeftWithTheSecondWhereTheFirstIsAway) {
  GiveFrom(kSecond, Welcome{});
  WaitForARoute();
  Asked();
  GiveFrom(kSecond, RouteFor(0, 1));
  GiveFrom(kFirst, Goodbye{Unavailable("it answers every Hello so")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  GiveFrom(kSecond, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
}

// An answer that was given before the last hop had a link to this edge is lost with the
// coordinator, and nobody says so.
TEST_F(EdgeCoordinators, WhatIsInFlightIsSentAgainWhenTheCoordinatorGoesAndWhenItIsBack) {
  BothAreThere();
  WaitForARoute();
  Asked();
  Route route = RouteFor(0, 1);
  for (Hop& hop : route.grant.hops) hop.endpoint = "tcp://127.0.0.1:4711";
  GiveFrom(kFirst, route);
  const auto first = RunFront();
  ASSERT_EQ(first.size(), 1u);
  Activation last = first[0];
  GiveFrom(kSecond, Goodbye{Unavailable("gone")});
  GiveFrom(kSecond, Welcome{});
  EXPECT_EQ(Slot(0).epoch, first[0].envelope.epoch) << "nothing went through that one";
  for (int i = 0; i < 2 * kRetriesMax; ++i) {
    const uint32_t epoch = Slot(0).epoch;
    if (i % 2 == 0) GiveFrom(kFirst, Goodbye{Unavailable("gone")});
    if (i % 2 == 1) GiveFrom(kFirst, Welcome{});
    ASSERT_EQ(Slot(0).phase, SlotPhase::kRunning) << "the route stands, however often";
    EXPECT_GT(Slot(0).epoch, epoch);
    const auto again = RunFront();
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].envelope.base, first[0].envelope.base);
    EXPECT_EQ(again[0].envelope.n, first[0].envelope.n);
    last = again[0];
  }
  GiveFrom(kSecond, Goodbye{Unavailable("gone")});
  GiveFrom(kWorkerB, AnswerTo(last));
  RunBack();
  GiveFrom(kFirst, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).timings.retries, 2 * kRetriesMax) << "nothing was in flight";
}

}  // namespace
}  // namespace mortar
