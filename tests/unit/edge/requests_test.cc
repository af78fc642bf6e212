// Goal: what an edge refuses, and the life of a request around its frames: waiting, routing,
// ends and membership; one test for each row of the tables in edge/state.h and edge/plan.cc that
// speaks of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(EdgeTables, KeepsALayerAtEachEndUnlessTokensMayBeShown) {
  EdgeOptions o = state_.options;
  o.front_layers = 0;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("--show-tokens-to-cloud"));
  o.front_layers = 1;
  o.back_layers = 0;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("at least one layer at each end"));
  o.show_tokens_to_cloud = true;
  EXPECT_TRUE(CheckEdgeOptions(o).ok());
  o.front_layers = 7;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("7 + 0 of 6 layers"));
}

TEST_F(EdgeTables, RefusesOptionsThatDoNotFit) {
  EdgeOptions o = state_.options;
  o.model.n_embd = 65537;  // 256 KiB and 4 bytes a row
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("does not fit a frame"));
  o = state_.options;
  o.n_parallel = 0;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("sessions at a time"));
  o = state_.options;
  o.context_max = 385;  // six pages hold 384
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("cannot hold a context of 385"));
}

TEST_F(EdgeTables, RefusesRequestsWithTheReason) {
  const auto refusal = [&](auto change) {
    GenerateRequest request = RequestOf(3);
    change(request);
    return Message(CheckRequest(state_.options, request));
  };
  EXPECT_EQ(refusal([](GenerateRequest&) {}), "");
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.prompt.clear(); }), HasSubstr("no tokens"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.prompt.assign(256, 0); }),
              HasSubstr("256 tokens, a context of 256 holds fewer"));
  EXPECT_EQ(refusal([](GenerateRequest& r) { r.prompt.assign(255, 0); }), "");
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.prompt[1] = 28; }), HasSubstr("token 28"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.prompt[1] = -1; }), HasSubstr("token -1"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.n_predict = 0; }), HasSubstr("1 or more"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.stops = {""}; }), HasSubstr("1 to 256 bytes"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.stops.assign(17, "x"); }), HasSubstr("at most"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.chunk_rows = -1; }), HasSubstr("a chunk"));
  EXPECT_THAT(refusal([](GenerateRequest& r) { r.sampler.top_p = 2; }), HasSubstr("top_p"));
}

TEST_F(EdgeTables, SaysHelloUntilWelcomeAndThenItsStatus) {
  EXPECT_FALSE(PlanNow().send_hello.empty());
  Give(EdgeHelloSent{});
  EXPECT_TRUE(PlanNow().send_hello.empty());
  now_ += kHelloInterval;
  EXPECT_FALSE(PlanNow().send_hello.empty());
  GiveFrom(kCoordinatorNode, Welcome{});
  EXPECT_FALSE(PlanNow().send_status.empty());
  Give(EdgeStatusSent{});
  EXPECT_TRUE(PlanNow().send_status.empty());
  now_ += kStatusInterval;
  EXPECT_FALSE(PlanNow().send_status.empty());
  EXPECT_EQ(StatusOf(state_).front_layers, 1);
  EXPECT_THAT(StatusOf(state_).bricks, IsEmpty()) << "an edge says nothing of its bricks";
}

TEST_F(EdgeTables, ARequestWaitsForAPlaceAndItsPages) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(60, 196));  // 256 positions: four of six pages
  Submit(RequestOf(60, 196));
  EXPECT_EQ(PlanNow().admit, 0);
  Give(Admitted{0});
  EXPECT_EQ(PlanNow().admit, -1) << "two pages are left";
  EXPECT_EQ(state_.pages_free, 2);
}

TEST_F(EdgeTables, PagesAreThoseOfTheLongestThatASessionCanBecome) {
  EXPECT_EQ(EdgePagesFor(state_.options, 10, 54), 1);
  EXPECT_EQ(EdgePagesFor(state_.options, 10, 55), 2);
  EXPECT_EQ(EdgePagesFor(state_.options, 10, 2000000000), 4) << "the context bounds it";
}

TEST_F(EdgeTables, AFullQueueRefusesWithResourceExhausted) {
  for (size_t i = 0; i < kRequestsWaitingMax; ++i) Submit(RequestOf(1));
  EXPECT_TRUE(state_.outputs.empty());
  Submit(RequestOf(1));
  TextOut();
  EXPECT_TRUE(absl::IsResourceExhausted(finished_->status));
}

TEST_F(EdgeTables, ARouteIsAskedForAgainAndGivenUpInTheEnd) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(3));
  Give(Admitted{0});
  EXPECT_THAT(PlanNow().ask_route, ElementsAre(0));
  Give(RouteAsked{0});
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  now_ += kRouteAskInterval;
  EXPECT_THAT(PlanNow().ask_route, ElementsAre(0));
  now_ += kRouteGiveUp;
  EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
  Give(RouteTimedOut{0});
  TextOut();
  EXPECT_EQ(Message(finished_->status), "the coordinator gave no route within 35 s");
}

TEST_F(EdgeTables, AWaitForACoordinatorThatIsGoneEndsWithWhatBecameOfIt) {
  AskForARoute();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("the connection was lost")});
  now_ += kRouteGiveUp + std::chrono::milliseconds(1);
  EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
  Give(RouteTimedOut{0});
  TextOut();
  EXPECT_EQ(Message(finished_->status),
            "the coordinator gave no route within 35 s; it is gone: the connection was lost");
}

TEST_F(EdgeTables, ACoordinatorThatComesBackIsAskedForTheRouteAtOnce) {
  AskForARoute();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("not a member: say Hello")});
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  GiveFrom(kCoordinatorNode, Welcome{});
  EXPECT_THAT(PlanNow().ask_route, ElementsAre(0));
}

TEST_F(EdgeTables, AGrantedRouteIsShownAndASecondAnswerIsDropped) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(3));
  Give(Admitted{0});
  const Route route = RouteFor(0, 1);
  GiveFrom(kCoordinatorNode, route);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  EXPECT_EQ(Slot(0).epoch, 1u);
  ASSERT_FALSE(state_.outputs.empty());
  EXPECT_EQ(std::get<Routed>(state_.outputs.front().what).hops, route.grant.hops);
  GiveFrom(kCoordinatorNode, route);
  EXPECT_EQ(Slot(0).epoch, 1u);
  EXPECT_EQ(state_.counters.old_answers, 1u);
}

TEST_F(EdgeTables, ARouteThatIsRefusedOrNotWholeFailsTheRequest) {
  GiveFrom(kCoordinatorNode, Welcome{});
  const auto failure = [&](auto change) {
    Submit(RequestOf(3));
    Give(Admitted{0});
    Route route = RouteFor(0, 1);
    change(route);
    GiveFrom(kCoordinatorNode, route);
    TextOut();
    const std::vector<int> slots{0};
    Give(EdgeReleaseStarted{});
    Give(EdgePagesReleased{&slots});
    return Message(finished_->status);
  };
  EXPECT_EQ(failure([](Route& r) { r.status = FailedPrecondition("no such model"); }),
            "no such model");
  EXPECT_THAT(failure([](Route& r) { r.grant.hops[1].layers = {4, 5}; }),
              HasSubstr("gap at layer 3"));
  EXPECT_THAT(failure([](Route& r) { r.grant.hops.pop_back(); }), HasSubstr("ends at layer 3"));
  EXPECT_THAT(failure([](Route& r) { r.grant.contract = "C2"; }), HasSubstr("contract C2"));
  EXPECT_EQ(failure([](Route& r) { r.grant.positions_max = 12; }),
            "the route's quota is 12 positions, 13 were asked for");
  EXPECT_THAT(failure([](Route& r) { r.grant.frames_in_flight_max = 0; }), HasSubstr("0 frames"));
  EXPECT_THAT(failure([](Route& r) { r.grant.row_bytes_in_flight_max = 127; }),
              HasSubstr("127 bytes of rows in flight, a row has 128"));
}

TEST_F(EdgeTables, ACoordinatorWithoutRoomIsAskedAgainAfterAWhile) {
  AskForARoute();
  Route route = RouteFor(0, 1);
  route.status = ResourceExhausted("32 requests of this edge wait");
  GiveFrom(kCoordinatorNode, route);
  EXPECT_THAT(PlanNow().ask_route, IsEmpty());
  now_ += kRouteRefusedDelay;
  EXPECT_THAT(PlanNow().ask_route, ElementsAre(0));
  now_ += kRouteGiveUp;
  EXPECT_THAT(PlanNow().route_timed_out, ElementsAre(0));
  Give(RouteTimedOut{0});
  TextOut();
  EXPECT_EQ(Message(finished_->status), "32 requests of this edge wait");
}

TEST_F(EdgeTables, OnlyTheCoordinatorGivesRoutes) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(3));
  Give(Admitted{0});
  GiveFrom(kWorkerA, RouteFor(0, 1));
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
}

TEST_F(EdgeTables, CancelTellsTheRouteAndFreesThePlace) {
  const RequestId request = Submit(RequestOf(3));
  Admit(0, 1);
  Give(CancelRequested{request});
  ASSERT_EQ(state_.outbox.size(), 2u);
  EXPECT_EQ(std::get<Cancel>(state_.outbox[1].message).session, Session(1));
  EXPECT_EQ(state_.outbox[1].to, kWorkerB);
  TextOut();
  EXPECT_EQ(finished_->reason, FinishReason::kCancelled);
  const EdgePlan plan = PlanNow();
  EXPECT_THAT(plan.release, ElementsAre(0));
  Give(EdgeReleaseStarted{});
  Give(EdgePagesReleased{&plan.release});
  EXPECT_EQ(state_.pages_free, 6);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kFree);
}

TEST_F(EdgeTables, CancelOfAWaitingRequestLeavesTheOthersInOrder) {
  const RequestId first = Submit(RequestOf(3));
  const RequestId second = Submit(RequestOf(3));
  const RequestId third = Submit(RequestOf(3));
  Give(CancelRequested{second});
  ASSERT_EQ(state_.waiting.size(), 2u);
  EXPECT_EQ(state_.waiting[0].request, first);
  EXPECT_EQ(state_.waiting[1].request, third);
  EXPECT_EQ(state_.outputs.front().request, second);
}

TEST_F(EdgeTables, ARefusedEdgeFailsWhatWaitsAndWhatComes) {
  Submit(RequestOf(3));
  GiveFrom(kCoordinatorNode, Goodbye{FailedPrecondition("another model")});
  TextOut();
  EXPECT_EQ(Message(finished_->status), "another model");
  finished_.reset();
  Submit(RequestOf(3));
  TextOut();
  EXPECT_EQ(Message(finished_->status), "another model");
}

TEST_F(EdgeTables, ARefusedEdgeFailsWhatRunsAndTellsItsRoute) {
  Submit(RequestOf(3));
  Admit(0, 1);
  OneStep(1);
  TextOut();
  GiveFrom(kCoordinatorNode, Goodbye{FailedPrecondition("another model")});
  EXPECT_EQ(Slot(0).phase, SlotPhase::kDone);
  TextOut();
  ASSERT_TRUE(finished_.has_value());
  EXPECT_EQ(Message(finished_->status), "another model");
  ASSERT_EQ(state_.outbox.size(), 2u);
  EXPECT_EQ(std::get<Cancel>(state_.outbox[0].message).session, Session(1));
}

TEST_F(EdgeTables, AnUnknownMemberJoinsAgain) {
  GiveFrom(kCoordinatorNode, Welcome{});
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("say Hello")});
  EXPECT_FALSE(PlanNow().send_hello.empty());
}

TEST_F(EdgeTables, ACoordinatorThatDoesNotKnowItGetsOneHelloAnInterval) {
  Give(EdgeHelloSent{});
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("in use by another connection")});
  EXPECT_TRUE(PlanNow().send_hello.empty());
  now_ += kHelloInterval;
  EXPECT_FALSE(PlanNow().send_hello.empty());
}

TEST_F(EdgeTables, MessagesThatNoEdgeGetsAreCounted) {
  GiveFrom(kWorkerA, Placement{});
  GiveFrom(kWorkerA, Goodbye{});  // of nobody's route
  EXPECT_EQ(state_.counters.unexpected, 1u);
}

}  // namespace
}  // namespace mortar
