// Goal: a worker of two coordinators reports to both, obeys one at a time, and is moved by who
// comes and goes neither at once nor often.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>

#include "protocol/grant.h"
#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

constexpr NodeId kFirst = CoordinatorNode(0);
constexpr NodeId kSecond = CoordinatorNode(1);

class WorkerCoordinators : public WorkerTables {
 protected:
  WorkerCoordinators() {
    WorkerOptions options = state_.options;
    options.coordinators = 2;
    state_ = NewWorkerState(options);
  }

  // Time passes, in which these say something twice a second, and the plan is followed.
  void Pass(Duration time, std::initializer_list<NodeId> speaking) {
    for (const Time end = now_ + time; now_ < end; now_ += milliseconds(500)) {
      for (const NodeId from : speaking) GiveFrom(from, Echo{});
      if (const WorkerPlan plan = PlanNow(); plan.obey) Give(Obeyed{*plan.obey});
    }
  }
  NodeId ObeyedNow() { return StatusOf(state_).obeys; }
  void LoadFrom(NodeId coordinator, uint64_t id, LayerRange layers) {
    GiveFrom(coordinator, PlacementOf(id, layers));
    ASSERT_TRUE(state_.wanted) << "taken";
    Give(LoadStarted{});
    Give(LoadDone{.status = {}, .layers = layers, .pages = kPages, .positions_max = 500});
  }
  // Both are there, and the first one's layers are hosted.
  void Serve() {
    GiveFrom(kFirst, Welcome{});
    GiveFrom(kSecond, Welcome{});
    LoadFrom(kFirst, 1, {1, 5});
    state_.outbox.clear();
  }
  void Leaves(NodeId coordinator) { GiveFrom(coordinator, Goodbye{Unavailable("gone")}); }
};

TEST_F(WorkerCoordinators, KeysOfOneChangeAndTheOthersSignerIsGoodAllTheSame) {
  const Signer first(NewKeyPair()), second(NewKeyPair());
  GiveFrom(kFirst, Welcome{.signer = first.key()});
  GiveFrom(kSecond, Welcome{.signer = second.key()});
  const auto trusts = [&](const Signer& signer) {
    RouteGrant grant;
    signer.Sign(grant);
    return CheckSignature(SignersOf(state_.coordinators), grant).ok();
  };
  for (size_t i = 0; i < 2 * kSignersMax; ++i) {
    const Signer next(NewKeyPair());
    GiveFrom(kSecond, Doors{{{"tcp://127.0.0.1:9", {}, next.key()}}});
    EXPECT_TRUE(trusts(next)) << "before it signs";
    EXPECT_TRUE(trusts(first)) << i;
  }
  const Signer liar(NewKeyPair());
  GiveFrom(NodeId{77777}, Doors{{{"tcp://127.0.0.1:9", {}, liar.key()}}});
  EXPECT_FALSE(trusts(liar)) << "nobody but a coordinator";
}

TEST_F(WorkerCoordinators, BothAreToldWhoIsObeyedAndWhatIsServed) {
  EXPECT_THAT(PlanNow().send_hello, ElementsAre(0, 1));
  GiveFrom(kSecond, Welcome{});
  EXPECT_THAT(PlanNow().send_hello, ElementsAre(0));
  EXPECT_THAT(PlanNow().send_status, ElementsAre(1));
  EXPECT_EQ(ObeyedNow(), kFirst) << "which is waited for";
  EXPECT_TRUE(StatusOf(state_).hosted.empty());
  GiveFrom(kFirst, Welcome{});
  LoadFrom(kFirst, 1, {1, 5});
  EXPECT_THAT(PlanNow().send_status, ElementsAre(0, 1));
  EXPECT_EQ(StatusOf(state_, 1).hosted, (LayerRange{1, 5}));
  EXPECT_EQ(StatusOf(state_, 1).obeys, kFirst);
}

TEST_F(WorkerCoordinators, WhoIsNotObeyedPlacesNothing) {
  Serve();
  GiveFrom(kSecond, PlacementOf(9, {1, 3}));
  EXPECT_FALSE(state_.wanted);
  EXPECT_EQ(state_.counters.unexpected, 1u);
  EXPECT_EQ(StatusOf(state_).hosted, (LayerRange{1, 5}));
}

TEST_F(WorkerCoordinators, AnIdleOneObeysTheSecondWhenThatWasThereForFiveSeconds) {
  GiveFrom(kSecond, Welcome{});
  Pass(seconds(5), {kSecond});
  EXPECT_EQ(ObeyedNow(), kFirst);
  Pass(seconds(1), {kSecond});
  EXPECT_EQ(ObeyedNow(), kSecond);
  LoadFrom(kSecond, 1, {1, 3});
}

TEST_F(WorkerCoordinators, WhileTheFirstIsThereTheSecondIsNeverObeyed) {
  Serve();
  Pass(seconds(300), {kFirst, kSecond});
  EXPECT_EQ(ObeyedNow(), kFirst);
}

TEST_F(WorkerCoordinators, WhatIsHostedIsKeptForAMinuteBeforeAnotherIsObeyed) {
  Serve();
  Pass(seconds(10), {kFirst, kSecond});
  Leaves(kFirst);
  Pass(seconds(49), {kSecond});
  EXPECT_EQ(ObeyedNow(), kFirst) << "59 s";
  EXPECT_EQ(StatusOf(state_).hosted, (LayerRange{1, 5})) << "and served on";
  Pass(seconds(2), {kSecond});
  EXPECT_EQ(ObeyedNow(), kSecond) << "61 s";
}

TEST_F(WorkerCoordinators, ASilentOneIsGoneAfterFiveSeconds) {
  Serve();
  Pass(seconds(100), {kFirst, kSecond});
  Pass(seconds(5), {kSecond});
  EXPECT_EQ(ObeyedNow(), kFirst);
  Pass(seconds(1), {kSecond});
  EXPECT_EQ(ObeyedNow(), kSecond);
}

TEST_F(WorkerCoordinators, TheFirstIsObeyedAgainAfterAMinuteAndFiveSecondsOfItsOwn) {
  Serve();
  Pass(seconds(100), {kFirst, kSecond});
  Leaves(kFirst);
  Pass(seconds(1), {kSecond});
  ASSERT_EQ(ObeyedNow(), kSecond);
  GiveFrom(kFirst, Welcome{});
  Pass(seconds(58), {kFirst, kSecond});
  EXPECT_EQ(ObeyedNow(), kSecond) << "within its minute";
  // It goes and comes: it must have been there for five seconds.
  Leaves(kFirst);
  Pass(seconds(10), {kSecond});
  GiveFrom(kFirst, Welcome{});
  Pass(seconds(5), {kFirst, kSecond});
  EXPECT_EQ(ObeyedNow(), kSecond);
  Pass(seconds(1), {kFirst, kSecond});
  EXPECT_EQ(ObeyedNow(), kFirst);
}

TEST_F(WorkerCoordinators, AFirstThatComesBackInTimeIsStillObeyed) {
  Serve();
  Pass(seconds(100), {kFirst});
  GiveFrom(kSecond, Goodbye{Unavailable("gone")});
  Leaves(kFirst);
  GiveFrom(kFirst, Welcome{});
  GiveFrom(kSecond, Welcome{});
  // The second is there as long as the first: neither for five seconds yet.
  Pass(seconds(30), {kFirst, kSecond});
  EXPECT_EQ(ObeyedNow(), kFirst);
  GiveFrom(kFirst, PlacementOf(1, {1, 5}));
  EXPECT_FALSE(state_.wanted) << "the ids of its new life begin anew, and the layers stay";
  EXPECT_EQ(StatusOf(state_).placement, 1u);
}

TEST_F(WorkerCoordinators, SessionsGoOnWhoeverIsObeyed) {
  Serve();
  GiveFrame(Frame(1, 1, 1, 0, 2));
  Pass(seconds(100), {kFirst, kSecond});
  Leaves(kFirst);
  Pass(seconds(1), {kSecond});
  ASSERT_EQ(ObeyedNow(), kSecond);
  EXPECT_EQ(StatusOf(state_).placement, 0u) << "it knows none of the second's";
  GiveFrom(kSecond, PlacementOf(1, {1, 5}));  // what it had adopted
  EXPECT_FALSE(state_.wanted);
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
  EXPECT_EQ(SessionState(1).have, 2);
  EXPECT_TRUE(state_.outbox.empty()) << "no edge is sent away";
}

TEST_F(WorkerCoordinators, OneThatRefusesItLeavesTheOther) {
  GiveFrom(kFirst, Goodbye{FailedPrecondition("another model")});
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kJoining);
  GiveFrom(kSecond, Welcome{});
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kJoined);
  Pass(seconds(6), {kSecond});
  EXPECT_EQ(ObeyedNow(), kSecond);
  GiveFrom(kSecond, Goodbye{PermissionDenied("not allowed")});
  EXPECT_EQ(PhaseOf(state_.coordinators), Membership::kRefused);
}

TEST_F(WorkerTables, TheOnlyCoordinatorIsObeyedHoweverLongItIsAway) {
  Load();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("gone")});
  now_ += seconds(1000);
  EXPECT_FALSE(PlanNow().obey);
  Join();
  EXPECT_FALSE(PlanNow().obey);
  GiveFrom(kSecond, Welcome{});
  EXPECT_EQ(state_.counters.unexpected, 1u) << "of a cluster that has none";
}

}  // namespace
}  // namespace mortar
