// Goal: a coordinator whose workers obey another one moves nothing of theirs, grants routes over
// what they serve, and goes on with it when they obey it.
#include "coordinator/adopt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <variant>

#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr NodeId kFirst = CoordinatorNode(0);
constexpr NodeId kSecond = CoordinatorNode(1);
constexpr NodeId kWorkerC{62};
constexpr NodeId kWorkerD{63};

// This one is the second.
class Adopting : public CoordinatorTables {
 protected:
  Adopting() { state_.options.self = kSecond; }

  NodeStatus Serving(NodeId obeys, LayerRange layers, uint64_t placement = 1) {
    NodeStatus status =
        WorkerStatus(placement, layers.empty() ? LoadPhase::kNone : LoadPhase::kReady);
    status.obeys = obeys;
    status.hosted = layers;
    return status;
  }
  void JoinServing(NodeId node, NodeId obeys, LayerRange layers) {
    Give(node, HelloOf(node, Role::kWorker));
    Give(node, Serving(obeys, layers));
    state_.outbox.clear();
  }
  std::vector<Outgoing> PlacementsOf(const std::vector<Outgoing>& sent) {
    std::vector<Outgoing> out;
    for (const Outgoing& o : sent) {
      if (std::holds_alternative<Placement>(o.message)) out.push_back(o);
    }
    return out;
  }
  // Runs the plan until nothing changes any more, as turns of the loop do.
  std::vector<Outgoing> RunAll() {
    std::vector<Outgoing> all;
    for (int i = 0; i < 4; ++i) {
      for (Outgoing& o : RunPlan()) all.push_back(std::move(o));
    }
    return all;
  }
  void Turn(Duration time) {
    state_.last_tick = now_;
    for (const Time end = now_ + time; now_ < end;) {
      now_ = std::min<Time>(end, now_ + kStallMax);
      Apply(state_, now_, Ticked{});
    }
  }
  std::optional<Route> RouteNow(uint64_t number) {
    Give(kEdge, Request(number), SessionId{});
    std::optional<Route> route;
    for (const Outgoing& o : RunAll()) {
      if (const auto* r = std::get_if<Route>(&o.message)) route = *r;
    }
    return route;
  }
};

TEST_F(Adopting, WhatOthersWorkersServeIsGrantedAndNotMoved) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 3});
  EXPECT_FALSE(RouteNow(7)) << "it waits: half of it is missing";
  JoinServing(kWorkerB, kFirst, {3, 5});
  const std::vector<Outgoing> sent = RunAll();
  EXPECT_THAT(PlacementsOf(sent), IsEmpty());
  ASSERT_THAT(sent, SizeIs(1));
  const auto& route = std::get<Route>(sent[0].message);
  ASSERT_TRUE(route.status.ok()) << route.status;
  ASSERT_THAT(route.grant.hops, SizeIs(2));
  EXPECT_EQ(route.grant.hops[0].node, kWorkerA);
  EXPECT_EQ(route.grant.hops[1].layers, (LayerRange{3, 5}));
}

TEST_F(Adopting, HostsOfTheSameLayersAreReplicas) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 5});
  JoinServing(kWorkerB, kFirst, {1, 5});
  RunAll();
  ASSERT_TRUE(state_.placement);
  ASSERT_THAT(state_.placement->hops, SizeIs(1));
  EXPECT_THAT(state_.placement->hops[0].replicas, SizeIs(1));
}

TEST_F(Adopting, WhatMostWorkersServeIsTakenAndOfThatTheFewestStops) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 3});
  JoinServing(kWorkerB, kFirst, {3, 5});
  JoinServing(kWorkerC, kFirst, {1, 5});
  RunAll();
  ASSERT_TRUE(state_.placement);
  EXPECT_THAT(state_.placement->hops, SizeIs(2)) << "one does not stand for what two serve";
  // As it comes and goes: what the others serve overlaps, and nothing needs to be placed.
  const uint64_t id = state_.placement_id;
  Give(kWorkerC, Serving(kFirst, {}, 2));
  Give(kWorkerC, Serving(kFirst, {1, 5}, 3));
  RunAll();
  EXPECT_EQ(state_.placement_id, id);
  JoinServing(kWorkerD, kFirst, {1, 5});
  Give(kWorkerA, Serving(kFirst, {}, 2));
  RunAll();
  ASSERT_THAT(state_.placement->hops, SizeIs(1));
  EXPECT_THAT(state_.placement->hops[0].replicas, SizeIs(1));
}

TEST_F(Adopting, OneThatNamesOtherBricksIsNoHostOfWhatTheOthersServe) {
  Join(kEdge, Role::kEdge);
  Give(kWorkerC, HelloOf(kWorkerC, Role::kWorker));
  NodeStatus other = Serving(kFirst, {1, 5});
  for (LayerBrick& brick : other.bricks) brick.digest.bytes[0] = 1;
  Give(kWorkerC, other);  // the first to come
  JoinServing(kWorkerA, kFirst, {1, 5});
  JoinServing(kWorkerB, kFirst, {1, 5});
  const auto route = RouteNow(7);
  ASSERT_TRUE(route && route->status.ok());
  EXPECT_NE(route->grant.hops[0].node, kWorkerC);
  EXPECT_EQ(route->grant.hops[0].bricks[0].bytes[0], 0);
  EXPECT_THAT(state_.placement->hops[0].replicas, SizeIs(1));
}

TEST_F(Adopting, WhenTheWorkersObeyThisOneTheirLayersStay) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 3});
  JoinServing(kWorkerB, kFirst, {3, 5});
  RunAll();
  Give(kWorkerA, Serving(kSecond, {1, 3}, 0));
  Give(kWorkerB, Serving(kSecond, {3, 5}, 0));
  const std::vector<Outgoing> told = PlacementsOf(RunAll());
  ASSERT_THAT(told, SizeIs(2));
  for (const Outgoing& o : told) {
    const auto& placement = std::get<Placement>(o.message);
    EXPECT_EQ(placement.layers, o.to == kWorkerA ? (LayerRange{1, 3}) : (LayerRange{3, 5}));
    EXPECT_EQ(placement.id >> 56, 1u) << "an id that the first one never gives";
    Give(o.to, Serving(kSecond, placement.layers, placement.id));
  }
  EXPECT_THAT(PlacementsOf(RunAll()), IsEmpty()) << "nobody is told twice";
  const auto route = RouteNow(8);
  ASSERT_TRUE(route && route->status.ok());
}

TEST_F(Adopting, AWorkerThatObeysTheFirstAgainIsNotToldAnything) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kSecond, {});
  const std::vector<Outgoing> told = PlacementsOf(RunAll());
  ASSERT_THAT(told, SizeIs(1));
  const uint64_t id = std::get<Placement>(told[0].message).id;
  Give(kWorkerA, Serving(kSecond, {1, 5}, id));
  Give(kWorkerA, Serving(kFirst, {1, 5}, 0));
  now_ += std::chrono::seconds(2);
  EXPECT_THAT(PlacementsOf(RunAll()), IsEmpty());
  const auto route = RouteNow(7);
  ASSERT_TRUE(route && route->status.ok()) << "it serves the same";
}

TEST_F(Adopting, WhenTheFirstMovesLayersTheRouteWaitsUntilTheyAreThere) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 3});
  JoinServing(kWorkerB, kFirst, {3, 5});
  RunAll();
  Give(kWorkerA, Serving(kFirst, {}, 2));  // loads
  EXPECT_FALSE(RouteNow(7));
  Give(kWorkerA, Serving(kFirst, {1, 2}, 2));
  EXPECT_FALSE(RouteNow(7)) << "not whole";
  Give(kWorkerB, Serving(kFirst, {2, 5}, 2));
  const auto route = RouteNow(7);
  ASSERT_TRUE(route && route->status.ok());
  EXPECT_EQ(route->grant.hops[0].layers, (LayerRange{1, 2}));
}

TEST_F(Adopting, ItsOwnWorkersFillWhatOthersLeave) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 3});
  JoinServing(kWorkerC, kSecond, {});
  const std::vector<Outgoing> told = PlacementsOf(RunAll());
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].to, kWorkerC);
  const auto& placement = std::get<Placement>(told[0].message);
  EXPECT_EQ(placement.layers, (LayerRange{3, 5}));
  Give(kWorkerC, Serving(kSecond, {3, 5}, placement.id));
  const auto route = RouteNow(7);
  ASSERT_TRUE(route && route->status.ok());
}

TEST_F(Adopting, AWorkerThatDiesLeavesNoRouteUntilAnotherObeysThisOne) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 3});
  JoinServing(kWorkerB, kFirst, {3, 5});
  JoinServing(kWorkerC, kFirst, {});
  RunAll();
  Give(kWorkerB, Goodbye{Unavailable("stopped")});
  EXPECT_FALSE(RouteNow(7));
  Give(kWorkerC, Serving(kSecond, {}, 0));
  const std::vector<Outgoing> told = PlacementsOf(RunAll());
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(std::get<Placement>(told[0].message).layers, (LayerRange{3, 5}));
}

TEST_F(Adopting, ServingWhatItDoesNotOfferIsNoWordToCountOn) {
  Join(kEdge, Role::kEdge);
  Give(kWorkerA, HelloOf(kWorkerA, Role::kWorker));
  NodeStatus status = Serving(kFirst, {1, 5});
  status.bricks.pop_back();
  status.bricks.erase(status.bricks.begin() + 2);
  Give(kWorkerA, status);
  EXPECT_FALSE(RouteNow(7));
}

TEST_F(Adopting, AStatusThatCannotBeIsRefused) {
  Join(kEdge, Role::kEdge);
  for (const LayerRange layers : {LayerRange{-1, 2}, LayerRange{4, 2}, LayerRange{1, 7}}) {
    Give(kWorkerA, HelloOf(kWorkerA, Role::kWorker));
    state_.outbox.clear();
    NodeStatus status = Serving(kFirst, {});
    status.hosted = layers;
    Give(kWorkerA, status);
    EXPECT_THAT(Message(Owed<Goodbye>().status), HasSubstr("serves layers"));
    state_.outbox.clear();
  }
  Give(kWorkerA, HelloOf(kWorkerA, Role::kWorker));
  state_.outbox.clear();
  Give(kWorkerA, Serving(kWorkerB, {}));
  EXPECT_THAT(Message(Owed<Goodbye>().status), HasSubstr("is no coordinator"));
}

TEST_F(Adopting, WhoBeginsToServeAStopIsOneMoreHostAndWhoLeavesItIsNone) {
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kFirst, {1, 5});
  JoinServing(kWorkerB, kFirst, {});
  RunAll();
  const uint64_t id = state_.placement_id;
  Give(kWorkerB, Serving(kFirst, {1, 5}));
  ASSERT_THAT(state_.placement->hops[0].replicas, SizeIs(1));
  Give(kWorkerB, Serving(kFirst, {2, 5}));
  Turn(kStatusAgeMax);
  EXPECT_THAT(state_.placement->hops[0].replicas, SizeIs(1)) << "it may be changing over";
  Turn(std::chrono::milliseconds(1));
  EXPECT_THAT(state_.placement->hops[0].replicas, IsEmpty());
  EXPECT_EQ(state_.placement_id, id) << "nobody else is told anything";
}

// --- A worker of bad will: it says that it obeys another and serves what it likes ---

class Pretending : public Adopting {
 protected:
  Pretending() {
    state_.options.self = kFirst;
    Join(kEdge, Role::kEdge);
  }
  // Two that obey this one, and do as it says.
  void JoinTwoOfItsOwn() {
    JoinServing(kWorkerA, kFirst, {});
    JoinServing(kWorkerB, kFirst, {});
    RunAll();
    DoAsPlaced(kWorkerA);
    DoAsPlaced(kWorkerB);
  }
  void DoAsPlaced(NodeId node) {
    Give(node, Serving(kFirst, LayersOf(*state_.placement, node), state_.placement_id));
  }
};

TEST_F(Pretending, ItVoidsNothingThatOthersServe) {
  JoinTwoOfItsOwn();
  const uint64_t id = state_.placement_id;
  JoinServing(kWorkerC, kSecond, {1, 5});
  for (const LayerRange layers : {LayerRange{1, 5}, LayerRange{1, 3}, LayerRange{3, 5}}) {
    Give(kWorkerC, Serving(kSecond, layers));
    const auto route = RouteNow(static_cast<uint64_t>(10 * layers.begin + layers.end));
    ASSERT_TRUE(route && route->status.ok());
    for (const Hop& hop : route->grant.hops) EXPECT_NE(hop.node, kWorkerC);
    EXPECT_EQ(state_.placement_id, id);
  }
}

TEST_F(Pretending, LayersArePlacedAmongThoseThatObeyAsIfItWereNotThere) {
  JoinTwoOfItsOwn();
  JoinServing(kWorkerC, kSecond, {1, 4});
  Give(kWorkerB, Goodbye{Unavailable("stopped")});
  RunAll();
  ASSERT_TRUE(state_.placement);
  EXPECT_EQ(LayersOf(*state_.placement, kWorkerA), (LayerRange{1, 5})) << "one here, one there";
  EXPECT_EQ(LayersOf(*state_.placement, kWorkerC), LayerRange{});
}

TEST_F(Pretending, WhereItWasHereFirstItStaysUntilOthersServeTheSame) {
  JoinServing(kWorkerC, kSecond, {1, 5});
  RunAll();
  ASSERT_TRUE(state_.placement) << "nobody says otherwise";
  JoinServing(kWorkerA, kFirst, {1, 3});
  EXPECT_THAT(PlacementsOf(RunAll()), IsEmpty()) << "and on its word nobody drops anything";
  JoinServing(kWorkerB, kFirst, {3, 5});
  RunAll();
  EXPECT_EQ(LayersOf(*state_.placement, kWorkerC), LayerRange{});
  EXPECT_EQ(LayersOf(*state_.placement, kWorkerA), (LayerRange{1, 3}));
}

TEST_F(Pretending, WhereNobodyElseServesAnythingItStaysForAsLongAsAChangeMayTake) {
  JoinServing(kWorkerC, kSecond, {1, 5});
  RunAll();
  JoinServing(kWorkerA, kFirst, {});
  RunAll();
  EXPECT_EQ(LayersOf(*state_.placement, kWorkerC), (LayerRange{1, 5}));
  now_ += kObeyedMin + kCoordinatorSettled;
  for (const NodeId node : {kEdge, kWorkerA, kWorkerC}) {
    Give(node, node == kEdge      ? EdgeStatus()
               : node == kWorkerA ? Serving(kFirst, {}, 0)
                                  : Serving(kSecond, {1, 5}));
  }
  RunAll();
  EXPECT_EQ(LayersOf(*state_.placement, kWorkerA), (LayerRange{1, 5}));
}

TEST_F(Pretending, ItDoesNotKeepABetterPlacementFromBeingLookedFor) {
  JoinTwoOfItsOwn();
  JoinServing(kWorkerC, kSecond, {1, 5});
  EXPECT_TRUE(Decides(state_));
  Give(kWorkerB, Serving(kSecond, {3, 5}));
  EXPECT_FALSE(Decides(state_)) << "most obey the other one";
}

// --- One coordinator that starts again ---

TEST_F(Adopting, WhoStartsAgainGoesOnWithWhatItsWorkersServe) {
  state_.options.workers_expected = 2;
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kSecond, {1, 4});
  EXPECT_FALSE(RouteNow(7));
  JoinServing(kWorkerB, kSecond, {4, 5});
  for (const Outgoing& o : PlacementsOf(RunAll())) {
    EXPECT_EQ(std::get<Placement>(o.message).layers,
              o.to == kWorkerA ? (LayerRange{1, 4}) : (LayerRange{4, 5}));
  }
  ASSERT_TRUE(state_.placement);
  EXPECT_EQ(state_.placement->hops[0].layers, (LayerRange{1, 4})) << "and not evenly";
}

TEST_F(Adopting, SizesThatAPersonGaveComeFirst) {
  state_.options.workers_expected = 2;
  state_.options.sizes = {2, 2};
  Join(kEdge, Role::kEdge);
  JoinServing(kWorkerA, kSecond, {1, 4});
  JoinServing(kWorkerB, kSecond, {4, 5});
  RunAll();
  ASSERT_TRUE(state_.placement);
  EXPECT_EQ(state_.placement->hops[0].layers, (LayerRange{1, 3}));
}

}  // namespace
}  // namespace mortar
