// Goal: joining, placements and ends: one test for each row of the tables in worker/state.h and
// worker/plan.cc that speaks of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <limits>

#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;

// --- Membership ---

TEST_F(WorkerTables, JoiningSaysHelloAgainUntilItIsWelcome) {
  EXPECT_FALSE(PlanNow().send_hello.empty());
  Give(HelloSent{});
  EXPECT_TRUE(PlanNow().send_hello.empty());
  now_ += kHelloInterval;
  EXPECT_FALSE(PlanNow().send_hello.empty());
  Join();
  EXPECT_TRUE(PlanNow().send_hello.empty());
  EXPECT_FALSE(PlanNow().send_status.empty());
}

TEST_F(WorkerTables, StatusIsSentOnEachIntervalAndAtOnceWhenSomethingChanged) {
  Join();
  Give(StatusSent{});
  EXPECT_TRUE(PlanNow().send_status.empty());
  now_ += kStatusInterval;
  EXPECT_FALSE(PlanNow().send_status.empty());
  Give(StatusSent{});
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  EXPECT_FALSE(PlanNow().send_status.empty());
  EXPECT_EQ(StatusOf(state_).placement, 1u);
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kLoading);
}

TEST_F(WorkerTables, AnUnknownMemberJoinsAgainAndKeepsWhatItHosts) {
  Load();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("not a member")});
  EXPECT_FALSE(PlanNow().send_hello.empty());
  Join();
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  EXPECT_FALSE(PlanNow().load) << "the same layers are there already";
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
}

TEST_F(WorkerTables, ACoordinatorThatDoesNotKnowItGetsOneHelloAnInterval) {
  Give(HelloSent{});
  Join();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("in use by another connection")});
  EXPECT_TRUE(PlanNow().send_hello.empty());
  now_ += kHelloInterval;
  EXPECT_FALSE(PlanNow().send_hello.empty());
  Give(HelloSent{});
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("in use by another connection")});
  EXPECT_TRUE(PlanNow().send_hello.empty());
}

TEST_F(WorkerTables, ARefusedWorkerStaysRefused) {
  GiveFrom(kCoordinatorNode, Goodbye{FailedPrecondition("another model")});
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kRefused);
  EXPECT_EQ(Message(state_.coordinators[0].why), "another model");
  // Its status was on its way, and is answered as a stranger's.
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("say Hello first")});
  GiveFrom(kCoordinatorNode, Goodbye{PermissionDenied("not allowed")});
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kRefused);
  EXPECT_EQ(Message(state_.coordinators[0].why), "another model");
  now_ += seconds(60);
  EXPECT_TRUE(PlanNow().send_hello.empty());
}

TEST_F(WorkerTables, OnlyTheCoordinatorPlacesAndRefuses) {
  Join();
  GiveFrom(kEdge, PlacementOf(1, {1, 5}));
  GiveFrom(kEdge, Goodbye{FailedPrecondition("go")});
  EXPECT_FALSE(PlanNow().load);
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kJoined);
  EXPECT_EQ(state_.counters.unexpected, 1u);
}

TEST_F(WorkerTables, AnEdgeThatIsGoneIsForgottenAndMayComeBack) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 5));
  RunBatch();
  state_.outbox.clear();
  GiveFrom(kOtherEdge, Goodbye{Unavailable("its connection is gone")});
  EXPECT_TRUE(PlanNow().release.empty()) << "another's session stays";
  EXPECT_TRUE(state_.outbox.empty());
  GiveFrom(kEdge, Goodbye{Unavailable("its connection is gone")});
  // An answer may have been lost with the link; where there is another way, it is told so.
  EXPECT_EQ(state_.outbox.at(0).to, kEdge);
  EXPECT_EQ(TakeOwed<NeedRoute>().session, Session(1));
  Release();
  EXPECT_EQ(StatusOf(state_).kv_positions_free, kPages * kPage);
  // It had lost its link alone: its next frame is told to begin anew.
  GiveFrame(Frame(1, 1, 2, 5, 1));
  EXPECT_EQ(TakeOwed<NeedPrefix>().have, 0);
}

TEST_F(WorkerTables, ANextHopThatIsGoneIsToldToTheEdgesWhoseRowsWentThere) {
  Load();
  Activation frame = Frame(1, 3, 7, 0, 5);
  frame.envelope.n_hops = 1;
  frame.envelope.hops[0] = kNextHop;
  GiveFrame(std::move(frame));
  GiveFrame(Frame(2, 1, 1, 0, 5));  // ends here
  RunBatch();
  state_.outbox.clear();
  GiveFrom(kNextHop, Goodbye{Unavailable("it is silent")});
  const auto told = TakeOwed<NeedRoute>();
  EXPECT_EQ(told.session, Session(1));
  EXPECT_EQ(told.epoch, 3u);
  EXPECT_TRUE(PlanNow().release.empty()) << "its edge decides";
}

// --- Placement ---

TEST_F(WorkerTables, APlacementSaysWhereTheNextWorkerListens) {
  Join();
  Placement placement = PlacementOf(1, {1, 5});
  placement.next = kNextHop;
  placement.next_endpoint = "tcp://127.0.0.1:4711";
  GiveFrom(kCoordinatorNode, placement);
  ASSERT_EQ(state_.introduce.size(), 1u);
  EXPECT_EQ(state_.introduce[0].node, kNextHop);
  EXPECT_EQ(state_.introduce[0].endpoint, "tcp://127.0.0.1:4711");
}

TEST_F(WorkerTables, APlacementNamesReplicasOfTheNextWorkerAndAllAreIntroduced) {
  Join();
  Placement placement = PlacementOf(1, {1, 5});
  placement.next = kNextHop;
  placement.next_endpoint = "tcp://127.0.0.1:4711";
  placement.next_others = {{.node = NodeId{71}, .endpoint = "tcp://127.0.0.1:4712"},
                           {.node = NodeId{72}, .endpoint = ""}};
  GiveFrom(kCoordinatorNode, placement);
  ASSERT_EQ(state_.introduce.size(), 2u) << "one is reached through a relay";
  EXPECT_EQ(state_.introduce[1].node, NodeId{71});
}

TEST_F(WorkerTables, ANewPlacementWithTheSameLayersLeavesItsSessionsAlone) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 5));
  RunBatch();
  state_.outbox.clear();
  Placement again = PlacementOf(2, {1, 5});
  again.next = kNextHop;
  GiveFrom(kCoordinatorNode, again);
  EXPECT_TRUE(state_.outbox.empty()) << "no NeedRoute";
  EXPECT_EQ(StatusOf(state_).placement, 2u);
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
  GiveFrame(Frame(1, 1, 2, 5, 1));
  EXPECT_EQ(SessionState(1).have, 6);
  GiveFrom(kCoordinatorNode, PlacementOf(3, {1, 4}));
  EXPECT_EQ(TakeOwed<NeedRoute>().session, Session(1)) << "with others it cannot go on";
}

// --- What it says of its speed ---

TEST_F(WorkerTables, TokensThatRunAloneAndEarlyTellItsSpeed) {
  WorkerOptions options = state_.options;
  options.ns_per_byte = 10;
  state_ = NewWorkerState(options);
  Join();
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(LoadStarted{});
  Give(LoadDone{.status = {},
                .layers = {1, 5},
                .pages = 64,
                .positions_max = 4096,
                .weight_bytes = 1'000'000});
  EXPECT_EQ(StatusOf(state_).ns_per_byte, 10) << "the probe's";
  uint64_t step = 0;
  int base = 0;
  const auto decode = [&](int rows, int times) {
    for (int i = 0; i < times; ++i) {
      GiveFrame(Frame(1, 1, ++step, base, rows));
      base += rows;
      now_ += std::chrono::milliseconds(50);
      RunBatch(std::chrono::milliseconds(50));
    }
  };
  decode(2, 64);
  EXPECT_EQ(StatusOf(state_).ns_per_byte, 10) << "two rows are more than the weights";
  decode(1, 64);
  const double slower = StatusOf(state_).ns_per_byte;
  EXPECT_DOUBLE_EQ(slower, 10 * 0.75 * 0.75 + 50 * (1 - 0.75 * 0.75));
  decode(1, static_cast<int>(kSpeedPositionsMax));
  const double last = StatusOf(state_).ns_per_byte;
  decode(1, 100);
  EXPECT_EQ(StatusOf(state_).ns_per_byte, last) << "so far in, reading KV takes time too";
}

TEST_F(WorkerTables, AnEchoOfTheCoordinatorTellsItsRoundTrip) {
  Join();
  const uint64_t stamp = state_.coordinators[0].round_trip.Stamp(now_);
  now_ += std::chrono::milliseconds(7);
  GiveFrom(kEdge, Echo{stamp});
  EXPECT_EQ(StatusOf(state_).round_trip_ns, 0u) << "nobody else can say it";
  GiveFrom(kCoordinatorNode, Echo{stamp});
  EXPECT_EQ(StatusOf(state_).round_trip_ns, 7'000'000u);
}

TEST_F(WorkerTables, APlacementIsLoadedAndThenReady) {
  Join();
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  EXPECT_TRUE(PlanNow().load);
  Give(LoadStarted{});
  EXPECT_FALSE(PlanNow().load);
  Give(LoadDone{.status = {}, .layers = {1, 5}, .pages = kPages, .positions_max = 500});
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
  EXPECT_EQ(StatusOf(state_).kv_positions_free, kPages * kPage);
}

TEST_F(WorkerTables, AFailedLoadIsToldWithItsReason) {
  Join();
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(LoadStarted{});
  Give(LoadDone{.status = NotFound("no tensor"), .layers = {1, 5}, .pages = 0, .positions_max = 0});
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kFailed);
  EXPECT_EQ(Message(StatusOf(state_).load_status), "no tensor");
}

TEST_F(WorkerTables, RefusesAPrivateBrick) {
  Join();
  Placement placement = PlacementOf(1, {1, 5});
  placement.bricks[2].sensitivity = Sensitivity::kPrivate;
  GiveFrom(kCoordinatorNode, placement);
  EXPECT_FALSE(PlanNow().load);
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kFailed);
  EXPECT_THAT(Message(StatusOf(state_).load_status), HasSubstr("private"));
}

TEST_F(WorkerTables, RefusesAnotherModelUnknownBricksAndLayersOutside) {
  Join();
  Placement placement = PlacementOf(1, {1, 5});
  placement.model.digest.bytes[0] = 1;
  GiveFrom(kCoordinatorNode, placement);
  EXPECT_THAT(Message(StatusOf(state_).load_status), HasSubstr("of model m"));
  placement = PlacementOf(2, {1, 5});
  placement.bricks[0].digest.bytes[0] = 1;
  GiveFrom(kCoordinatorNode, placement);
  EXPECT_THAT(Message(StatusOf(state_).load_status), HasSubstr("no brick of layers [1, 2)"));
  GiveFrom(kCoordinatorNode, PlacementOf(3, {1, 7}));
  EXPECT_THAT(Message(StatusOf(state_).load_status), HasSubstr("[1, 7) of 6"));
  Placement backwards = PlacementOf(4, {});
  backwards.layers = {1, std::numeric_limits<int>::min()};
  GiveFrom(kCoordinatorNode, backwards);
  EXPECT_THAT(Message(StatusOf(state_).load_status), HasSubstr("[1, -2147483648) of 6"));
  EXPECT_FALSE(PlanNow().load);
}

TEST_F(WorkerTables, ANewPlacementReleasesSessionsBeforeItLoads) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 3}));
  TakeOwed<NeedRoute>();  // its edge does not wait for a deadline
  EXPECT_FALSE(PlanNow().load);
  Release();
  EXPECT_TRUE(PlanNow().load);
  GiveFrame(Frame(1, 1, 2, 4, 1));
  TakeOwed<NeedRoute>();
}

TEST_F(WorkerTables, APlacementWhileLoadingIsLoadedNext) {
  Join();
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(LoadStarted{});
  GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 3}));
  Give(LoadDone{.status = {}, .layers = {1, 5}, .pages = kPages, .positions_max = 500});
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kLoading);
  EXPECT_TRUE(PlanNow().load);
}

TEST_F(WorkerTables, ANewIdOfTheSameLayersLetsTheLoadGoOn) {
  Join();
  GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
  Give(LoadStarted{});
  GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 3}));
  GiveFrom(kCoordinatorNode, PlacementOf(3, {1, 5}));
  Give(LoadDone{.status = {}, .layers = {1, 5}, .pages = kPages, .positions_max = 500});
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
  EXPECT_EQ(StatusOf(state_).placement, 3u);
  EXPECT_FALSE(PlanNow().load) << "it was loaded once";
}

// --- Ends ---

TEST_F(WorkerTables, EndFreesPagesAndPlaceAndALateFrameCannotBringTheSessionBack) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 70));
  GiveFrom(kEdge, End{Session(1)});
  EXPECT_EQ(state_.frames_queued, 0);
  Release();
  EXPECT_EQ(state_.pages_free, kPages);
  TakeOwed<Ended>();
  GiveFrame(Frame(1, 1, 2, 0, 1));
  EXPECT_EQ(state_.counters.ended_session, 1u);
  EXPECT_TRUE(state_.place_of.empty());
  EXPECT_TRUE(state_.outbox.empty());
}

TEST_F(WorkerTables, CancelWhileItsFrameRunsFreesAfterTheBatchAndItsRowsGoNowhere) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  const WorkerPlan plan = PlanNow();
  Give(BatchStarted{&plan.batch});
  GiveFrom(kEdge, Cancel{Session(1)});
  TakeOwed<Ended>();
  EXPECT_THAT(PlanNow().release, IsEmpty()) << "the engine is busy";
  Give(BatchDone{});
  EXPECT_TRUE(state_.outbox.empty());
  Release();
  EXPECT_EQ(state_.pages_free, kPages);
}

TEST_F(WorkerTables, AnEndThatOvertookItsSessionsFirstFrameIsRemembered) {
  Load();
  GiveFrom(kEdge, End{Session(1)});
  GiveFrame(Frame(1, 1, 1, 0, 1));
  EXPECT_EQ(state_.counters.ended_session, 1u);
  EXPECT_TRUE(state_.place_of.empty());
}

TEST_F(WorkerTables, RememberedEndsAreBounded) {
  Load();
  Activation frame = Frame(1, 1, 1, 0, 1);
  for (uint32_t i = 0; i < kEndedSessionsRemembered + 10; ++i) {
    std::memcpy(frame.envelope.session.bytes.data(), &i, sizeof(i));
    GiveFrame(frame);
    GiveFrom(kEdge, End{frame.envelope.session});
    Release();
  }
  EXPECT_EQ(state_.ended.order.size(), kEndedSessionsRemembered);
  EXPECT_EQ(state_.ended.ids.size(), kEndedSessionsRemembered);
}

TEST_F(WorkerTables, EndsOfUnknownSessionsPushOutOnlyOneAnother) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 1));
  GiveFrom(kEdge, End{Session(1)});
  Release();
  state_.outbox.clear();
  for (size_t i = 1; i <= 2 * kEndedSessionsRemembered; ++i) {
    SessionId id;
    const size_t number = i << 8;
    std::memcpy(id.bytes.data(), &number, sizeof(number));
    GiveFrom(kOtherEdge, Cancel{id});
  }
  EXPECT_EQ(state_.ended_unknown.order.size(), kUnknownEndsRemembered);
  EXPECT_EQ(state_.ended_unknown.ids.size(), kUnknownEndsRemembered);
  GiveFrame(Frame(1, 1, 2, 0, 1));
  EXPECT_EQ(state_.counters.ended_session, 1u);
  EXPECT_TRUE(state_.place_of.empty());
}

TEST_F(WorkerTables, MessagesThatNoWorkerGetsAreCounted) {
  GiveFrom(kEdge, RouteRequest{});
  EXPECT_EQ(state_.counters.unexpected, 1u);
}

}  // namespace
}  // namespace mortar
