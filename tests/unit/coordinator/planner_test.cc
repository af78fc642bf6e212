// Goal: a plan is what a person who knows the machines would have chosen, says why in numbers, and
// comes in time for thousands of them. That it is the best there is: planner_exact_test.cc.
#include "coordinator/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <random>

#include "tests/support/sanitized.h"
#include "tests/unit/coordinator/brute_force.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kLayer = 1000;
constexpr double kMs = 1e6;

// 12 layers, 2 + 2 of them the edge's; a layer takes the edge 1 ms.
PlannerInput Cluster() {
  PlannerInput in;
  in.layer_bytes.assign(12, kLayer);
  in.edge = {.ns_per_byte = kMs / kLayer, .least = {2, 2}};
  return in;
}

PlannerNode Node(const std::string& name, double ms_a_layer, int room, double way_ms) {
  return {.name = name,
          .ns_per_byte = ms_a_layer * kMs / kLayer,
          .memory_bytes = kLayer * static_cast<uint64_t>(room),
          .access_ns = way_ms * kMs};
}

RoutePlan PlanOf(const PlannerInput& in) {
  auto plan = PlanRoute(in);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : RoutePlan{};
}

std::vector<LayerRange> Ranges(const RoutePlan& plan) {
  std::vector<LayerRange> ranges;
  for (const PlannedStop& stop : plan.stops) ranges.push_back(stop.layers);
  return ranges;
}

std::string WhyNot(const RoutePlan& plan, int node) {
  for (const DroppedNode& dropped : plan.dropped) {
    if (dropped.node == node) return dropped.why;
  }
  return "it is not dropped";
}

TEST(Planner, AFastNodeTakesAllThatTheEdgeDoesNotKeep) {
  PlannerInput in = Cluster();
  in.nodes = {Node("slow", 2, 12, 1), Node("fast", 0.25, 12, 1)};
  const RoutePlan plan = PlanOf(in);
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{2, 10}));
  EXPECT_EQ(plan.stops[0].hosts[0].node, 1);
  EXPECT_NEAR(plan.total_ns, (4 + 8 * 0.25 + 1) * kMs, 1);
  EXPECT_NEAR(plan.edge_ns, 4 * kMs, 1);
  EXPECT_THAT(plan.why, HasSubstr("1 node: 4.000 ms at the edge, 2.000 ms at the nodes, 1.000 ms"));
}

TEST(Planner, ANodeThatMakesATokenSlowerIsDroppedAndSaidSo) {
  PlannerInput in = Cluster();
  in.sessions = 2;
  in.nodes = {Node("fast", 0.25, 12, 1), Node("far", 0.2, 12, 50)};
  const RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 1u);
  EXPECT_EQ(plan.stops[0].hosts[0].node, 0);
  EXPECT_EQ(plan.stops[0].hosts.size(), 1u) << "too slow for a replica too";
  EXPECT_EQ(WhyNot(plan, 1), "it would make a token slower: 55.600 ms instead of 7.000 ms");
}

TEST(Planner, MemoryIsWeightsAndTheKvOfAllSessions) {
  PlannerInput in = Cluster();
  in.nodes = {Node("a", 0.25, 8, 1), Node("b", 0.5, 8, 1), Node("c", 0.25, 1, 1)};
  EXPECT_EQ(PlanOf(in).stops.size(), 1u);
  in.kv_bytes_per_layer = kLayer;  // half of the room is gone, and all of c's
  const RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 2u);
  EXPECT_THAT(plan.stops[0].layers.size() + plan.stops[1].layers.size(), 8);
  EXPECT_THAT(WhyNot(plan, 2), HasSubstr("no room: 0.0 MiB for any layer"));
  in.kv_bytes_per_layer = 2 * kLayer;
  const auto none = PlanRoute(in);
  EXPECT_TRUE(absl::IsUnavailable(none.status()));
  EXPECT_THAT(Message(none.status()), HasSubstr("room for 4 layers together"));
}

TEST(Planner, SaysThatACloudWouldBeSlowerThanTheEdgeAlone) {
  PlannerInput in = Cluster();
  in.nodes = {Node("a", 0.5, 12, 6)};
  EXPECT_EQ(PlanOf(in).stops.size(), 1u) << "without its memory the edge keeps its least";
  in.edge.memory_bytes = 12 * kLayer;
  const RoutePlan plan = PlanOf(in);
  EXPECT_TRUE(plan.stops.empty());
  EXPECT_NEAR(plan.total_ns, 12 * kMs, 1);
  EXPECT_EQ(plan.cut, (LayerCut{10, 2}));
  EXPECT_EQ(plan.why,
            "the whole model fits the edge, and a cloud would be slower: 12.000 ms a token alone, "
            "14.000 ms over the best nodes");
  in.nodes[0].access_ns = kMs;
  EXPECT_THAT(PlanOf(in).why, HasSubstr("the edge alone would take 12.000 ms"));
}

TEST(Planner, AnEdgeThatKeepsAllLayersIsSaidOnceAndForEachNode) {
  PlannerInput in = Cluster();
  in.edge.least = {6, 6};
  in.nodes = {Node("a", 0.1, 12, 1), Node("b", 0.1, 12, 1), Node("tiny", 0.1, 0, 1)};
  in.nodes[1].layers_only = {2, 6};
  const RoutePlan plan = PlanOf(in);
  EXPECT_TRUE(plan.stops.empty());
  EXPECT_NEAR(plan.total_ns, 12 * kMs, 1);
  EXPECT_EQ(plan.why, "the edge keeps all layers, front and back: none is left for a node");
  for (int node = 0; node < 3; ++node) {
    EXPECT_EQ(WhyNot(plan, node), "the edge keeps all layers: none is left for it");
  }
  in.edge.least = {6, 5};  // one layer may move
  EXPECT_THAT(PlanOf(in).why, HasSubstr("1 node"));
  EXPECT_THAT(WhyNot(PlanOf(in), 1), HasSubstr("it hosts only [2, 6), outside [6, 7)"));
  EXPECT_THAT(WhyNot(PlanOf(in), 2), HasSubstr("it has no room"));
}

// Layers of 3, 1 and 1 that fit in one order alone, which is not the shortest way; by their mean
// and by the largest they seem not to fit at all.
PlannerInput OneOrderFits() {
  PlannerInput in = Cluster();
  in.layer_bytes = {kLayer, kLayer, 3 * kLayer, kLayer, kLayer, kLayer, kLayer};
  in.zones = {{0, kMs, kMs}, {kMs, 0, 5 * kMs}, {2 * kMs, kMs, 0}};
  in.nodes = {Node("two", 1, 2, 1), Node("three", 1, 3, 1)};
  in.nodes[0].zone = 2;
  in.nodes[1].zone = 1;
  in.hops_max = 2;
  return in;
}

TEST(Planner, LayersThatFitInOneOrderAloneAreNotRefused) {
  PlannerInput in = OneOrderFits();
  const RoutePlan plan = PlanOf(in);
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{2, 3}, LayerRange{3, 5}));
  EXPECT_NEAR(plan.total_ns, (4 + 5 + 2 + 8) * kMs, 1);
  in.nodes[1].memory_bytes -= 1;
  const auto none = PlanRoute(in);
  EXPECT_TRUE(absl::IsUnavailable(none.status()));
  EXPECT_THAT(Message(none.status()), HasSubstr("the nodes cannot host layers [2, 5)"));
}

TEST(Planner, LargeNodesAreFoundAmongManyThatAreCheaperAndTooSmall) {
  PlannerInput in = OneOrderFits();
  for (int i = 0; i < 100; ++i) in.nodes.push_back(Node("small", 0.1, 1, 0));
  const RoutePlan plan = PlanOf(in);
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{2, 3}, LayerRange{3, 5}));
  EXPECT_THAT(plan.why, HasSubstr("of 102 nodes not all sets were gone through"));
  in.nodes[1].memory_bytes -= 1;
  EXPECT_THAT(Message(PlanRoute(in).status()), HasSubstr("the nodes cannot host layers [2, 5)"));
}

TEST(Planner, ALargeNodeIsFoundWhereTheEdgeCouldHostAllToo) {
  PlannerInput in = Cluster();
  in.layer_bytes = {kLayer, kLayer, kLayer, 5 * kLayer, 2 * kLayer, kLayer, kLayer};
  in.edge.memory_bytes = 12 * kLayer;
  in.nodes = {Node("two", 1, 2, 1)};
  for (int i = 0; i < 100; ++i) in.nodes.push_back(Node("small", 0.1, 1, 0));
  EXPECT_THAT(PlanOf(in).why, HasSubstr("12.000 ms a token alone, 13.000 ms over the best nodes"));
}

// Sets of 6 nodes are gone through where so many layers may move; the way needs 8.
TEST(Planner, ARouteOfMoreNodesThanSetsHaveIsFoundAmongManyLayers) {
  PlannerInput in = Cluster();
  in.layer_bytes.assign(644, kLayer);
  for (int i = 0; i < 20; ++i) in.nodes.push_back(Node("n", 1 + 0.01 * i, 80, 1));
  EXPECT_EQ(PlanOf(in).stops.size(), 8u);
}

// Two gaps around [3, 9), and so many nodes for [4, 6) that neither chains nor sets see it.
TEST(Planner, WhatItHasNotLookedAtItDoesNotCallImpossible) {
  PlannerInput in = Cluster();
  in.nodes = {Node("middle", 1, 6, 1), Node("first", 1, 1, 1), Node("last", 1, 1, 1)};
  in.nodes[0].layers_only = {3, 9};
  for (int i = 0; i < 5; ++i) {
    in.nodes.push_back(Node("useless", 0.1, 2, 0));
    in.nodes.back().layers_only = {4, 6};
  }
  const RoutePlan plan = PlanOf(in);
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{2, 3}, LayerRange{3, 9}, LayerRange{9, 10}));
  EXPECT_THAT(plan.why, Not(HasSubstr("not all sets")));
  in.nodes.insert(in.nodes.end(), 100, in.nodes.back());
  const auto none = PlanRoute(in);
  EXPECT_TRUE(absl::IsUnavailable(none.status()));
  EXPECT_THAT(Message(none.status()),
              HasSubstr("found no way to host layers [2, 10) in at most 8 hops: of 108 nodes sets "
                        "of 12 were gone through, and there may be one beyond them"));
}

TEST(Planner, TheEdgesShareGrowsWithItsMemory) {
  PlannerInput in = Cluster();
  in.edge.ns_per_byte = 0.1 * kMs / kLayer;
  in.edge.memory_bytes = 7 * kLayer;
  in.nodes = {Node("a", 1, 12, 1)};
  EXPECT_EQ(PlanOf(in).cut, (LayerCut{5, 2}));
  in.edge.resident_bytes = 2 * kLayer;
  EXPECT_EQ(PlanOf(in).cut, (LayerCut{3, 2}));
  in.edge.resident_bytes = 4 * kLayer;
  const auto none = PlanRoute(in);
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(none.status()), HasSubstr("no room for the first 2 and last 2 layers"));
}

TEST(Planner, ANodeThatSavesHardlyAnythingIsAReplicaInstead) {
  PlannerInput in = Cluster();
  in.sessions = 4;
  in.nodes = {Node("a", 1, 12, 1), Node("b", 0.87, 12, 1)};
  in.edge.least = {2, 2};
  in.nodes[1].memory_bytes = 8 * kLayer;
  RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 1u);
  ASSERT_EQ(plan.stops[0].hosts.size(), 2u);
  EXPECT_EQ(plan.stops[0].hosts[0].node, 1);
  EXPECT_TRUE(plan.dropped.empty());
  // Two nodes would take 0.01 ms less: not worth one that can fail.
  in.nodes = {Node("a", 1, 12, 0.5), Node("b", 0.87, 4, 0.01)};
  plan = PlanOf(in);
  EXPECT_LT(plan.by_nodes[2], plan.by_nodes[1]);
  EXPECT_EQ(plan.stops.size(), 2u) << "0.51 ms of 12.5";
  in.nodes[1].access_ns = 0.5 * kMs;
  plan = PlanOf(in);
  EXPECT_LT(plan.by_nodes[2], plan.by_nodes[1]);
  EXPECT_EQ(plan.stops.size(), 1u) << "0.02 ms of 12.5";
  EXPECT_THAT(plan.why, HasSubstr("more nodes would save less than 2 %"));
  EXPECT_THAT(WhyNot(plan, 1), HasSubstr("it would save too little: 12.480 ms instead of 12.500"));
}

TEST(Planner, SharesSessionsOutOverReplicasBySpeed) {
  PlannerInput in = Cluster();
  in.sessions = 6;
  in.nodes = {Node("fast", 0.25, 12, 1), Node("half", 0.5, 12, 1), Node("small", 0.25, 4, 1)};
  const RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 1u);
  ASSERT_EQ(plan.stops[0].hosts.size(), 2u) << "the small one has no room for the whole stop";
  EXPECT_EQ(plan.stops[0].hosts[0].sessions, 4);
  EXPECT_EQ(plan.stops[0].hosts[1].sessions, 2);
}

TEST(Planner, ReplicasGoWhereCapacityIsLeastAndNoFurtherThanOneASession) {
  PlannerInput in = Cluster();
  in.sessions = 2;
  for (int i = 0; i < 9; ++i) in.nodes.push_back(Node("n", 0.25, 4, 0.1));
  const RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 2u);
  for (const PlannedStop& stop : plan.stops) {
    ASSERT_EQ(stop.hosts.size(), 2u);
    EXPECT_EQ(stop.hosts[0].sessions + stop.hosts[1].sessions, 2);
  }
  EXPECT_EQ(plan.dropped.size(), 5u);
}

TEST(Planner, PrefersTwoNodesOfOneFarZoneOverTwoFarZones) {
  PlannerInput in = Cluster();
  in.zones = {{0, 10 * kMs, 10 * kMs}, {10 * kMs, 0, 20 * kMs}, {10 * kMs, 20 * kMs, 0}};
  in.nodes = {Node("a", 0.25, 4, 0.1), Node("b", 0.2, 4, 0.1), Node("c", 0.25, 4, 0.1)};
  in.nodes[0].zone = in.nodes[2].zone = 1;
  in.nodes[1].zone = 2;
  const RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 2u);
  EXPECT_NEAR(plan.total_ns, (4 + 2 + 20 + 0.2) * kMs, 1);
}

TEST(Planner, OfManyZonesTheCheapestAreLookedAt) {
  PlannerInput in = Cluster();
  in.zones.assign(12, std::vector<double>(12, kMs));
  for (int i = 0; i < 12; ++i) {
    in.nodes.push_back(Node("n", 0.25, 8, 20 - i));
    in.nodes.back().zone = i;
  }
  const RoutePlan plan = PlanOf(in);
  ASSERT_EQ(plan.stops.size(), 1u);
  EXPECT_EQ(plan.stops[0].hosts[0].node, 11);
  EXPECT_EQ(WhyNot(plan, 0), "its zone is not among the 8 cheapest");
}

TEST(Planner, FixedLayersThatFitNowhereAreSaid) {
  PlannerInput in = Cluster();
  in.nodes = {Node("a", 0.25, 12, 1), Node("b", 0.1, 12, 1), Node("c", 0.1, 12, 1)};
  in.nodes[1].layers_only = {0, 4};
  in.nodes[2].layers_only = {2, 6};
  const RoutePlan plan = PlanOf(in);
  EXPECT_THAT(WhyNot(plan, 1), HasSubstr("it hosts only [0, 4), outside [2, 10)"));
  EXPECT_THAT(WhyNot(plan, 2), HasSubstr("instead of 7.000 ms"));
}

TEST(Planner, LayersThatNobodyMayHostAreTheReasonAndNotTheMemory) {
  PlannerInput in = Cluster();
  in.nodes = {Node("a", 1, 12, 1), Node("b", 1, 12, 1), Node("c", 1, 12, 1)};
  in.nodes[0].layers_only = {2, 5};
  in.nodes[1].layers_only = {7, 10};
  in.nodes[2].layers_only = {0, 8};  // reaches into what the edge keeps
  const auto reason = [&] { return Message(PlanRoute(in).status()); };
  EXPECT_EQ(reason(),
            "no node may host layers [5, 7): each hosts fixed layers alone; give a node that may "
            "host these, or any");
  in.nodes[2].layers_only = {5, 7};
  EXPECT_TRUE(PlanRoute(in).ok());
  // Each may be hosted, but not one behind the other.
  in.nodes[2].layers_only = {4, 7};
  EXPECT_THAT(reason(), HasSubstr("or other fixed layers: they must follow one another"));
}

TEST(Planner, TheKvThatTakesTheRoomIsSaidAsItIs) {
  PlannerInput in = Cluster();
  in.sessions = 5;
  in.nodes = {Node("a", 1, 2, 1)};
  EXPECT_THAT(Message(PlanRoute(in).status()), HasSubstr("the KV of 5 sessions included"));
  in.nodes[0].kv_bytes_per_layer = 1;  // of as many as it says that it admits
  EXPECT_THAT(Message(PlanRoute(in).status()),
              HasSubstr("the KV of the sessions that each admits included"));
}

TEST(Planner, SaysThatTheModelDoesNotFitTheEdgeOnlyWhereItsMemoryWasAsked) {
  PlannerInput in = Cluster();
  in.nodes = {Node("a", 0.25, 12, 1)};
  EXPECT_THAT(PlanOf(in).why, Not(HasSubstr("does not fit")));
  in.edge.memory_bytes = 5 * kLayer;
  EXPECT_THAT(PlanOf(in).why, HasSubstr("the whole model does not fit what the edge may keep"));
}

// One worker at a quarter of the others' speed, which equal parts would wait for.
TEST(Planner, AClusterWithASlowWorkerReachesTheBestStaticSplit) {
  PlannerInput in = Cluster();
  in.nodes = {Node("a", 1, 4, 0.3), Node("b", 1, 4, 0.3), Node("slow", 4, 4, 0.3)};
  in.nodes[1].memory_bytes = 3 * kLayer;
  const RoutePlan plan = PlanOf(in);
  const double best = BruteForce(in).LeastNs(/*one_gap=*/false);
  std::printf("a token takes %.3f ms, by the best split of brute force %.3f ms\n",
              plan.total_ns / kMs, best / kMs);
  EXPECT_LE(plan.total_ns * 0.95, best);
  ASSERT_EQ(plan.stops.size(), 3u);
  for (const PlannedStop& stop : plan.stops) {
    if (stop.hosts[0].node == 2) {
      EXPECT_EQ(stop.layers.size(), 1);
    }
  }
}

PlannerInput ManyNodes(int n, bool contrary) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> real(0, 1);
  PlannerInput in;
  in.layer_bytes.assign(126, uint64_t{800} << 20);
  in.kv_bytes_per_layer = uint64_t{64} << 20;
  in.sessions = 16;
  in.edge = {.ns_per_byte = 0.1, .head_bytes = 1 << 30, .least = {2, 2}};
  in.zones.assign(8, std::vector<double>(8, 0));
  for (size_t a = 0; a < 8; ++a) {
    for (size_t b = 0; b < 8; ++b) {
      in.zones[a][b] =
          a == b ? 0.1 * kMs
                 : (2 + 3 * std::abs(static_cast<double>(a) - static_cast<double>(b))) * kMs;
    }
  }
  for (int i = 0; i < n; ++i) {
    const double speed = real(random);
    in.nodes.push_back({.name = "n" + std::to_string(i),
                        .ns_per_byte = 0.001 + 0.02 * speed,
                        .memory_bytes = (uint64_t{8} << 30) +
                                        static_cast<uint64_t>(real(random) * (uint64_t{80} << 30)),
                        .zone = i % 8,
                        .access_ns = (contrary ? 1 - speed : real(random)) * 30 * kMs});
  }
  return in;
}

void ExpectSoon(const char* what, const PlannerInput& in, bool possible) {
  // Of the one thread that computes it: what else the machine does is not its time.
  const std::clock_t start = std::clock();
  const auto plan = PlanRoute(in);
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("10,000 nodes%s: planned in %.3f s\n", what, took);
  EXPECT_LT(took, kSanitized ? 60 : 1) << what;
  ASSERT_EQ(plan.ok(), possible) << what << ": " << plan.status();
  if (!plan.ok()) return;
  std::printf("  %zu hops, %.3f ms a token\n", plan->stops.size(), plan->total_ns / kMs);
  EXPECT_EQ(plan->dropped.size(), kExplainedMax);
  EXPECT_GT(plan->dropped_more, 9'000u);
}

// `contrary`: whoever is faster is further away, so that nobody surpasses anybody.
TEST(Planner, PlacesTenThousandNodesAnd126LayersInLessThanASecond) {
  for (const bool contrary : {false, true}) {
    PlannerInput in = ManyNodes(10'000, contrary);
    ExpectSoon(contrary ? ", the faster the further" : "", in, true);
    for (int i = 0; i < 4096; ++i) in.pairs.push_back({i % 64, 64 + i, 0.05 * kMs});
    ExpectSoon(" with pairs", in, true);
    for (size_t i = 0; i < in.nodes.size(); i += 3) {
      const int begin = 2 + static_cast<int>(i * 7 % 100);
      in.nodes[i].layers_only = {begin, begin + 1 + static_cast<int>(i % 23)};
    }
    ExpectSoon(", some with fixed layers", in, true);
    for (size_t i = 0; i < in.layer_bytes.size(); i += 2) in.layer_bytes[i] += 100 << 20;
    ExpectSoon(", some with fixed layers, of several sizes", in, true);
    for (PlannerNode& node : in.nodes) {
      node.layers_only = {};
      node.memory_bytes = std::min(node.memory_bytes, uint64_t{14} << 30);
    }
    ExpectSoon(" that are too small", in, false);
  }
}

}  // namespace
}  // namespace mortar
