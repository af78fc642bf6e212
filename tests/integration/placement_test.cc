// Goal: workers as programs say how fast they are and what room they have, and the coordinator
// places layers by it: replicas where all fit, a chain where they do not, nothing on a worker that
// is slower by far; a twin of a worker that is killed goes on with the same tokens, and nobody
// loads anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <set>

#include "tests/integration/cluster_programs.h"
#include "tests/integration/duty_cycle.h"
#include "tests/support/link_proxy.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr int kTokens = 24;

class PlacementTest : public ClusterTest {
 protected:
  void StartMeasured(int workers) {
    StartCoordinator(workers, "tcp://127.0.0.1:0", {"--place", "measured"});
  }
  NodeProgram& StartNamed(const std::string& name, const Arguments& flags = {}) {
    return StartWorker(Arguments{"--name", name, "--log-level", "info"} + flags);
  }
  // Two workers that measure nearly the same speed: whoever else computes here, while one of them
  // measures, makes them unequal, and then they begin again.
  void StartTwins() {
    for (int i = 0; i < 10; ++i) {
      workers_.clear();
      const double left = SpeedOf(StartNamed("left"));
      const double right = SpeedOf(StartNamed("right"));
      if (std::max(left, right) < 1.3 * std::min(left, right)) return;
    }
    FAIL() << "ten times two workers measured speeds that are far apart: is the machine busy?";
  }
  static double SpeedOf(const NodeProgram& worker) {
    const std::string line = worker.Line("speed_measured");
    return std::atof(line.c_str() + line.find("ns_per_byte=") + sizeof("ns_per_byte=") - 1);
  }
  json Answer(int n = kTokens) {
    const ProgramResult result = Edge(Ask(kPrompt, n));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json();
  }
  // How often the coordinator has placed layers so far.
  int Placements() const {
    const std::string errors = coordinator_->Errors();
    int n = 0;
    for (size_t at = 0; (at = errors.find(" placement measured=", at)) != std::string::npos; ++at) {
      ++n;
    }
    return n;
  }
};

std::set<std::string> WorkersOf(const json& answer) {
  std::set<std::string> names;
  for (const json& hop : answer["route"]) {
    if (hop["role"] == "worker") names.insert(hop["node"].get<std::string>());
  }
  return names;
}

TEST_F(PlacementTest, WorkersWithRoomForAllLayersAreReplicasAndTheTwinOfAKilledOneGoesOn) {
  StartMeasured(2);
  ASSERT_NO_FATAL_FAILURE(StartTwins());
  const json alone = TokensOfOneProcess(400);
  const auto begun = BeginAnswer(400);
  EXPECT_THAT(coordinator_->Line(" placement measured="), HasSubstr("measured=true"));
  EXPECT_THAT(coordinator_->Line(" placed worker="), HasSubstr("GB/s"));
  // The first session is on one of them: it may be either, so that the other may be the one killed.
  const std::string placed = coordinator_->Line(" placed worker=");
  workers_[placed.find("worker=left") != std::string::npos ? 0 : 1]->Kill();
  EXPECT_EQ(begun->Tokens(), alone) << "after the kill of the worker that it was on";
  EXPECT_EQ(WorkersOf(Answer()).size(), 1u);
  EXPECT_EQ(Placements(), 1) << "nobody loaded anything";
}

// Half of the 26 layers, at 2.1 MiB of weights and 6 of KV each (-c 2048, four sessions), and some.
TEST_F(PlacementTest, WorkersWithoutRoomForAllLayersShareThemAndTheThirdIsATwin) {
  const Arguments little = {"--memory", "110M"};
  StartMeasured(3);
  for (const char* name : {"one", "two", "three"}) StartNamed(name, little);
  const json alone = TokensOfOneProcess(kTokens);
  const json answer = Answer();
  EXPECT_EQ(answer["tokens"], alone);
  EXPECT_EQ(WorkersOf(answer).size(), 2u);
  EXPECT_EQ(answer["route"][1]["layers"], json({2, 15}));
  EXPECT_EQ(answer["route"][2]["layers"], json({15, 28}));
  EXPECT_THAT(coordinator_->Errors(), HasSubstr("replicas=\"\"")) << "one stop has none";
}

TEST_F(PlacementTest, TooLittleMemoryInAllIsSaidToTheEdge) {
  StartMeasured(1);
  StartNamed("small", {"--memory", "64M"});
  ProgramRun run = EdgeRun(Ask(kPrompt, 1));
  const ProgramResult result = RunMortar(run);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("with room for 7 layers together"));
}

TEST_F(PlacementTest, AWorkerThatIsSlowerByFarHostsNothing) {
  StartMeasured(3);
  StartNamed("fast");
  // It is slow from its first moment on, its own probe included.
  workers_.push_back(std::make_unique<NodeProgram>(
      Arguments{"worker", "--coordinator", endpoint_, "-m", TestModelPath(), "-t", "1", "-c",
                "2048", "--name", "slow", "--log-level", "info"}));
  const DutyCycle slow(workers_.back()->process(), std::chrono::milliseconds(1),
                       std::chrono::milliseconds(11));
  workers_.back()->Line("joined");
  StartNamed("faster");
  const json answer = Answer();
  EXPECT_EQ(answer["tokens"], TokensOfOneProcess(kTokens));
  EXPECT_THAT(WorkersOf(answer), Not(testing::Contains("slow")));
  EXPECT_THAT(coordinator_->Errors(), HasSubstr("worker slow is spare: it would"));
}

// A link of no delay, on which a token's row of 2,304 bytes takes 23 ms each way.
TEST_F(PlacementTest, TheWayOfAWorkerIsThatOfATokensRow) {
  StartMeasured(1);
  const LinkProxy narrow(endpoint_, {.bytes_per_second = 100'000});
  workers_.push_back(std::make_unique<NodeProgram>(
      Arguments{"worker", "--coordinator", narrow.endpoint(), "-m", TestModelPath(), "-t", "1",
                "-c", "2048", "--name", "far", "--log-level", "info"}));
  EXPECT_EQ(Answer()["tokens"], TokensOfOneProcess(kTokens));
  const std::string placed = coordinator_->Line(" placed worker=far");
  const size_t way = placed.find(" ms there and back");
  ASSERT_NE(way, std::string::npos) << placed;
  EXPECT_GT(std::atof(placed.c_str() + placed.rfind(' ', way - 1)), 2 * 23.04);
}

TEST_F(PlacementTest, EvenlyIsStillThereForWhoeverAsks) {
  StartCoordinator(2, "tcp://127.0.0.1:0", {"--place", "even"});
  StartNamed("left");
  StartNamed("right");
  EXPECT_EQ(WorkersOf(Answer()).size(), 2u);
  EXPECT_THAT(coordinator_->Line(" placement measured="), HasSubstr("evenly, as asked for"));
}

TEST_F(PlacementTest, AMemoryThatIsNoneIsRefused) {
  ExpectOneLineError(RunMortar({"worker", "-m", TestModelPath(), "--memory", "lots"}), 2,
                     "--memory");
}

}  // namespace
}  // namespace mortar
