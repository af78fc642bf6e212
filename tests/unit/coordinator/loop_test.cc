// Goal: the coordinator's loop answers over a transport, with session ids nobody has seen.
#include "coordinator/loop.h"

#include <gtest/gtest.h>

#include "protocol/local_transport.h"

namespace mortar {
namespace {

constexpr NodeId kEdge{50};

TEST(CoordinatorLoop, WelcomesAnEdgeAndGrantsRoutesWithFreshSessions) {
  LocalNetwork network;
  ManualClock clock;
  SeededRandom random(1);
  Logger log(LogLevel::kOff, LogFormat::kText);
  const auto transport = network.Attach(kCoordinatorNode);
  const auto edge = network.Attach(kEdge);
  // The edge keeps all layers: no worker is needed.
  Coordinator coordinator(
      {.workers_expected = 1, .sizes = {}, .cut = LayerCut{2, 2}, .starter_reports = false},
      {*transport, clock, random, log});
  EXPECT_FALSE(coordinator.Step());

  const ModelId model{.name = "m", .digest = {}, .n_layers = 4, .n_embd = 32};
  ASSERT_TRUE(
      edge->Send(kCoordinatorNode, Hello{.role = Role::kEdge, .name = "e", .model = model}).ok());
  EXPECT_TRUE(coordinator.Step());
  EXPECT_TRUE(std::holds_alternative<Welcome>(edge->Poll()->message));

  NodeStatus status;
  status.role = Role::kEdge;
  ASSERT_TRUE(edge->Send(kCoordinatorNode, status).ok());
  for (uint64_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(edge->Send(kCoordinatorNode, RouteRequest{.request = i,
                                                          .model = model,
                                                          .front_layers = 2,
                                                          .back_layers = 2,
                                                          .positions_max = 8})
                    .ok());
  }
  while (coordinator.Step()) {
  }
  const Route first = std::get<Route>(edge->Poll()->message);
  const Route second = std::get<Route>(edge->Poll()->message);
  EXPECT_TRUE(first.status.ok()) << first.status;
  EXPECT_NE(first.grant.session, SessionId{});
  EXPECT_NE(first.grant.session, second.grant.session);
}

// A peer that says what it likes and is gone when it is answered must not fill the log.
TEST(CoordinatorLoop, AMessageThatCannotBeSentIsNoWarning) {
  LocalNetwork network;
  ManualClock clock;
  SeededRandom random(1);
  const auto transport = network.Attach(kCoordinatorNode);
  const auto log_of = [&](LogLevel level) {
    Logger log(level, LogFormat::kText);
    Coordinator coordinator({}, {*transport, clock, random, log});
    auto stranger = network.Attach(kEdge);
    EXPECT_TRUE(stranger->Send(kCoordinatorNode, NodeStatus{}).ok());
    stranger.reset();
    testing::internal::CaptureStderr();
    EXPECT_TRUE(coordinator.Step());
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(log_of(LogLevel::kInfo), "");
  EXPECT_NE(log_of(LogLevel::kDebug).find("not_sent"), std::string::npos);
}

// A worker that fetches its model asks who has it, leaves, and joins with it.
TEST(CoordinatorLoop, AWorkerThatLeavesIsAWarningUnlessItOnlyAskedForTheModel) {
  LocalNetwork network;
  ManualClock clock;
  SeededRandom random(1);
  const auto transport = network.Attach(kCoordinatorNode);
  const auto worker = network.Attach(kEdge);
  const auto log_of = [&](const ModelId& model, LogLevel level) {
    Logger log(level, LogFormat::kText);
    Coordinator coordinator({}, {*transport, clock, random, log});
    const Hello hello{.role = Role::kWorker, .name = "w", .model = model};
    EXPECT_TRUE(worker->Send(kCoordinatorNode, hello).ok());
    EXPECT_TRUE(worker->Send(kCoordinatorNode, Goodbye{Unavailable("bye")}).ok());
    testing::internal::CaptureStderr();
    EXPECT_TRUE(coordinator.Step());
    return testing::internal::GetCapturedStderr();
  };
  const ModelId model{.name = "m", .digest = {}, .n_layers = 4, .n_embd = 32};
  EXPECT_NE(log_of(model, LogLevel::kWarning).find("worker_left"), std::string::npos);
  EXPECT_EQ(log_of(ModelId{}, LogLevel::kWarning), "");
  EXPECT_NE(log_of(ModelId{}, LogLevel::kInfo).find("worker_left"), std::string::npos);
}

TEST(CoordinatorLoop, AMemberThatIsLostIsLoggedWithHowLongItWasSilent) {
  LocalNetwork network;
  ManualClock clock;
  SeededRandom random(1);
  Logger log(LogLevel::kWarning, LogFormat::kText);
  const auto transport = network.Attach(kCoordinatorNode);
  const auto worker = network.Attach(kEdge);
  Coordinator coordinator({}, {*transport, clock, random, log});
  const ModelId model{.name = "m", .digest = {}, .n_layers = 4, .n_embd = 32};
  ASSERT_TRUE(
      worker->Send(kCoordinatorNode, Hello{.role = Role::kWorker, .name = "w", .model = model})
          .ok());
  EXPECT_TRUE(coordinator.Step());
  testing::internal::CaptureStderr();
  for (int i = 0; i < 12; ++i) {
    clock.Advance(std::chrono::milliseconds(500));
    coordinator.Step();
  }
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_NE(line.find("node_lost"), std::string::npos) << line;
  EXPECT_NE(line.find("silent_s=5.5"), std::string::npos) << line;
  EXPECT_NE(line.find("missed_by_an_edge=false"), std::string::npos) << line;
}

}  // namespace
}  // namespace mortar
