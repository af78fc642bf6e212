// Goal: a coordinator with all the members that it may have answers 5,000 requests for a route a
// second on one core: what it reads, decides and writes, without the sockets.
#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>

#include "protocol/wire.h"
#include "tests/support/sanitized.h"
#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {
namespace {

constexpr int kLayers = 34;
constexpr int kAskingTogether = 16;

class RouteRate : public CoordinatorTables {
 protected:
  void JoinAll() {
    model_.n_layers = kLayers;
    state_.options.workers_expected = kHopsMax;
    NodeStatus worker;
    for (int i = 0; i < kLayers; ++i) {
      worker.bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = 10});
    }
    for (uint64_t i = 0; i < static_cast<uint64_t>(kNodesMax); ++i) {
      // The workers of the route join last: whoever looks for them passes all others.
      const bool hosts = i >= static_cast<uint64_t>(kNodesMax - kHopsMax);
      const NodeId node{kFirst + i};
      Give(node, HelloOf(node, hosts ? Role::kWorker : Role::kEdge));
      Give(node, hosts ? worker : EdgeStatus());
      state_.outbox.clear();
    }
    RunPlan();  // places
    worker.placement = state_.placement_id;
    worker.phase = LoadPhase::kReady;
    for (int i = 1; i <= kHopsMax; ++i) {
      Give(NodeId{kFirst + static_cast<uint64_t>(kNodesMax - i)}, worker);
    }
  }

  // As the loop does, from bytes to bytes; how many got a grant.
  int Answer(uint64_t number) {
    for (uint64_t i = 0; i < kAskingTogether; ++i) {
      const NodeId edge{kFirst + number % 64 * kAskingTogether + i};
      auto asked = ReadMessage(writer_.Write(edge, kCoordinatorNode, Request(number)));
      EXPECT_TRUE(asked.ok());
      Give(edge, std::move(asked->message), NewSessionId(random_));
    }
    int granted = 0;
    for (const Outgoing& outgoing : RunPlan()) {
      const auto* route = std::get_if<Route>(&outgoing.message);
      granted += route != nullptr && route->status.ok() ? 1 : 0;
      writer_.Write(kCoordinatorNode, outgoing.to, outgoing.message);
    }
    return granted;
  }

  static constexpr uint64_t kFirst = 1000;
  WireWriter writer_;
  SystemRandom random_;
};

TEST_F(RouteRate, FiveThousandASecondAreAnswered) {
  JoinAll();
  ASSERT_TRUE(state_.placement.has_value()) << state_.placement_problem;
  ASSERT_EQ(state_.placement->hops.size(), static_cast<size_t>(kHopsMax));
  constexpr int kRounds = kSanitized ? 20 : 500;
  // Of the one thread that answers: what else the machine does is not its time.
  const std::clock_t start = std::clock();
  int granted = 0;
  for (int i = 0; i < kRounds; ++i) granted += Answer(static_cast<uint64_t>(i));
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(granted, kRounds * kAskingTogether);
  const double rate = granted / took;
  std::printf("%d members, %d hops: %.0f routes a second\n", kNodesMax, kHopsMax, rate);
  EXPECT_GT(rate, kSanitized ? 50 : 5'000);
}

}  // namespace
}  // namespace mortar
