// Goal: layers between the edge's are placed whole, in order, with the reason; what does not
// fit is said and not guessed.
#include "coordinator/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kLayers = 30;

WorkerOffer Offer(uint64_t id, LayerRange only = {}) {
  WorkerOffer offer{
      .node = NodeId{id}, .name = "w" + std::to_string(id), .layers_only = only, .bricks = {}};
  for (int i = 0; i < kLayers; ++i) {
    LayerBrick brick{.layers = {i, i + 1}, .digest = {}, .weight_bytes = 1000};
    brick.digest.bytes[0] = static_cast<uint8_t>(i);
    offer.bricks.push_back(brick);
  }
  return offer;
}

std::vector<LayerRange> Ranges(const absl::StatusOr<LayerPlan>& plan) {
  std::vector<LayerRange> ranges;
  if (!plan.ok()) return ranges;
  for (const PlacedHop& hop : plan->hops) ranges.push_back(hop.layers);
  return ranges;
}

std::string Refusal(LayerCut cut, const std::vector<int>& sizes,
                    const std::vector<WorkerOffer>& workers) {
  const absl::StatusOr<LayerPlan> plan = PlaceLayers(kLayers, cut, sizes, workers);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  return Message(plan.status());
}

TEST(EvenSizes, DifferByAtMostOneLargerFirst) {
  EXPECT_THAT(EvenSizes(26, 3), ElementsAre(9, 9, 8));
  EXPECT_THAT(EvenSizes(2, 3), ElementsAre(1, 1, 0));
}

TEST(PlaceLayers, SharesEvenlyInJoiningOrderAndSaysWhy) {
  const auto plan = PlaceLayers(kLayers, {2, 2}, {}, {Offer(20), Offer(21), Offer(22)});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{2, 11}, LayerRange{11, 20}, LayerRange{20, 28}));
  EXPECT_EQ(plan->hops[1].node, NodeId{21});
  EXPECT_EQ(plan->hops[1].weight_bytes, 9000u);
  EXPECT_EQ(plan->hops[1].why, "9 layers: an even share of 26");
  EXPECT_EQ(plan->hops[2].bricks.size(), 8u);
  EXPECT_EQ(plan->hops[2].bricks[0].digest.bytes[0], 20);
}

TEST(PlaceLayers, FollowsTheSizesGiven) {
  const auto plan = PlaceLayers(kLayers, {1, 3}, {20, 6}, {Offer(20), Offer(21), Offer(22)});
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{1, 21}, LayerRange{21, 27}));
  EXPECT_THAT(plan->notes, ElementsAre("worker w22 is spare: every layer is hosted"));
}

TEST(PlaceLayers, RefusesSizesThatDoNotAddUpOrHaveNoWorker) {
  EXPECT_THAT(Refusal({2, 2}, {20, 5}, {Offer(20), Offer(21)}),
              HasSubstr("add up to the 26 layers between the edge's, not 25"));
  EXPECT_THAT(Refusal({2, 2}, {26, 0}, {Offer(20), Offer(21)}), HasSubstr("1 or more"));
  EXPECT_THAT(Refusal({2, 2}, {13, 13}, {Offer(20)}), HasSubstr("2 sizes are given for 1"));
}

TEST(PlaceLayers, WorkersThatHostFixedLayersKeepThemAndOthersFillTheGap) {
  const auto plan = PlaceLayers(kLayers, {2, 2}, {},
                                {Offer(20), Offer(21, {2, 10}), Offer(22), Offer(23, {2, 10})});
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{2, 10}, LayerRange{10, 19}, LayerRange{19, 28}));
  EXPECT_EQ(plan->hops[0].why, "8 layers: the worker hosts only these");
  EXPECT_THAT(plan->notes, ElementsAre(HasSubstr("w23 is spare")));
}

TEST(PlaceLayers, AGapWaitsForAnotherWorker) {
  const auto plan = PlaceLayers(kLayers, {2, 2}, {}, {Offer(20, {2, 10}), Offer(21, {12, 28})});
  EXPECT_TRUE(absl::IsUnavailable(plan.status()));
  EXPECT_THAT(Message(plan.status()), HasSubstr("no worker hosts layers [10, 12)"));
}

TEST(PlaceLayers, RefusesOverlapsAndTheEdgesOwnLayers) {
  EXPECT_THAT(Refusal({2, 2}, {}, {Offer(20, {2, 10}), Offer(21, {9, 28})}),
              HasSubstr("overlapping layers [2, 10) and [9, 28)"));
  EXPECT_THAT(Refusal({2, 2}, {}, {Offer(20, {0, 28})}), HasSubstr("outside [2, 28)"));
}

TEST(PlaceLayers, FewerLayersThanWorkersLeavesSpares) {
  const auto plan = PlaceLayers(kLayers, {14, 15}, {}, {Offer(20), Offer(21)});
  EXPECT_THAT(Ranges(plan), ElementsAre(LayerRange{14, 15}));
  EXPECT_THAT(plan->notes, ElementsAre(HasSubstr("w21")));
}

TEST(PlaceLayers, AnEdgeThatKeepsAllNeedsNoWorker) {
  const auto plan = PlaceLayers(kLayers, {15, 15}, {}, {});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->hops.empty());
  EXPECT_THAT(Refusal({16, 15}, {}, {}), HasSubstr("cannot keep 16 + 15 of 30 layers"));
}

TEST(PlaceLayers, NeverPlacesAPrivateBrick) {
  WorkerOffer offer = Offer(20);
  offer.bricks[7].sensitivity = Sensitivity::kPrivate;
  EXPECT_THAT(Refusal({2, 2}, {}, {offer}), HasSubstr("[7, 8) are private"));
  EXPECT_TRUE(PlaceLayers(kLayers, {8, 2}, {}, {offer}).ok()) << "the edge keeps it";
}

TEST(PlaceLayers, RefusesAWorkerThatLacksABrick) {
  WorkerOffer offer = Offer(20);
  offer.bricks.erase(offer.bricks.begin() + 9);
  EXPECT_THAT(Refusal({2, 2}, {}, {offer}), HasSubstr("w20 has no brick for layer 9"));
}

TEST(PlaceLayers, KeepsOneBrickOfALayerHoweverManyAreOffered) {
  WorkerOffer offer = Offer(20);
  const std::vector<LayerBrick> bricks = offer.bricks;
  for (int i = 0; i < 100; ++i) {
    offer.bricks.insert(offer.bricks.end(), bricks.begin(), bricks.end());
  }
  offer.bricks.push_back({.layers = {4, 6}, .digest = {}, .weight_bytes = 1});  // parts are there
  const auto plan = PlaceLayers(kLayers, {2, 2}, {}, {offer});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->hops[0].bricks.size(), 26u);
  EXPECT_EQ(plan->hops[0].weight_bytes, 26000u);
}

TEST(PlaceLayers, RefusesMoreBricksThanAMessageHolds) {
  constexpr int kMany = static_cast<int>(kBricksMax) + 1;
  std::vector<WorkerOffer> workers = {Offer(20), Offer(21)};
  for (WorkerOffer& worker : workers) worker.bricks.clear();
  for (int i = 0; i < kMany; ++i) {
    workers[i < kMany / 2 ? 0 : 1].bricks.push_back({.layers = {i, i + 1}, .digest = {}});
  }
  const std::vector<int> sizes = {kMany / 2, kMany - kMany / 2};
  const auto plan = PlaceLayers(kMany, {0, 0}, sizes, workers);
  EXPECT_THAT(Message(plan.status()), HasSubstr("4097 bricks, at most 4096"));
  EXPECT_TRUE(PlaceLayers(kMany, {0, 1}, {sizes[0], sizes[1] - 1}, workers).ok());
}

TEST(PlaceLayers, RefusesMoreHopsThanAnEnvelopeHolds) {
  std::vector<WorkerOffer> workers;
  for (uint64_t i = 0; i < 9; ++i) workers.push_back(Offer(20 + i));
  EXPECT_THAT(Refusal({2, 2}, {2, 3, 3, 3, 3, 3, 3, 3, 3}, workers), HasSubstr("at most 8"));
}

TEST(PlaceLayers, FreeWorkersBeyondTheHopsOfARouteAreSpares) {
  std::vector<WorkerOffer> workers;
  for (uint64_t i = 0; i < 11; ++i) workers.push_back(Offer(20 + i));
  auto plan = PlaceLayers(kLayers, {2, 2}, {}, workers);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->hops.size(), 8u);
  EXPECT_EQ(plan->notes.size(), 3u);
  // Two workers with layers of their own leave room for six.
  workers[3].layers_only = {2, 4};
  workers[9].layers_only = {4, 5};
  plan = PlaceLayers(kLayers, {2, 2}, {}, workers);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->hops.size(), 8u);
  EXPECT_EQ(plan->hops[7].layers.end, 28);
}

TEST(PlaceLayers, FixedLayersOfAllHopsLeaveNoRoomForAGap) {
  std::vector<WorkerOffer> workers = {Offer(40)};
  for (int i = 0; i < 8; ++i) {
    workers.push_back(Offer(20 + static_cast<uint64_t>(i), {3 * i + 2, 3 * i + 5}));
  }
  EXPECT_THAT(Refusal({2, 2}, {}, workers), HasSubstr("9 workers in a row, at most 8"));
}

}  // namespace
}  // namespace mortar
