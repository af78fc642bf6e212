// Goal: when an edge takes over the layers between its own, and when it does not; one test for each
// row of the tables in edge/state.h and edge/plan.cc that speaks of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class EdgeTakeOver : public EdgeTables {
 protected:
  EdgeTakeOver() {
    EdgeOptions options = state_.options;
    options.takes_over = true;
    SetOptions(options);
  }
  void Load(absl::Status status = absl::OkStatus()) {
    ASSERT_TRUE(PlanNow().load_middle);
    Give(MiddleLoadStarted{});
    Give(MiddleLoaded{std::move(status)});
  }
  void GoAlone(int slot) {
    ASSERT_THAT(PlanNow().go_alone, ElementsAre(slot));
    Give(WentAlone{slot});
  }
  // Admits a request for which nobody has a route, and lets the edge be alone with it.
  void BeginAlone() {
    AskForARoute();
    now_ += kTakeOverAfter;
    Load();
    now_ += kTakeOverLoadedAfter;
    GoAlone(0);
    state_.outbox.clear();
  }
  // A step of a session whose layers are all here.
  void StepAlone(Token token) {
    EXPECT_THAT(RunFront(), IsEmpty()) << "nothing leaves the edge";
    RunBack(token);
  }
  // Its only route goes, with everything that was sent on it.
  void LoseRoute(uint8_t session) {
    RunFront();
    GiveFrom(kWorkerA, NeedRoute{.session = Session(session), .epoch = Slot(0).epoch, .step = 1});
    ASSERT_EQ(Slot(0).phase, SlotPhase::kRouting);
    state_.outbox.clear();
  }
  void FindTheWorkerFull();
  void Release() {
    const std::vector<int> slots = PlanNow().release;
    Give(EdgeReleaseStarted{});
    Give(EdgePagesReleased{&slots});
  }
  std::string EndOf(int slot) {
    TextOut();
    EXPECT_EQ(Slot(slot).phase, SlotPhase::kDone);
    return finished_ ? Message(finished_->status) : "it has not ended";
  }
};

TEST_F(EdgeTakeOver, BeginsWhenNoRouteCameForAWhileAndNotBefore) {
  AskForARoute();
  now_ += kTakeOverAfter - milliseconds(1);
  EXPECT_FALSE(PlanNow().load_middle);
  now_ += milliseconds(1);
  EXPECT_TRUE(PlanNow().load_middle);
  state_.options.takes_over = false;
  EXPECT_FALSE(PlanNow().load_middle);
}

TEST_F(EdgeTakeOver, LoadsOnceForAllSessionsThatWait) {
  AskForARoute();
  Submit(RequestOf(3));
  Give(Admitted{1});
  now_ += kTakeOverAfter;
  ASSERT_TRUE(PlanNow().load_middle);
  Give(MiddleLoadStarted{});
  EXPECT_FALSE(PlanNow().load_middle);
  Give(MiddleLoaded{});
  EXPECT_THAT(PlanNow().go_alone, ElementsAre(0, 1));
}

TEST_F(EdgeTakeOver, ARouteThatComesMeanwhileIsTaken) {
  AskForARoute();
  now_ += kTakeOverAfter;
  Load();
  GiveFrom(kCoordinatorNode, RouteFor(0, 1));
  EXPECT_THAT(PlanNow().go_alone, IsEmpty());
  OneStep(1);
  EXPECT_EQ(TextOut(), "b");
  EXPECT_EQ(Slot(0).timings.tokens_alone, 0);
}

TEST_F(EdgeTakeOver, NothingOfItWaitsForTheLoadButItself) {
  Submit(RequestOf(3));
  Admit(0, 1);
  Submit(RequestOf(3));
  Give(Admitted{1});
  now_ += kTakeOverAfter;
  ASSERT_TRUE(PlanNow().load_middle);
  Give(MiddleLoadStarted{});
  OneStep(1);  // of the session that has its route
  OneStep(2);
  EXPECT_EQ(TextOut(), "bc");
  EXPECT_EQ(Slot(1).phase, SlotPhase::kRouting);
}

TEST_F(EdgeTakeOver, OfANewSessionComputesAllLayersHere) {
  BeginAlone();
  const auto routed = std::get<Routed>(state_.outputs.front().what);
  EXPECT_THAT(routed.hops, IsEmpty());
  EXPECT_EQ(routed.here, (LayerRange{1, 5}));
  StepAlone(1);
  StepAlone(2);
  EXPECT_EQ(TextOut(), "bc");
  EXPECT_EQ(Slot(0).timings.tokens_alone, 2);
}

TEST_F(EdgeTakeOver, AmidAnAnswerGoesOnBehindItsLastToken) {
  Submit(RequestOf(5, 4));
  Admit(0, 1);
  OneStep(1);
  OneStep(2);
  const uint32_t epoch = Slot(0).epoch;
  LoseRoute(1);
  now_ = Slot(0).routing_since + kTakeOverAfter;
  Load();
  GoAlone(0);
  EXPECT_GT(Slot(0).epoch, epoch + 1);
  // The log again from its beginning, for the middle's KV; the back layers have theirs.
  EdgePlan plan = PlanNow();
  ASSERT_EQ(plan.front.size(), 1u);
  EXPECT_EQ(plan.front[0].base, 0);
  EXPECT_EQ(plan.front[0].n, 7);
  StepAlone(3);
  StepAlone(4);
  EXPECT_EQ(TextOut(), "bcde") << "each token once";
  EXPECT_EQ(finished_->timings.tokens_alone, 2);
  EXPECT_EQ(finished_->reason, FinishReason::kLength);
  EXPECT_THAT(state_.outbox, IsEmpty()) << "no hop is left to be told";
}

TEST_F(EdgeTakeOver, OnceItIsLoadedTheNextSessionAsksForARouteFirstAndWaitsLess) {
  BeginAlone();
  Submit(RequestOf(3));
  Give(Admitted{1});
  EXPECT_THAT(PlanNow().ask_route, ElementsAre(1));
  now_ += kTakeOverLoadedAfter - milliseconds(1);
  EXPECT_THAT(PlanNow().go_alone, IsEmpty());
  now_ += milliseconds(1);
  EXPECT_THAT(PlanNow().go_alone, ElementsAre(1));
}

TEST_F(EdgeTakeOver, WaitsForTheEngineBeforeItTakesPagesOfTheMiddle) {
  BeginAlone();
  Submit(RequestOf(3));
  Give(Admitted{1});
  now_ += kTakeOverLoadedAfter;
  EdgePlan plan = PlanNow();
  Give(FrontStarted{&plan.front, false});
  EXPECT_THAT(PlanNow().go_alone, IsEmpty());
}

TEST_F(EdgeTakeOver, RoutesThatAllFailEndInItAtOnce) {
  Submit(RequestOf(5));
  Admit(0, 1);
  for (uint8_t session = 1; session <= kNewRoutesMax; ++session) {
    LoseRoute(session);
    now_ = Slot(0).held_until;
    GiveFrom(kCoordinatorNode, RouteFor(0, static_cast<uint8_t>(session + 1)));
  }
  LoseRoute(kNewRoutesMax + 1);
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  Load();
  GoAlone(0);
  StepAlone(1);
  EXPECT_EQ(TextOut(), "b");
}

TEST_F(EdgeTakeOver, RoutesThatAllFailAreTheReasonWhereItFailsToo) {
  Submit(RequestOf(5));
  Admit(0, 1);
  for (uint8_t session = 1; session <= kNewRoutesMax; ++session) {
    LoseRoute(session);
    now_ = Slot(0).held_until;
    GiveFrom(kCoordinatorNode, RouteFor(0, static_cast<uint8_t>(session + 1)));
  }
  LoseRoute(kNewRoutesMax + 1);
  Load(ResourceExhausted("too large"));
  EXPECT_EQ(EndOf(0),
            "gave up after retries on other routes: worker wa left the route; this edge did not "
            "take over: too large");
}

TEST_F(EdgeTakeOver, ThatFailsLeavesTheSessionWaitingForARouteAsLongAsWithout) {
  AskForARoute();
  now_ += kTakeOverAfter;
  Load(ResourceExhausted("too large"));
  EXPECT_FALSE(PlanNow().load_middle) << "once is enough";
  EXPECT_THAT(PlanNow().route_timed_out, IsEmpty());
  now_ = Slot(0).routing_since + kRouteGiveUp + milliseconds(1);
  EXPECT_FALSE(PlanNow().load_middle);
  EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
  Give(RouteTimedOut{0});
  EXPECT_EQ(EndOf(0),
            "the coordinator gave no route within 35 s; this edge did not take over: too large");
}

TEST_F(EdgeTakeOver, ThatFailedIsTriedAgainForAnotherSessionAfterAWhileOnly) {
  AskForARoute();
  now_ += kTakeOverAfter;
  Load(ResourceExhausted("too large"));
  Submit(RequestOf(3));
  Give(Admitted{1});
  now_ += kTakeOverAfter;
  EXPECT_FALSE(PlanNow().load_middle);
  Give(CancelRequested{1});
  Give(CancelRequested{2});
  Release();
  now_ += kMiddleRetryAfter;
  Submit(RequestOf(3));
  Give(Admitted{0});
  now_ += kTakeOverAfter;
  EXPECT_TRUE(PlanNow().load_middle);
}

TEST_F(EdgeTakeOver, ARouteIsWaitedForNoLongerThanALoadThatHangs) {
  AskForARoute();
  now_ += kTakeOverAfter;
  ASSERT_TRUE(PlanNow().load_middle);
  Give(MiddleLoadStarted{});
  now_ += kMiddleLoadMax;
  EXPECT_THAT(PlanNow().route_timed_out, IsEmpty()) << "it is loading";
  now_ += milliseconds(1);
  EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
  Give(RouteTimedOut{0});
  EXPECT_THAT(EndOf(0), HasSubstr("its layers were not read within 360 s"));
}

TEST_F(EdgeTakeOver, OfASessionThatNobodyServedWaitsForRoutesThatMayCome) {
  AskForARoute();
  Route refused{.request = Slot(0).route_request, .status = Unavailable("0 of 1 workers are here")};
  GiveFrom(kCoordinatorNode, refused);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting) << "the coordinator gave up, this edge does not";
  Load();
  GoAlone(0);
}

TEST_F(EdgeTakeOver, WhatAClusterThatNeverServedItLacksIsSaidAtOnce) {
  AskForARoute();
  Route refused{.request = Slot(0).route_request,
                .status = FailedPrecondition("this cluster serves model x, not m")};
  GiveFrom(kCoordinatorNode, refused);
  EXPECT_EQ(EndOf(0), "this cluster serves model x, not m");
}

TEST_F(EdgeTakeOver, AmidAnAnswerNoRefusalOfTheClusterEndsIt) {
  Submit(RequestOf(5));
  Admit(0, 1);
  LoseRoute(1);
  Route refused{.request = Slot(0).route_request,
                .status = FailedPrecondition("worker wb could not load layers [1, 5)")};
  GiveFrom(kCoordinatorNode, refused);
  now_ = Slot(0).routing_since;
  Load();
  GoAlone(0);
}

TEST_F(EdgeTakeOver, AmidAnAnswerACoordinatorThatGoesForGoodDoesNotEndIt) {
  Submit(RequestOf(5, 3));
  Admit(0, 1);
  OneStep(1);
  Submit(RequestOf(3));
  Give(Admitted{1});
  RunFront();
  GiveFrom(kCoordinatorNode, Goodbye{FailedPrecondition("the job is over")});
  EXPECT_EQ(EndOf(1), "the job is over") << "it had not begun";
  EXPECT_EQ(std::get<Cancel>(state_.outbox.at(0).message).session, Session(1));
  state_.outbox.clear();
  EXPECT_THAT(PlanNow().send_hello, IsEmpty());
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  Release();
  Load();
  EXPECT_EQ(Message(Slot(0).given_up), "the job is over");
  GoAlone(0);
  StepAlone(2);
  StepAlone(3);
  EXPECT_EQ(TextOut(), "cd");
  EXPECT_EQ(finished_->reason, FinishReason::kLength);
  EXPECT_EQ(finished_->timings.tokens_alone, 2);
  // What comes later hears it at once: nobody is left to ask.
  Submit(RequestOf(3));
  TextOut();
  EXPECT_EQ(Message(finished_->status), "the job is over");
}

TEST_F(EdgeTakeOver, ACoordinatorThatGoesForGoodIsTheReasonWhereItFailsToo) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(kCoordinatorNode, Goodbye{FailedPrecondition("the job is over")});
  state_.outbox.clear();
  Load(ResourceExhausted("too large"));
  EXPECT_EQ(EndOf(0), "the job is over; this edge did not take over: too large");
}

TEST_F(EdgeTakeOver, TheFirstReasonWhyNoRouteIsLeftIsTheOneThatIsTold) {
  Submit(RequestOf(5));
  Admit(0, 1);
  LoseRoute(1);
  GiveFrom(kCoordinatorNode, Route{.request = Slot(0).route_request,
                                   .status = FailedPrecondition("wb could not load its layers")});
  GiveFrom(kCoordinatorNode, Goodbye{FailedPrecondition("the job is over")});
  now_ = Slot(0).routing_since;
  Load(ResourceExhausted("too large"));
  EXPECT_EQ(EndOf(0), "wb could not load its layers; this edge did not take over: too large");
}

// All of its retries, each refused for want of room.
void EdgeTakeOver::FindTheWorkerFull() {
  Submit(RequestOf(5));
  Admit(0, 1);
  for (int i = 0; i <= kRetriesMax; ++i) {
    now_ = std::max(now_, Slot(0).held_until);
    RunFront();
    GiveFrom(kWorkerB, Rejected{.session = Session(1),
                                .epoch = Slot(0).epoch,
                                .step = 1,
                                .status = ResourceExhausted("KV is full")});
  }
  state_.outbox.clear();
}

TEST_F(EdgeTakeOver, WhereAWorkerStaysFullTheSessionGoesOnHere) {
  FindTheWorkerFull();
  ASSERT_EQ(Slot(0).phase, SlotPhase::kRouting);
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  Load();
  GoAlone(0);
  StepAlone(1);
  EXPECT_EQ(TextOut(), "b");
}

TEST_F(EdgeTakeOver, AWorkerThatStaysFullIsTheReasonWhereItFailsToo) {
  FindTheWorkerFull();
  Load(ResourceExhausted("too large"));
  EXPECT_EQ(EndOf(0), "worker wb: KV is full; this edge did not take over: too large");
  EXPECT_TRUE(absl::IsResourceExhausted(finished_->status));
}

TEST_F(EdgeTakeOver, WhatAWorkerRefusesForAnotherReasonEndsIt) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(kWorkerB, Rejected{.session = Session(1),
                              .epoch = 1,
                              .step = 1,
                              .status = InvalidArgument("row 0 is not finite")});
  EXPECT_EQ(EndOf(0), "worker wb: row 0 is not finite");
}

TEST_F(EdgeTakeOver, NobodyElsesWordCountsForASessionThatIsAlone) {
  BeginAlone();
  const uint32_t epoch = Slot(0).epoch;
  for (const SessionId& session : {SessionId{}, Session(1)}) {
    for (const NodeId from : {kWorkerA, kWorkerB, kCoordinatorNode}) {
      GiveFrom(from, NeedRoute{.session = session, .epoch = epoch, .step = 1});
      GiveFrom(from, NeedPrefix{.session = session, .epoch = epoch, .step = 1});
      GiveFrom(from, Rejected{.session = session, .epoch = epoch, .status = Unavailable("x")});
    }
  }
  GiveFrom(kCoordinatorNode, RouteFor(0, 9));
  GiveFrom(kWorkerA, Goodbye{Unavailable("it was stopped")});
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("it was stopped")});
  GiveFrom(kCoordinatorNode, Goodbye{PermissionDenied("its key was revoked")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  EXPECT_EQ(Slot(0).epoch, epoch);
  StepAlone(1);
  EXPECT_EQ(TextOut(), "b");
}

TEST_F(EdgeTakeOver, TheMiddleGoesWhenNobodyHasUsedItForAWhile) {
  BeginAlone();
  now_ += kMiddleIdleMax + seconds(1);
  EXPECT_FALSE(PlanNow().unload_middle) << "it is in use";
  Give(CancelRequested{1});
  Release();
  now_ += kMiddleIdleMax - milliseconds(1);
  EXPECT_FALSE(PlanNow().unload_middle);
  now_ += milliseconds(1);
  EXPECT_TRUE(PlanNow().unload_middle);
  Give(MiddleUnloadStarted{});
  EXPECT_FALSE(PlanNow().unload_middle);
  // Who needs it meanwhile waits until it can be loaded again.
  Submit(RequestOf(3));
  Give(Admitted{0});
  now_ += kTakeOverAfter;
  EXPECT_FALSE(PlanNow().load_middle);
  Give(MiddleUnloaded{});
  EXPECT_TRUE(PlanNow().load_middle);
}

TEST_F(EdgeTakeOver, IsNoPlanOfAnEdgeThatMayNot) {
  state_.options.takes_over = false;
  AskForARoute();
  now_ = Slot(0).routing_since + kRouteGiveUp + milliseconds(1);
  EXPECT_FALSE(PlanNow().load_middle);
  EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
  Give(RouteTimedOut{0});
  EXPECT_THAT(EndOf(0), Not(HasSubstr("take over")));
}

}  // namespace
}  // namespace mortar
