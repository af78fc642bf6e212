// Goal: what becomes of a running session whose frames are late, refused or unwanted; one test for
// each row of the table in edge/state.h that speaks of it.
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

TEST(EdgeRefusals, EachCounterOfWhatIsRefusedIsShownOnce) {
  const EdgeCounters counters{.frames = 1000,
                              .old_answers = 1,
                              .broken_answers = 20,
                              .broken_seals = 300,
                              .keys_again = 4000,
                              .bad_grants = 50000,
                              .retries = 1000,
                              .unexpected = 600000};
  EXPECT_EQ(Total(RefusalsOf(counters)), 650321u);
  EXPECT_EQ(ToText(RefusalsOf(EdgeCounters{.bad_grants = 2})), "bad_grants=2");
}

TEST_F(EdgeTables, ADeadlineRetriesAndEveryThirdTimeAsksForANewRoute) {
  Submit(RequestOf(5));
  Admit(0, 1);
  for (uint32_t epoch = 2; epoch <= 3; ++epoch) {
    RunFront();
    EXPECT_THAT(PlanNow().deadline_passed, IsEmpty());
    now_ += state_.options.step_deadline + seconds(1);
    EXPECT_THAT(PlanNow().deadline_passed, ElementsAre(0));
    Give(DeadlinePassed{0});
    EXPECT_EQ(Slot(0).epoch, epoch);
    EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  }
  RunFront();
  Give(DeadlinePassed{0});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
  EXPECT_EQ(std::get<Cancel>(state_.outbox.at(0).message).session, Session(1));
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 2));
  const Activation frame = RunFront().at(0);
  EXPECT_EQ(frame.envelope.session, Session(2));
  EXPECT_EQ(frame.envelope.epoch, 5u);
  EXPECT_EQ(frame.envelope.base, 0u);
}

TEST_F(EdgeTables, ADeadlineThatPassesOnThreeRoutesIsTheReasonInWholeNumbers) {
  Submit(RequestOf(5));
  Admit(0, 1);
  Duration silent{};
  for (uint8_t session = 2; !finished_.has_value(); TextOut()) {
    RunFront();
    now_ += state_.options.step_deadline + milliseconds(1);
    silent += state_.options.step_deadline;
    Give(DeadlinePassed{0});
    state_.outbox.clear();
    if (Slot(0).phase == SlotPhase::kRouting) {
      now_ = Slot(0).held_until;
      GiveFrom(kCoordinatorNode, RouteFor(0, session++));
    }
  }
  EXPECT_EQ(Message(finished_->status),
            "gave up after retries on other routes: no answer within 30 s");
  EXPECT_EQ(silent, 9 * seconds(30)) << "as docs/operating.md says";
}

TEST_F(EdgeTables, ANewRouteHasRetriesOfItsOwn) {
  Submit(RequestOf(5));
  Admit(0, 1);
  const auto lacks = [&](uint8_t session) {
    now_ = std::max(now_, Slot(0).held_until);
    ASSERT_EQ(RunFront().size(), 1u);
    GiveFrom(kWorkerA, NeedPrefix{.session = Session(session), .epoch = Slot(0).epoch, .step = 1});
  };
  for (int i = 0; i < kRetriesMax; ++i) lacks(1);
  now_ = Slot(0).held_until;
  RunFront();
  GiveFrom(kWorkerA, NeedRoute{.session = Session(1), .epoch = Slot(0).epoch, .step = 1});
  ASSERT_EQ(Slot(0).phase, SlotPhase::kRouting);
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 2));
  lacks(2);
  EXPECT_EQ(Slot(0).held_until, Time{}) << "sent again at once: it may have overtaken its key";
  GiveFrom(kWorkerB, AnswerTo(RunFront().at(0)));
  RunBack(1);
  EXPECT_EQ(TextOut(), "b");
}

TEST_F(EdgeTables, SixNewRoutesWithoutProgressEndItAndOutlastANodeThatIsGone) {
  Submit(RequestOf(5));
  Admit(0, 1);
  const Time start = now_;
  for (uint8_t session = 1; session <= kNewRoutesMax; ++session) {
    RunFront();
    GiveFrom(kWorkerA, NeedPrefix{.session = Session(session), .epoch = Slot(0).epoch, .step = 1});
    GiveFrom(kWorkerB, NeedRoute{.session = Session(session), .epoch = Slot(0).epoch, .step = 1});
    ASSERT_EQ(Slot(0).phase, SlotPhase::kRouting);
    state_.outbox.clear();
    now_ = Slot(0).held_until;
    GiveFrom(kCoordinatorNode, RouteFor(0, static_cast<uint8_t>(session + 1)));
  }
  EXPECT_GT(now_ - start, kStatusAgeMax);
  GiveFrom(kWorkerB, NeedRoute{.session = Session(kNewRoutesMax + 1), .epoch = Slot(0).epoch});
  TextOut();
  EXPECT_EQ(Message(finished_->status),
            "gave up after retries on other routes: worker wb left the route");
}

TEST_F(EdgeTables, RetriesWithoutProgressEnd) {
  Submit(RequestOf(5));
  Admit(0, 1);
  for (int i = 0; i <= kRetriesMax; ++i) {
    now_ = std::max(now_, Slot(0).held_until);
    ASSERT_EQ(RunFront().size(), 1u);
    GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = Slot(0).epoch, .step = 1});
  }
  TextOut();
  EXPECT_TRUE(absl::IsUnavailable(finished_->status));
  EXPECT_THAT(Message(finished_->status), HasSubstr("gave up after 6 retries: worker wa has 0"));
}

TEST_F(EdgeTables, WhatAWorkerLacksAgainIsSentAfterAWhile) {
  Submit(RequestOf(5));
  Admit(0, 1);
  const auto lacks = [&] {
    GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = Slot(0).epoch, .step = 1});
  };
  RunFront();
  lacks();
  EXPECT_EQ(RunFront().size(), 1u) << "the first time at once";
  const Time start = now_;
  for (int retry = 1; retry < kRetriesMax; ++retry) {
    lacks();
    EXPECT_TRUE(PlanNow().front.empty());
    EXPECT_EQ(Slot(0).held_until - now_, kNoRoomDelay * (1 << retry));
    now_ = Slot(0).held_until;
    EXPECT_EQ(RunFront().size(), 1u);
  }
  EXPECT_GT(now_ - start, kWatchedSilenceMax) << "a way that is gone was found meanwhile";
}

TEST_F(EdgeTables, NeedRouteAsksForANewRouteAndKeepsTheTokens) {
  Submit(RequestOf(5));
  Admit(0, 1);
  OneStep(1);
  RunFront();
  GiveFrom(kWorkerB, NeedRoute{.session = Session(1), .epoch = 1, .step = 2});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 2));
  const Activation frame = RunFront().at(0);
  EXPECT_EQ(frame.envelope.n, 6u);
  GiveFrom(kWorkerB, AnswerTo(frame));
  RunBack(2);
  EXPECT_EQ(TextOut(), "bc");
}

TEST_F(EdgeTables, AFrameThatIsLostOnANewRouteIsSentAgainFromWhatItsHopsHave) {
  Submit(RequestOf(5));
  Admit(0, 1);
  OneStep(1);
  RunFront();
  GiveFrom(kWorkerB, NeedRoute{.session = Session(1), .epoch = 1, .step = 2});
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 2));
  EXPECT_EQ(RunFront().at(0).envelope.base, 0u);
  now_ += state_.options.step_deadline + std::chrono::milliseconds(1);
  state_.last_tick = now_;
  Give(DeadlinePassed{0});
  const Activation again = RunFront().at(0);
  EXPECT_EQ(again.envelope.base, 0u) << "the back layers have five, these workers none";
  GiveFrom(kWorkerB, AnswerTo(again));
  RunBack(2);
  EXPECT_EQ(Slot(0).at_hops, 6);
}

TEST_F(EdgeTables, ANewRouteIsAskedForAfterAWhileSoThatItIsAnother) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(kWorkerB, NeedRoute{.session = Session(1), .epoch = 1, .step = 1});
  EXPECT_TRUE(PlanNow().ask_route.empty());
  now_ += 2 * kNewRouteDelay;
  EXPECT_EQ(PlanNow().ask_route, std::vector<int>{0});
}

TEST_F(EdgeTables, AHopThatIsGoneTakesItsSessionsToANewRoute) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(NodeId{99}, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning) << "of another's route";
  GiveFrom(kWorkerB, Goodbye{Unavailable("gone")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
}

TEST_F(EdgeTables, TheCoordinatorIsToldWhichHopsWereMissed) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(kWorkerB, Goodbye{Unavailable("gone")});
  EXPECT_THAT(Slot(0).missed, ElementsAre(kWorkerB));
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 2));
  RunFront();
  GiveFrom(kWorkerA, NeedRoute{.session = Session(2), .epoch = Slot(0).epoch, .step = 2});
  EXPECT_THAT(Slot(0).missed, ElementsAre(kWorkerB)) << "A is there, and may not reach it";
  Give(RouteAsked{0});
  now_ = Slot(0).held_until;
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  GiveFrom(NodeId{99}, Goodbye{Unavailable("gone")});
  EXPECT_THAT(PlanNow().ask_route, ElementsAre(0))
      << "of what is lost meanwhile it is told at once";
  EXPECT_THAT(Slot(0).missed, ElementsAre(kWorkerB, NodeId{99}));
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 3));
  Slot(0).retries_on_route = kRetriesPerRoute - 1;
  RunFront();
  Give(DeadlinePassed{0});
  EXPECT_THAT(Slot(0).missed, ElementsAre(kWorkerA, kWorkerB)) << "one of them";
}

TEST_F(EdgeTables, ARouteSaysWhereItsHopsListen) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(5));
  Give(Admitted{0});
  Give(RouteAsked{0});
  Route route = RouteFor(0, 1);
  route.grant.hops[1].endpoint = "tcp://127.0.0.1:4711";
  GiveFrom(kCoordinatorNode, route);
  ASSERT_EQ(state_.introduce.size(), 1u);
  EXPECT_EQ(state_.introduce[0].node, kWorkerB);
}

TEST_F(EdgeTables, WhatAHopSentComesAfterTheEnd) {
  const RequestId id = Submit(RequestOf(5, 1));
  Admit(0, 1);
  OneStep(1);
  TextOut();
  ASSERT_TRUE(finished_.has_value());
  GiveFrom(kWorkerA, Ended{Session(9), 1, 2, 3});
  GiveFrom(NodeId{99}, Ended{Session(1), 1, 500, 5});
  EXPECT_TRUE(state_.outputs.empty()) << "of a session that it never had, or of no hop";
  EXPECT_EQ(state_.counters.unexpected, 2u);
  GiveFrom(kWorkerA, Ended{Session(1), 1, 500, 5});
  ASSERT_EQ(state_.outputs.size(), 1u);
  EXPECT_EQ(state_.outputs.front().request, id);
  const auto& totals = std::get<HopTotals>(state_.outputs.front().what);
  EXPECT_EQ(totals.hop, kWorkerA);
  EXPECT_EQ(totals.sent.bytes, 500u);
}

TEST_F(EdgeTables, RejectedEndsTheRequestWithTheWorkersReason) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(kWorkerB, Rejected{.session = Session(1),
                              .epoch = 1,
                              .step = 1,
                              .status = InvalidArgument("row 0 is not finite")});
  TextOut();
  EXPECT_TRUE(absl::IsInvalidArgument(finished_->status));
  EXPECT_EQ(Message(finished_->status), "worker wb: row 0 is not finite");
}

TEST_F(EdgeTables, OnlyAHopCanRejectAFrameOrMissAPrefix) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  GiveFrom(NodeId{99}, Rejected{.session = Session(1),
                                .epoch = 1,
                                .step = 1,
                                .status = InvalidArgument("row 0 is not finite")});
  GiveFrom(NodeId{99}, NeedPrefix{.session = Session(1), .epoch = 1, .step = 1, .have = 0});
  EXPECT_EQ(state_.counters.unexpected, 2u);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  EXPECT_EQ(Slot(0).epoch, 1u);
  // A relay is no hop, and says that one cannot be reached.
  GiveFrom(NodeId{99}, NeedRoute{.session = Session(1), .epoch = 1, .step = 1});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
}

TEST_F(EdgeTables, AWorkerWithoutRoomIsAskedAgainAfterAWhile) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  const Rejected full{
      .session = Session(1), .epoch = 1, .step = 1, .status = ResourceExhausted("KV is full")};
  GiveFrom(kWorkerB, full);
  EXPECT_THAT(PlanNow().front, IsEmpty());
  now_ += kNoRoomDelay;
  const Activation frame = RunFront().at(0);
  EXPECT_EQ(frame.envelope.epoch, 2u);
  EXPECT_EQ(frame.envelope.base, 0u);
  GiveFrom(kWorkerB, AnswerTo(frame));
  RunBack(1);
  EXPECT_EQ(TextOut(), "b");
}

TEST_F(EdgeTables, AWorkerThatStaysFullEndsTheRequestWithItsReason) {
  Submit(RequestOf(5));
  Admit(0, 1);
  const Time start = now_;
  for (int i = 0; i <= kRetriesMax; ++i) {
    while (PlanNow().front.empty()) now_ += milliseconds(10);
    RunFront();
    GiveFrom(kWorkerB, Rejected{.session = Session(1),
                                .epoch = Slot(0).epoch,
                                .step = 1,
                                .status = ResourceExhausted("KV is full")});
  }
  TextOut();
  EXPECT_TRUE(absl::IsResourceExhausted(finished_->status));
  EXPECT_EQ(Message(finished_->status), "worker wb: KV is full");
  EXPECT_EQ(now_ - start, 63 * kNoRoomDelay);
}

TEST_F(EdgeTables, AfterStandingStillItselfNothingIsLate) {
  Submit(RequestOf(5));
  Admit(0, 1);
  RunFront();
  Give(EdgeTicked{});
  now_ += 10 * state_.options.step_deadline;
  Give(EdgeTicked{});
  EXPECT_THAT(PlanNow().deadline_passed, IsEmpty());
}

}  // namespace
}  // namespace mortar
