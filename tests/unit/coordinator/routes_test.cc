// Goal: one test for each row of the tables in coordinator/state.h and coordinator/plan.cc about
// placement and routes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TEST_F(CoordinatorTables, RouteRequestOfNoEdgeIsRefused) {
  Join(kWorkerA, Role::kWorker);
  Give(kWorkerA, Request());
  EXPECT_THAT(Message(Owed<Route>().status), HasSubstr("only edges"));
  EXPECT_EQ(Owed<Route>().request, 7u);
}

TEST_F(CoordinatorTables, AnEdgeThatFillsItsPartOfTheTableIsRefusedAlone) {
  Join(kEdge, Role::kEdge);
  Join(kOtherEdge, Role::kEdge);
  for (uint64_t i = 0; i <= kRouteRequestsPerEdgeMax; ++i) Give(kEdge, Request(i));
  EXPECT_TRUE(absl::IsResourceExhausted(Owed<Route>().status));
  EXPECT_THAT(Message(Owed<Route>().status), HasSubstr("32 requests of this edge"));
  state_.outbox.clear();
  Give(kOtherEdge, Request());
  EXPECT_TRUE(state_.outbox.empty()) << "it waits";
}

TEST_F(CoordinatorTables, RouteRequestsBeyondTheTableAreRefused) {
  uint64_t edge = 1000;
  for (uint64_t i = 0; i < kRouteRequestsWaitingMax; ++i) {
    if (i % kRouteRequestsPerEdgeMax == 0) Join(NodeId{++edge}, Role::kEdge);
    Give(NodeId{edge}, Request(i));
  }
  EXPECT_TRUE(state_.outbox.empty());
  Join(kEdge, Role::kEdge);
  Give(kEdge, Request());
  EXPECT_TRUE(absl::IsResourceExhausted(Owed<Route>().status));
}

TEST_F(CoordinatorTables, TheSameRequestAgainWaitsOnce) {
  Join(kEdge, Role::kEdge);
  Give(kEdge, Request());
  Give(kEdge, Request());
  EXPECT_EQ(state_.waiting.size(), 1u);
}

TEST_F(CoordinatorTables, PlacesWhenEnoughWorkersAreHereAndTellsThem) {
  state_.options.workers_expected = 2;
  Join(kWorkerA, Role::kWorker);
  EXPECT_TRUE(RunPlan().empty());
  Join(kWorkerB, Role::kWorker);
  EXPECT_TRUE(RunPlan().empty());  // placed
  ASSERT_TRUE(state_.placement.has_value());
  const std::vector<Outgoing> sent = RunPlan();  // told
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(std::get<Placement>(sent[0].message).layers, (LayerRange{1, 3}));
  EXPECT_EQ(std::get<Placement>(sent[1].message).layers, (LayerRange{3, 5}));
  EXPECT_EQ(std::get<Placement>(sent[1].message).bricks.size(), 2u);
  EXPECT_TRUE(RunPlan().empty()) << "told once";
  now_ += kHelloInterval;
  EXPECT_EQ(RunPlan().size(), 2u) << "told again while their status names another";
  Give(kWorkerA, WorkerStatus(state_.placement_id, LoadPhase::kLoading));
  now_ += kHelloInterval;
  EXPECT_EQ(RunPlan().size(), 1u);
}

TEST_F(CoordinatorTables, WithoutACutOfItsOwnItTakesTheFirstEdges) {
  state_.options.cut.reset();
  Join(kWorkerA, Role::kWorker);
  RunPlan();
  EXPECT_FALSE(state_.placement.has_value());
  Join(kEdge, Role::kEdge);
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value());
  EXPECT_EQ(*state_.cut, (LayerCut{1, 1}));
}

TEST_F(CoordinatorTables, AnImpossiblePlacementIsToldToWhoeverAsks) {
  state_.options.sizes = {1, 1};
  Join(kEdge, Role::kEdge);
  Join(kWorkerA, Role::kWorker);
  RunPlan();
  Give(kEdge, Request());
  const std::vector<Outgoing> sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_THAT(Message(std::get<Route>(sent[0].message).status), HasSubstr("2 sizes are given"));
}

TEST_F(CoordinatorTables, ARequestWaitsForAWorkerThatFillsAGap) {
  Join(kEdge, Role::kEdge);
  Give(kWorkerA, HelloOf(kWorkerA, Role::kWorker));
  NodeStatus front_half = WorkerStatus();
  front_half.layers_only = {1, 3};
  Give(kWorkerA, front_half);
  Give(kEdge, Request());
  RunPlan();
  EXPECT_TRUE(RunPlan().empty()) << "nobody hosts layers 3 and 4 yet";
  now_ += kRouteWaitMax;
  Give(kWorkerA, front_half);
  Give(kEdge, EdgeStatus());  // alive
  const std::vector<Outgoing> sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_THAT(Message(std::get<Route>(sent[0].message).status),
              HasSubstr("no worker hosts layers [3, 5)"));
}

TEST_F(CoordinatorTables, ASessionThatIsTooLongForAWorkerIsRefusedAtOnce) {
  JoinAllAndLoad();
  NodeStatus ready = WorkerStatus(state_.placement_id, LoadPhase::kReady);
  ready.positions_max = 99;
  Give(kWorkerA, ready);
  Give(kEdge, Request());  // of 100
  const absl::Status status = std::get<Route>(RunPlan().at(0).message).status;
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(Message(status), HasSubstr("keeps at most 99 positions of a session, this one may "
                                         "take 100"));
  ready.positions_max = 100;
  Give(kWorkerA, ready);
  Give(kEdge, Request());
  EXPECT_TRUE(std::get<Route>(RunPlan().at(0).message).status.ok());
}

TEST_F(CoordinatorTables, ARequestWaitsForLoadingWorkersAndIsThenGranted) {
  Join(kEdge, Role::kEdge);
  Join(kWorkerA, Role::kWorker);
  SessionId fresh;
  fresh.bytes[3] = 9;
  Give(kEdge, Request(), fresh);
  RunPlan();
  RunPlan();
  EXPECT_EQ(state_.waiting.size(), 1u) << "the worker has not loaded";
  Give(kWorkerA, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  const std::vector<Outgoing> sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, kEdge);
  const Route& route = std::get<Route>(sent[0].message);
  ASSERT_TRUE(route.status.ok());
  EXPECT_EQ(route.request, 7u);
  EXPECT_EQ(route.grant.session, fresh);
  EXPECT_EQ(route.grant.edge, kEdge);
  EXPECT_EQ(route.grant.contract, "N1");
  EXPECT_EQ(route.grant.positions_max, 100);
  ASSERT_EQ(route.grant.hops.size(), 1u);
  EXPECT_EQ(route.grant.hops[0].node, kWorkerA);
  EXPECT_EQ(route.grant.hops[0].layers, (LayerRange{1, 5}));
  EXPECT_EQ(route.grant.hops[0].bricks.size(), 4u);
  EXPECT_TRUE(state_.waiting.empty());
}

TEST_F(CoordinatorTables, ARequestWithAnotherCutOrModelIsRefusedAtOnce) {
  JoinAllAndLoad();
  RouteRequest request = Request();
  request.back_layers = 2;
  Give(kEdge, request);
  EXPECT_THAT(Message(std::get<Route>(RunPlan().at(0).message).status), HasSubstr("keeps 1 + 2"));
  request = Request();
  request.model.name = "other";
  Give(kEdge, request);
  EXPECT_THAT(Message(std::get<Route>(RunPlan().at(0).message).status), HasSubstr("not other"));
}

TEST_F(CoordinatorTables, ARequestForLayersThatCouldNotBeLoadedIsRefusedWithTheReason) {
  JoinAllAndLoad();
  Give(kWorkerA, FailedStatus());
  Give(kEdge, Request());
  EXPECT_THAT(Message(std::get<Route>(RunPlan().at(0).message).status),
              HasSubstr("blk.3.attn_q.weight is missing"));
}

TEST_F(CoordinatorTables, AWorkerThatCouldNotLoadGivesItsLayersToASpare) {
  JoinAllAndLoad();
  Join(kWorkerB, Role::kWorker);
  Give(kEdge, Request());
  Give(kWorkerA, FailedStatus());
  EXPECT_TRUE(RunPlan().empty()) << "placed anew, and no request is refused meanwhile";
  ASSERT_TRUE(state_.placement.has_value());
  EXPECT_EQ(state_.placement->hops.at(0).node, kWorkerB);
  Give(kWorkerB, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  const std::vector<Outgoing> sent = RunPlan();
  ASSERT_EQ(sent.size(), 2u) << "the failed worker is told that it hosts nothing";
  EXPECT_TRUE(std::get<Route>(sent[1].message).status.ok());
  // It is trusted again when it joins anew.
  Give(kWorkerB, Goodbye{Unavailable("it was stopped")});
  Give(kWorkerA, HelloOf(kWorkerA, Role::kWorker));
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value());
  EXPECT_EQ(state_.placement->hops.at(0).node, kWorkerA);
}

TEST_F(CoordinatorTables, AWorkerWhoseBricksDidNotComeMayLoadAgainAfterARest) {
  JoinAllAndLoad();
  Apply(state_, now_, Ticked{});
  Duration rest = kLoadRetryMin;
  for (int i = 0; i < 8; ++i) {
    const uint64_t before = state_.placement_id;
    NodeStatus failed = WorkerStatus(before, LoadPhase::kFailed);
    failed.load_status = Unavailable("brick layers.3 did not come");
    Give(kWorkerA, failed);
    Give(kEdge, Request());
    EXPECT_TRUE(RunPlan().empty()) << "the request waits: its source may come back";
    const Time again = now_ + rest;
    while (now_ < again) {
      EXPECT_EQ(state_.placement_id, before) << "in the rest number " << i;
      now_ += std::chrono::milliseconds(500);
      Give(kWorkerA, failed);
      Give(kEdge, EdgeStatus());
      Apply(state_, now_, Ticked{});
      RunPlan();
    }
    EXPECT_EQ(state_.placement_id, before + 1) << "after the rest number " << i;
    rest = std::min<Duration>(2 * rest, kLoadRetryMax);
  }
  EXPECT_EQ(rest, kLoadRetryMax);
  // One that has loaded begins with the shortest again.
  Give(kWorkerA, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  EXPECT_EQ(FindMember(state_, kWorkerA)->load_rest, Duration{});
}

TEST_F(CoordinatorTables, AWorkerWithoutRoomMayLoadAgainAndWhoeverAsksIsToldAtOnce) {
  JoinAllAndLoad();
  Apply(state_, now_, Ticked{});
  NodeStatus failed = WorkerStatus(state_.placement_id, LoadPhase::kFailed);
  failed.load_status = ResourceExhausted("no room for layers.3");
  Give(kWorkerA, failed);
  Give(kEdge, Request());
  EXPECT_THAT(Message(std::get<Route>(RunPlan().at(0).message).status), HasSubstr("no room for"));
  now_ += kLoadRetryMin;
  Give(kWorkerA, failed);
  Give(kEdge, EdgeStatus());
  state_.last_tick = now_;
  Apply(state_, now_, Ticked{});
  RunPlan();
  EXPECT_TRUE(state_.placement.has_value());
}

TEST_F(CoordinatorTables, AFailureForGoodIsNotTriedAgain) {
  JoinAllAndLoad();
  NodeStatus failed = WorkerStatus(state_.placement_id, LoadPhase::kFailed);
  failed.load_status = DataLoss("blk.3.attn_q.weight is damaged");
  Give(kWorkerA, failed);
  now_ += 2 * kLoadRetryMax;
  state_.last_tick = now_;
  Give(kWorkerA, failed);
  Apply(state_, now_, Ticked{});
  RunPlan();
  EXPECT_FALSE(state_.placement.has_value());
}

TEST_F(CoordinatorTables, AFailureOfThePastDoesNotRefuseWhoeverWaitsForAnother) {
  JoinAllAndLoad();
  Join(kWorkerB, Role::kWorker);
  const NodeStatus failed = FailedStatus();
  Give(kWorkerA, failed);
  RunPlan();  // B has them
  Give(kWorkerB, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  RunPlan();
  Give(kWorkerB, Goodbye{Unavailable("killed")});
  Give(kEdge, Request());
  EXPECT_TRUE(RunPlan().empty()) << "B may come back, as it does";
  Join(kWorkerB, Role::kWorker);
  RunPlan();
  Give(kWorkerB, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  bool granted = false;
  for (const Outgoing& outgoing : RunPlan()) {
    const auto* route = std::get_if<Route>(&outgoing.message);
    granted = granted || (route != nullptr && route->status.ok());
  }
  EXPECT_TRUE(granted);
  // And if it does not, the reason says what is there.
  Give(kWorkerB, Goodbye{Unavailable("killed")});
  Give(kEdge, Request(8));
  now_ += kRouteWaitMax;
  Give(kEdge, EdgeStatus());
  Give(kWorkerA, failed);
  const auto sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_THAT(Message(std::get<Route>(sent[0].message).status),
              HasSubstr("0 of 1 workers are here; worker n60 could not load"));
}

TEST_F(CoordinatorTables, AnEdgeThatLeavesDoesNotMakeOthersWaitForWhatFailed) {
  JoinAllAndLoad();
  Join(kOtherEdge, Role::kEdge);
  Give(kWorkerA, FailedStatus());
  Give(kOtherEdge, Goodbye{});
  Give(kEdge, Request());
  EXPECT_EQ(RunPlan().size(), 1u);
}

TEST_F(CoordinatorTables, ARequestDoesNotWaitForEver) {
  Join(kEdge, Role::kEdge);
  Give(kEdge, Request());
  EXPECT_TRUE(RunPlan().empty());
  now_ += kRouteWaitMax;
  Give(kEdge, EdgeStatus());  // alive
  const std::vector<Outgoing> sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(absl::IsUnavailable(std::get<Route>(sent[0].message).status));
  EXPECT_THAT(Message(std::get<Route>(sent[0].message).status), HasSubstr("0 of 1 workers"));
}

TEST_F(CoordinatorTables, ARepeatedRequestKeepsItsDeadlineAndItsSession) {
  Join(kEdge, Role::kEdge);
  SessionId first;
  first.bytes[0] = 1;
  Give(kEdge, Request(), first);
  const Time asked = now_;
  std::vector<Outgoing> sent;
  while (sent.empty() && now_ < asked + 2 * kRouteWaitMax) {
    now_ += seconds(2);
    Give(kEdge, EdgeStatus());  // alive
    SessionId fresh;
    fresh.bytes[0] = 2;
    Give(kEdge, Request(), fresh);
    ASSERT_EQ(state_.waiting.size(), 1u);
    EXPECT_EQ(state_.waiting[0].session, first);
    sent = RunPlan();
  }
  ASSERT_EQ(sent.size(), 1u) << "its deadline never passed";
  EXPECT_EQ(now_, asked + kRouteWaitMax);
  EXPECT_THAT(Message(std::get<Route>(sent[0].message).status), HasSubstr("0 of 1 workers"));
}

TEST_F(CoordinatorTables, AReplacementTakesTheLayersUnderANewId) {
  JoinAllAndLoad();
  Join(kWorkerB, Role::kWorker);
  RunPlan();
  const uint64_t before = state_.placement_id;
  Give(kWorkerA, Goodbye{});
  RunPlan();
  EXPECT_EQ(state_.placement_id, before + 1);
  EXPECT_EQ(state_.placement->hops.at(0).node, kWorkerB);
}

TEST_F(CoordinatorTables, GrantsAndPlacementsSayWhereNodesListen) {
  state_.options.workers_expected = 2;
  Join(kEdge, Role::kEdge);
  for (const NodeId worker : {kWorkerA, kWorkerB}) {
    Hello hello = HelloOf(worker, Role::kWorker);
    hello.endpoint = "tcp://127.0.0.1:" + std::to_string(worker.value);
    Give(worker, hello);
    Give(worker, WorkerStatus());
  }
  state_.outbox.clear();
  RunPlan();  // places
  std::vector<Placement> told;
  for (const Outgoing& outgoing : RunPlan()) {
    told.push_back(std::get<Placement>(outgoing.message));
  }
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].next, kWorkerB);
  EXPECT_EQ(told[0].next_endpoint, "tcp://127.0.0.1:61");
  EXPECT_EQ(told[1].next, kNoNode) << "its rows go to the edge";
  Give(kWorkerA, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  Give(kWorkerB, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  Give(kEdge, Request());
  const auto sent = RunPlan();
  ASSERT_EQ(sent.size(), 1u);
  const RouteGrant& grant = std::get<Route>(sent[0].message).grant;
  ASSERT_EQ(grant.hops.size(), 2u);
  EXPECT_EQ(grant.hops[0].endpoint, "tcp://127.0.0.1:60");
  EXPECT_EQ(grant.hops[1].endpoint, "tcp://127.0.0.1:61");
}

}  // namespace
}  // namespace mortar
