// Goal: the planner's routes are the best that its model knows: no route that brute force finds
// is faster, in hundreds of random clusters of up to 6 nodes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <random>

#include "coordinator/planner.h"
#include "tests/unit/coordinator/brute_force.h"

namespace mortar {
namespace {

// Which parts of the model a random cluster makes use of.
struct Kind {
  bool fixed_layers = false;
  bool pairs = false;
  bool unequal_layers = false;
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
    in.hops_max = Int(1, 4) == 1 ? Int(1, 3) : kHopsMax;
    in.edge.least = {Int(0, 1), Int(0, 1)};
    in.edge.ns_per_byte = Real(1, 20);
    in.edge.head_bytes = static_cast<uint64_t>(Int(0, 300));
    if (Int(0, 1) == 0) in.edge.memory_bytes = bytes * static_cast<uint64_t>(Int(3, 14));
    in.edge.access_ns = Real(0, 2000);
    const int zones = Int(1, 4);
    in.zones = Zones(zones);
    in.edge.zone = Int(0, zones - 1);
    const int nodes = Int(1, 6);
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
    PlannerNode node{.name = "n",
                     .ns_per_byte = Real(0.2, 10),
                     .memory_bytes = in.layer_bytes[0] * static_cast<uint64_t>(Int(0, n_layers)) +
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

// The largest part by which plans of `count` clusters were slower than the best.
double WorstOver(uint64_t seed, int count, Kind kind) {
  RandomClusters clusters(seed);
  double worst = 0;
  int planned = 0;
  int alone = 0;
  for (int i = 0; i < count; ++i) {
    const PlannerInput in = clusters.Next(kind);
    const double best = BruteForce(in).LeastNs(/*one_gap=*/true);
    const auto plan = PlanRoute(in);
    EXPECT_EQ(plan.ok(), best < std::numeric_limits<double>::infinity())
        << "cluster " << i << " of seed " << seed << ": " << plan.status();
    if (!plan.ok()) continue;
    ++planned;
    alone += plan->stops.empty() ? 1 : 0;
    EXPECT_NEAR(plan->total_ns, SumOf(*plan), 1e-9 * best);
    EXPECT_GE(plan->total_ns, best * (1 - 1e-9)) << "cluster " << i << " of seed " << seed;
    worst = std::max(worst, plan->total_ns / best - 1);
  }
  std::printf("seed %llu: %d of %d clusters planned, %d by the edge alone; worst %.2g over best\n",
              static_cast<unsigned long long>(seed), planned, count, alone, worst);
  EXPECT_GT(planned, count / 4) << "the clusters are no test";
  return worst;
}

TEST(PlannerExact, FindsTheBestRouteOfEveryRandomCluster) {
  EXPECT_LT(WorstOver(1, 400, {}), 1e-9);
}

TEST(PlannerExact, FindsItAroundNodesThatHostFixedLayers) {
  EXPECT_LT(WorstOver(2, 400, {.fixed_layers = true}), 1e-9);
}

TEST(PlannerExact, FindsItByTimesMeasuredBetweenPairs) {
  EXPECT_LT(WorstOver(3, 300, {.pairs = true}), 1e-9);
}

TEST(PlannerExact, ComesCloseWhereLayersDiffer) {
  EXPECT_LT(WorstOver(4, 300, {.unequal_layers = true}), 0.05);
}

}  // namespace
}  // namespace mortar
