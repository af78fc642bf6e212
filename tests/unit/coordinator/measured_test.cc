// Goal: a coordinator places layers by what its workers say they have measured, replicas included,
// and evenly where one of them says nothing; ten thousand workers take it less than a second; a
// stop with a host left stays, and sessions are shared out by speed.
#include "coordinator/measured.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <ctime>
#include <map>

#include "tests/support/sanitized.h"
#include "tests/unit/coordinator/measured_tables.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// --- Which layers go where ---

TEST_F(MeasuredTables, ANodeThatMakesATokenSlowerIsASpareAndItIsSaidWhy) {
  state_.options.workers_expected = 2;
  JoinMeasured(kWorkerA, Measured(4));
  JoinMeasured(kWorkerB, Measured(1));
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value()) << state_.placement_problem;
  ASSERT_EQ(state_.placement->hops.size(), 1u);
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB)) << "four times as slow is no replica";
  EXPECT_EQ(HopAt(0).layers, (LayerRange{2, 10}));
  EXPECT_THAT(HopAt(0).why,
              HasSubstr("8 layers: 8.000 ms of a token at 1.00 GB/s, 0.500 ms there"));
  EXPECT_TRUE(state_.placement->measured);
  EXPECT_THAT(state_.placement->why,
              HasSubstr("1 node: 0.000 ms at the edge, 8.000 ms at the nodes"));
  ASSERT_EQ(state_.placement->notes.size(), 1u);
  EXPECT_THAT(state_.placement->notes[0], HasSubstr("worker n60 is spare: it would make a token "
                                                    "slower"));
}

TEST_F(MeasuredTables, LayersThatDoNotFitWithTheirKvGoToTheSlowOne) {
  state_.options.workers_expected = 2;
  JoinMeasured(kWorkerA, Measured(4));
  JoinMeasured(kWorkerB, Measured(1, 6));
  RunPlan();
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  const size_t fast = HopAt(0).node == kWorkerB ? 0 : 1;
  EXPECT_EQ(HopAt(fast).layers.size(), 6) << "its memory holds 12 layers without their KV";
  EXPECT_EQ(HopAt(1 - fast).layers.size(), 2);
  EXPECT_EQ(HopAt(fast).weight_bytes, 6 * kLayer);
}

TEST_F(MeasuredTables, AWorkerThatHostsOnlySomeLayersKeepsThem) {
  state_.options.workers_expected = 2;
  NodeStatus half = Measured(1);
  half.layers_only = {6, 10};
  JoinMeasured(kWorkerA, half);
  JoinMeasured(kWorkerB, Measured(1, 4));
  RunPlan();
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  EXPECT_EQ(HopAt(0).node, kWorkerB);
  EXPECT_EQ(HopAt(1).node, kWorkerA);
}

TEST_F(MeasuredTables, WithoutASpeedOfAnybodyLayersArePlacedEvenlyAndItIsSaidWhy) {
  state_.options.workers_expected = 2;
  JoinMeasured(kWorkerA, Measured(0));
  JoinMeasured(kWorkerB, Measured(0));
  RunPlan();
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  EXPECT_FALSE(state_.placement->measured);
  EXPECT_EQ(state_.placement->why, "evenly: worker n60 has not said its speed");
  EXPECT_EQ(HopAt(0).layers, (LayerRange{2, 6}));
}

TEST_F(MeasuredTables, OneThatSaysNoSpeedCountsAsTheSlowestOfTheOthers) {
  state_.options.workers_expected = 3;
  JoinMeasured(kWorkerA, Measured(1, 6));
  JoinMeasured(kWorkerB, Measured(0, 6));  // it has computed nothing yet
  JoinMeasured(kWorkerC, Measured(4, 6));
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value()) << state_.placement_problem;
  EXPECT_TRUE(state_.placement->measured);
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  const size_t fast = HopAt(0).node == kWorkerA ? 0 : 1;
  EXPECT_EQ(HopAt(fast).node, kWorkerA);
  EXPECT_EQ(HopAt(fast).layers.size(), 6);
  EXPECT_EQ(HopAt(1 - fast).token_ns, 2 * 4 * kMs);
}

TEST_F(MeasuredTables, OneThatSaysNoWayCountsAsTheFarthestOfTheOthers) {
  state_.options.workers_expected = 2;
  NodeStatus unknown = Measured(0.9);
  unknown.round_trip_ns = 0;
  JoinMeasured(kWorkerA, Measured(1));
  JoinMeasured(kWorkerB, unknown);
  Give(kEdge, HelloOf(kEdge, Role::kEdge));
  const auto cluster = MeasuredClusterOf(state_, {2, 2}, Whose::kPlaced);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->workers.at(1).access_ns, 500'000);
}

TEST_F(MeasuredTables, ALayersSizeIsWhatMostSayAndNotWhatOneMakesUp) {
  state_.options.workers_expected = 3;
  for (const uint64_t lie : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 50}) {
    NodeStatus liar = Measured(1);
    liar.bricks.push_back({.layers = {0, 1}, .digest = {}});
    liar.bricks.erase(liar.bricks.begin());
    for (LayerBrick& brick : liar.bricks) brick.weight_bytes = lie;
    JoinMeasured(kWorkerA, liar);
    JoinMeasured(kWorkerB, Measured(1.1));
    JoinMeasured(kWorkerC, Measured(1.2));
    const auto cluster = MeasuredClusterOf(state_, {2, 2}, Whose::kPlaced);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    const auto plan = PlaceMeasured(*cluster);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->hops.at(0).token_ns, 8 * kMs) << lie;
    for (const NodeId node : {kWorkerA, kWorkerB, kWorkerC}) Give(node, Goodbye{});
  }
}

TEST_F(MeasuredTables, AWorkerThatComesAgainAndAgainDoesNotHoldThePlacementOff) {
  NodeStatus silent = Measured(1);
  silent.round_trip_ns = 0;
  JoinMeasured(kWorkerA, Measured(1));
  for (int i = 0; i < 2; ++i) {
    JoinMeasured(kWorkerB, silent);
    RunPlan();
    EXPECT_FALSE(state_.placement.has_value());
    Pass(kRoundTripWaitMax / 2);
    Give(kWorkerB, Goodbye{});
  }
  JoinMeasured(kWorkerB, silent);
  RunPlan();
  EXPECT_TRUE(state_.placement.has_value());
}

TEST_F(MeasuredTables, APlacementAfterTheFirstWaitsForNobodysWay) {
  JoinMeasured(kWorkerA, Measured(1));
  RunPlan();
  NodeStatus fresh = Measured(1);
  fresh.round_trip_ns = 0;
  JoinMeasured(kWorkerB, fresh);
  Give(kWorkerA, Goodbye{Unavailable("killed")});
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value()) << "sessions wait for it";
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
}

TEST_F(MeasuredTables, ThePlacementWaitsASecondForTheWaysOfThoseWhoHaveJustCome) {
  state_.options.workers_expected = 2;
  JoinMeasured(kWorkerA, Measured(1));
  NodeStatus far = Measured(0.9);
  far.round_trip_ns = 0;
  JoinMeasured(kWorkerB, far);
  RunPlan();
  EXPECT_FALSE(state_.placement.has_value());
  far.round_trip_ns = 30'000'000;
  Give(kWorkerB, far);
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value());
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA)) << "it is faster, and 30 ms away";
}

TEST_F(MeasuredTables, AWorkerThatNeverSaysItsWayIsPlacedAllTheSame) {
  NodeStatus silent = Measured(1);
  silent.round_trip_ns = 0;
  JoinMeasured(kWorkerA, silent);
  Pass(kRoundTripWaitMax);
  RunPlan();
  EXPECT_TRUE(state_.placement.has_value());
}

TEST_F(MeasuredTables, SizesGivenAreKeptWhateverTheSpeeds) {
  state_.options.workers_expected = 2;
  state_.options.sizes = {5, 3};
  JoinMeasured(kWorkerA, Measured(4));
  JoinMeasured(kWorkerB, Measured(1));
  RunPlan();
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  EXPECT_EQ(HopAt(0).layers, (LayerRange{2, 7}));
  EXPECT_EQ(state_.placement->why, "by the sizes given");
  Pass(kPlacementKeptMin + kReplanWaitMax);
  EXPECT_FALSE(PlanReplacement(state_, now_).has_value());
}

TEST_F(MeasuredTables, TooLittleMemoryIsSaidToWhoeverAsks) {
  JoinEdge();
  JoinMeasured(kWorkerA, Measured(1, 7));
  RunPlan();
  EXPECT_FALSE(state_.placement.has_value());
  EXPECT_TRUE(absl::IsUnavailable(state_.placement_problem)) << "another worker may come";
  EXPECT_THAT(Message(state_.placement_problem), HasSubstr("room for 7 layers together"));
}

TEST_F(MeasuredTables, AWorkerThatLacksABrickTakesNoPart) {
  state_.options.workers_expected = 2;
  NodeStatus lacking = Measured(0.5);
  lacking.bricks.erase(lacking.bricks.begin() + 5);
  JoinMeasured(kWorkerA, lacking);
  JoinMeasured(kWorkerB, Measured(1));
  RunPlan();
  ASSERT_TRUE(state_.placement.has_value()) << state_.placement_problem;
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
  EXPECT_THAT(state_.placement->notes[0], HasSubstr("n60 lacks bricks"));
}

TEST_F(MeasuredTables, APrivateBrickIsPlacedNowhere) {
  NodeStatus status = Measured(1);
  status.bricks[4].sensitivity = Sensitivity::kPrivate;
  JoinMeasured(kWorkerA, status);
  RunPlan();
  EXPECT_FALSE(state_.placement.has_value());
  EXPECT_THAT(Message(state_.placement_problem), HasSubstr("are private"));
}

// --- Replicas ---

TEST_F(MeasuredTables, WorkersThatFitBesideTheFastestRouteHostTheSameLayers) {
  state_.options.workers_expected = 3;
  for (const NodeId worker : {kWorkerA, kWorkerB, kWorkerC}) JoinMeasured(worker, Measured(1));
  RunPlan();
  ASSERT_EQ(state_.placement->hops.size(), 1u);
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerA, kWorkerB, kWorkerC));
  for (const Outgoing& outgoing : RunPlan()) {
    EXPECT_EQ(std::get<Placement>(outgoing.message).layers, (LayerRange{2, 10}));
  }
}

TEST_F(MeasuredTables, AReplicasTwinGoesOnUnderTheSamePlacementWhenItDies) {
  ServeWithTwo(Measured(1));
  const uint64_t id = state_.placement_id;
  for (const NodeId dead : {kWorkerA}) {
    Give(dead, Goodbye{Unavailable("its connection is gone")});
    ASSERT_TRUE(state_.placement.has_value());
  }
  EXPECT_THAT(Route1(), ElementsAre(kWorkerB)) << "at once, without a load";
  EXPECT_EQ(state_.placement_id, id);
  Give(kWorkerB, Goodbye{Unavailable("its connection is gone")});
  EXPECT_FALSE(state_.placement.has_value()) << "now nobody hosts the stop";
}

TEST_F(MeasuredTables, AReplicaThatCannotLoadLeavesTheStopToTheOthers) {
  state_.options.workers_expected = 2;
  JoinEdge();
  for (const NodeId worker : {kWorkerA, kWorkerB}) JoinMeasured(worker, Measured(1));
  RunPlan();
  Say(kWorkerB, Measured(1));
  NodeStatus failed = Measured(1);
  failed.placement = state_.placement_id;
  failed.phase = LoadPhase::kFailed;
  failed.load_status = NotFound("blk.3.attn_q.weight is missing");
  Give(kWorkerA, failed);
  ASSERT_TRUE(state_.placement.has_value());
  EXPECT_THAT(HostsAt(0), ElementsAre(kWorkerB));
  EXPECT_THAT(Route1(), ElementsAre(kWorkerB));
}

TEST_F(MeasuredTables, SessionsGoToTheHostWithTheLeastToDoForItsSpeed) {
  state_.options.workers_expected = 2;
  JoinEdge();
  JoinMeasured(kWorkerA, Measured(1));
  JoinMeasured(kWorkerB, Measured(1.4));
  RunPlan();
  RunPlan();
  Say(kWorkerA, Measured(1));
  Say(kWorkerB, Measured(1.4));
  // (sessions + 1) x time: A 8.0, then B 11.2 < A 16, then A 16 < B 22.4, B 22.4 < A 24, A 24.
  EXPECT_THAT(Route1(), ElementsAre(kWorkerA));
  EXPECT_THAT(Route1(), ElementsAre(kWorkerB));
  EXPECT_THAT(Route1(), ElementsAre(kWorkerA));
  EXPECT_THAT(Route1(), ElementsAre(kWorkerB));
  EXPECT_THAT(Route1(), ElementsAre(kWorkerA));
  // What statuses say replaces what was counted, once they have had time to show it.
  for (int i = 0; i < 2; ++i) {
    Say(kWorkerA, Measured(1), 9);
    Say(kWorkerB, Measured(1.4), 1);
  }
  EXPECT_THAT(Route1(), ElementsAre(kWorkerB));
}

TEST_F(MeasuredTables, RequestsOfOneRoundAreSharedOutToo) {
  ServeWithTwo(Measured(1));
  for (uint64_t i = 0; i < 8; ++i) Give(kEdge, Ask(i));
  std::map<uint64_t, int> of_node;
  for (const Outgoing& outgoing : RunPlan()) {
    ++of_node[std::get<Route>(outgoing.message).grant.hops.at(0).node.value];
  }
  EXPECT_EQ(of_node[kWorkerA.value], 4);
  EXPECT_EQ(of_node[kWorkerB.value], 4);
}

TEST_F(MeasuredTables, AWorkerIsToldOfAllThatMayGetItsRows) {
  state_.options.workers_expected = 4;
  const std::vector<NodeId> workers = {kWorkerA, kWorkerB, kWorkerC, NodeId{63}};
  for (const NodeId worker : workers) {
    Hello hello = HelloOf(worker, Role::kWorker);
    hello.endpoint = "tcp://127.0.0.1:" + std::to_string(worker.value);
    Give(worker, hello);
    Give(worker, Measured(1, 4));
  }
  state_.outbox.clear();
  RunPlan();
  ASSERT_EQ(state_.placement->hops.size(), 2u);
  ASSERT_EQ(HostsAt(0).size(), 2u);
  ASSERT_EQ(HostsAt(1).size(), 2u);
  int before = 0;
  for (const Outgoing& outgoing : RunPlan()) {
    const auto& placement = std::get<Placement>(outgoing.message);
    if (placement.layers.begin != 2) {
      EXPECT_EQ(placement.next, kNoNode) << "its rows go to the edge";
      EXPECT_TRUE(placement.next_others.empty());
      continue;
    }
    ++before;
    EXPECT_EQ(placement.next, HostsAt(1)[0]);
    ASSERT_EQ(placement.next_others.size(), 1u);
    EXPECT_EQ(placement.next_others[0].node, HostsAt(1)[1]);
    EXPECT_EQ(placement.next_others[0].endpoint,
              "tcp://127.0.0.1:" + std::to_string(HostsAt(1)[1].value));
  }
  EXPECT_EQ(before, 2);
}

TEST_F(MeasuredTables, AStampComesBackAtOnce) {
  JoinMeasured(kWorkerA, Measured(1));
  NodeStatus status = Measured(1);
  status.stamp = 77;
  status.padding = static_cast<uint32_t>(RowBytes(model_.n_embd));
  Give(kWorkerA, status);
  EXPECT_EQ(Owed<Echo>(), (Echo{77, status.padding})) << "and brings as much as it came with";
}

TEST_F(MeasuredTables, AStatusThatBringsMoreThanARowIsRefused) {
  JoinMeasured(kWorkerA, Measured(1));
  NodeStatus status = Measured(1);
  status.stamp = 77;
  status.padding = static_cast<uint32_t>(RowBytes(model_.n_embd)) + 1;
  Give(kWorkerA, status);
  EXPECT_THAT(Message(Owed<Goodbye>().status), testing::HasSubstr("bytes of padding"));
}

// --- Sizes ---

TEST(Measured, TenThousandWorkersAnd126LayersTakeLessThanASecond) {
  constexpr int kWorkers = 10'000, kLayers = 126;
  std::vector<LayerBrick> bricks;
  for (int i = 0; i < kLayers; ++i) {
    bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = uint64_t{800} << 20});
  }
  std::vector<std::string> names;
  for (int i = 0; i < kWorkers; ++i) names.push_back("w" + std::to_string(i));
  MeasuredCluster cluster{.n_layers = kLayers, .cut = {2, 2}};
  for (int i = 0; i < kWorkers; ++i) {
    const double spread = (i * 7919 % 1000) / 1000.0;
    cluster.workers.push_back({.node = NodeId{1000 + static_cast<uint64_t>(i)},
                               .name = &names[static_cast<size_t>(i)],
                               .bricks = &bricks,
                               .ns_per_byte = 0.05 + 0.2 * spread,
                               .access_ns = 2e6 * (1 - spread) + 1e5,
                               .memory_bytes = uint64_t{48} << 30,
                               .kv_bytes_per_layer = uint64_t{64} << 20});
  }
  // Of the one thread that computes it: what else the machine does is not its time.
  const std::clock_t start = std::clock();
  const auto plan = PlaceMeasured(cluster);
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  ASSERT_TRUE(plan.ok()) << plan.status();
  std::printf("%d workers, %d layers: %.3f s; %s\n", kWorkers, kLayers, took, plan->why.c_str());
  EXPECT_LT(took, kSanitized ? 60 : 1);
  LayerRange last{2, 2};
  for (const PlacedHop& hop : plan->hops) {
    EXPECT_EQ(hop.layers.begin, last.end);
    last = hop.layers;
    EXPECT_EQ(static_cast<int>(hop.bricks.size()), hop.layers.size());
    EXPECT_LE(HostsOf(hop).size(), static_cast<size_t>(kStopHostsMax));
  }
  EXPECT_EQ(last.end, kLayers - 2);
}

// What a loop does with as many members as it may have: join, place, tell, and look for better.
TEST_F(MeasuredTables, AFullClusterIsPlacedAndLookedAtInLessThanASecondEach) {
  model_.n_layers = 126;
  state_.options.workers_expected = kNodesMax;
  NodeStatus status;
  for (int i = 0; i < model_.n_layers; ++i) {
    status.bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = 800 * kLayer});
  }
  for (int i = 0; i < kNodesMax; ++i) {
    const NodeId node{1000 + static_cast<uint64_t>(i)};
    status.ns_per_byte = 0.05 + (i * 7919 % 1000) / 5000.0;
    status.round_trip_ns = 100'000 + static_cast<uint64_t>(i % 100) * 10'000;
    status.memory_bytes = uint64_t{48} << 30;
    JoinMeasured(node, status);
  }
  const auto seconds_of = [&](const char* what, auto&& act) {
    const std::clock_t start = std::clock();
    act();
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::printf("%d workers, 126 layers, %s: %.3f s\n", kNodesMax, what, took);
    EXPECT_LT(took, kSanitized ? 60 : 1);
  };
  seconds_of("placed", [&] { RunPlan(); });
  ASSERT_TRUE(state_.placement.has_value()) << state_.placement_problem;
  EXPECT_TRUE(state_.placement->measured);
  seconds_of("told", [&] { EXPECT_EQ(RunPlan().size(), static_cast<size_t>(kNodesMax)); });
  Pass(kReplanInterval);
  status.ns_per_byte = 0.01;
  Give(NodeId{1000}, status);
  seconds_of("looked at", [&] { RunPlan(); });
  EXPECT_FALSE(state_.replanning.facts_changed);
}

// Nothing is kept of a session that was granted: the edge owns it, and its hops hold its KV.
TEST_F(MeasuredTables, AnIdleSessionTakesNoMemoryOfTheCoordinator) {
  ServeWithTwo(Measured(1));
  for (int i = 0; i < 100; ++i) Route1();  // what is kept for all
  constexpr int kSessions = kSanitized ? 200 : 10'000;
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kSessions; ++i) Route1();
  const auto grown = static_cast<double>(mallinfo2().uordblks) - static_cast<double>(before);
  std::printf("%d idle sessions: %.1f bytes each at the coordinator\n", kSessions,
              grown / kSessions);
  EXPECT_LT(grown / kSessions, 4096);
}

}  // namespace
}  // namespace mortar
