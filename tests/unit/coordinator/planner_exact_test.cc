// Goal: the planner's routes are the best that its model knows: no route that brute force finds
// is faster, in thousands of random clusters of up to 6 nodes. Of larger ones, how close it comes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>

#include "coordinator/chain.h"
#include "coordinator/planner.h"
#include "coordinator/refine.h"
#include "coordinator/route_costs.h"
#include "tests/unit/coordinator/brute_force.h"

namespace mortar {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNever = std::numeric_limits<double>::infinity();
// Times that differ by less are the same, summed up in another order.
constexpr double kSame = 1e-9;

// Which parts of the model a random cluster makes use of.
struct Kind {
  bool fixed_layers = false;
  bool pairs = false;
  bool unequal_layers = false;
  bool small_nodes = false;  // with room for two layers or three, where not fixed
  int nodes_min = 1;
  int nodes_max = 6;
  int hops_max = kHopsMax;
};

class RandomClusters {
 public:
  explicit RandomClusters(uint64_t seed) : random_(seed) {}

  PlannerInput Next(Kind kind) {
    PlannerInput in;
    in.worth = 0;
    const int n_layers = Int(3, 9);
    const uint64_t bytes = 100 * static_cast<uint64_t>(Int(1, 9));
    for (int i = 0; i < n_layers; ++i) {
      in.layer_bytes.push_back(kind.unequal_layers ? bytes + static_cast<uint64_t>(Int(0, 80))
                                                   : bytes);
    }
    in.kv_bytes_per_layer = static_cast<uint64_t>(Int(0, 50));
    in.hops_max = Int(1, 4) == 1 ? Int(1, 3) : kind.hops_max;
    in.edge.least = {Int(0, 1), Int(0, 1)};
    in.edge.ns_per_byte = Real(1, 20);
    in.edge.head_bytes = static_cast<uint64_t>(Int(0, 300));
    if (Int(0, 1) == 0) in.edge.memory_bytes = bytes * static_cast<uint64_t>(Int(3, 14));
    in.edge.access_ns = Real(0, 2000);
    const int zones = Int(1, 4);
    in.zones = Zones(zones);
    in.edge.zone = Int(0, zones - 1);
    const int nodes = Int(kind.nodes_min, kind.nodes_max);
    for (int i = 0; i < nodes; ++i) in.nodes.push_back(Node(in, kind, zones));
    for (int a = kEdgeStop; kind.pairs && a < nodes; ++a) {
      for (int b = a + 1; b < nodes; ++b) {
        if (Int(0, 2) > 0) in.pairs.push_back({a, b, Real(0, 9000)});
      }
    }
    return in;
  }

 private:
  int Int(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  double Real(double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(random_);
  }
  // Points of a plane, and each zone's own link on every way that ends in it: what gap.h needs.
  ZoneTimes Zones(int n) {
    struct Zone {
      double x, y, own;
    };
    std::vector<Zone> zones;
    for (int i = 0; i < n; ++i) zones.push_back({Real(0, 5000), Real(0, 5000), Real(0, 500)});
    ZoneTimes times;
    for (const Zone& a : zones) {
      times.emplace_back();
      for (const Zone& b : zones) {
        times.back().push_back(std::hypot(a.x - b.x, a.y - b.y) + (a.own + b.own) / 2);
      }
    }
    return times;
  }
  PlannerNode Node(const PlannerInput& in, Kind kind, int zones) {
    const int n_layers = static_cast<int>(in.layer_bytes.size());
    const int layers = kind.small_nodes ? 2 : n_layers;
    PlannerNode node{.name = "n",
                     .ns_per_byte = Real(0.2, 10),
                     .memory_bytes = in.layer_bytes[0] * static_cast<uint64_t>(Int(0, layers)) +
                                     static_cast<uint64_t>(Int(0, 400)),
                     .zone = Int(0, zones - 1),
                     .access_ns = Real(0, 4000)};
    if (kind.fixed_layers && Int(0, 1) == 0) {
      const int begin = Int(0, n_layers - 1);
      node.layers_only = {begin, Int(begin + 1, n_layers)};
      node.memory_bytes = 1 << 20;
    }
    return node;
  }

  std::mt19937_64 random_;
};

// A plan's own sum, from its parts.
double SumOf(const RoutePlan& plan) {
  double ns = plan.edge_ns + plan.last_link_ns;
  for (const PlannedStop& stop : plan.stops) ns += stop.link_ns + stop.hosts[0].compute_ns;
  return ns;
}

struct Found {
  int planned = 0;
  int refused = 0;  // though brute force finds a route
  int not_best = 0;
  double worst = 0;  // part by which the slowest plan was over the best
};

void Compare(const PlannerInput& in, const std::string& where, Found& found) {
  const double best = BruteForce(in).LeastNs(/*one_gap=*/false);
  const auto plan = PlanRoute(in);
  if (!plan.ok()) {
    if (best == kNever) return;
    ++found.refused;
    // What it has not looked at it may not call impossible.
    EXPECT_THAT(Message(plan.status()), Not(HasSubstr("cannot"))) << where;
    return;
  }
  ++found.planned;
  ASSERT_LT(best, kNever) << where;
  EXPECT_NEAR(plan->total_ns, SumOf(*plan), kSame * best) << where;
  EXPECT_GE(plan->total_ns, best * (1 - kSame)) << where;
  for (const DroppedNode& dropped : plan->dropped) {  // here whatever saves time is worth it
    EXPECT_THAT(dropped.why, Not(HasSubstr("too little"))) << where;
  }
  found.not_best += plan->total_ns > best * (1 + kSame) ? 1 : 0;
  found.worst = std::max(found.worst, plan->total_ns / best - 1);
}

// Plans for `count` clusters of each of `seeds` seeds.
Found PlanMany(int seeds, int count, Kind kind) {
  Found found;
  for (int seed = 1; seed <= seeds; ++seed) {
    RandomClusters clusters(static_cast<uint64_t>(seed));
    for (int i = 0; i < count; ++i) {
      const std::string where = "cluster " + std::to_string(i) + " of seed " + std::to_string(seed);
      Compare(clusters.Next(kind), where, found);
    }
  }
  std::printf("%d of %d clusters planned, %d not the best way, the worst %.2g over it; %d missed\n",
              found.planned, seeds * count, found.not_best, found.worst, found.refused);
  EXPECT_GT(found.planned, seeds * count / 4) << "the clusters are no test";
  return found;
}

void ExpectTheBest(const Found& found) {
  EXPECT_LT(found.worst, kSame);
  EXPECT_EQ(found.refused, 0);
}

TEST(PlannerExact, FindsTheBestRouteOfEveryRandomCluster) { ExpectTheBest(PlanMany(5, 200, {})); }

TEST(PlannerExact, FindsItWithNodesThatHostFixedLayersAndSeveralGaps) {
  ExpectTheBest(PlanMany(5, 300, {.fixed_layers = true}));
}

TEST(PlannerExact, FindsItByTimesMeasuredBetweenPairs) {
  ExpectTheBest(PlanMany(5, 200, {.pairs = true}));
}

TEST(PlannerExact, FindsItWhereLayersDiffer) {
  ExpectTheBest(PlanMany(10, 300, {.unequal_layers = true}));
}

TEST(PlannerExact, FindsItWithFixedLayersAndPairs) {
  ExpectTheBest(PlanMany(5, 300, {.fixed_layers = true, .pairs = true}));
}

TEST(PlannerExact, FindsItWithAllTogether) {
  ExpectTheBest(PlanMany(5, 200, {.pairs = true, .unequal_layers = true}));
  ExpectTheBest(PlanMany(5, 200, {.fixed_layers = true, .unequal_layers = true}));
  ExpectTheBest(PlanMany(5, 200, {.fixed_layers = true, .pairs = true, .unequal_layers = true}));
}

// What names the nodes where they are too many for all their sets: by itself, as in small clusters
// going through the sets would hide what it misses.
TEST(PlannerExact, ChainsAloneFindTheBestOfLayersOfOneSizeAndOneGap) {
  for (const bool fixed_layers : {false, true}) {
    RandomClusters clusters(7);
    int found = 0;
    for (int i = 0; i < 600; ++i) {
      const PlannerInput in = clusters.Next({.fixed_layers = fixed_layers});
      const RouteCosts costs(in);
      if (costs.EdgeNs(costs.begin()) == kNever) continue;
      std::vector<int> zones(in.zones.size());
      std::iota(zones.begin(), zones.end(), 0);
      const Chain chain(in, costs, costs.mean_bytes(), zones);
      double least = kNever;
      for (int k = 0; k <= in.hops_max; ++k) {
        if (const auto order = chain.Best(k)) least = std::min(least, costs.BestSplit(*order).ns);
      }
      const double best = BruteForce(in).LeastNs(/*one_gap=*/true);
      EXPECT_EQ(least < kNever, best < kNever) << i;
      if (best == kNever) continue;
      ++found;
      EXPECT_NEAR(least, best, kSame * best) << i;
    }
    EXPECT_GT(found, 300) << "the clusters are no test";
  }
}

// More nodes than all sets are gone through of, in routes short enough for brute force.
Kind Large(Kind kind) {
  kind.nodes_min = static_cast<int>(kRefinedMax) + 1;
  kind.nodes_max = static_cast<int>(kRefinedMax) + 4;
  kind.hops_max = 4;
  return kind;
}

// The bounds are of 3,000 such clusters of each kind and not of these alone: of those with pairs 1
// in 350 was not the best way, the worst 52 % over it; of those without, 1 in 6,000, by 1.1 %.
TEST(PlannerExact, ComesCloseWhereNotAllSetsAreGoneThrough) {
  for (const bool small : {false, true}) {
    ExpectTheBest(PlanMany(3, 25, Large({.small_nodes = small})));
    for (const Kind& kind :
         {Kind{.fixed_layers = true}, Kind{.pairs = true}, Kind{.unequal_layers = true},
          Kind{.fixed_layers = true, .pairs = true},
          Kind{.fixed_layers = true, .pairs = true, .unequal_layers = true}}) {
      Kind large = Large(kind);
      large.small_nodes = small;
      const Found found = PlanMany(3, 25, large);
      EXPECT_LT(found.worst, kind.pairs ? 0.6 : 0.02);
      EXPECT_LE(found.not_best, 3) << "of 75";
      EXPECT_EQ(found.refused, 0);
    }
  }
}

}  // namespace
}  // namespace mortar
