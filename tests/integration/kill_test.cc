// Goal: kill -9 of any node at any moment of an answer leaves the others serving, or saying clearly
// and within their stated times why not (docs/operating.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/cli_process.h"
#include "tests/integration/node_program.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Seconds = std::chrono::duration<double>;

// Shares of the time that an answer takes: while the edge joins, while it waits for its route or
// sends its prompt, twice while it decodes.
constexpr double kMoments[] = {0.05, 0.3, 0.5, 0.7};
// The longest of all stated times, a route that nobody can give, and the program's own start.
constexpr seconds kStatedMax{35 + 5};
constexpr int kTokens = 120;

std::string Prompt() {
  std::string prompt;
  for (int i = 0; i < 25; ++i) prompt += "Once upon a time there was a small village by the sea. ";
  return prompt;
}

std::vector<std::string> Ask() {
  return {"-m", TestModelPath(),         "-t",     "1", "--raw", "--json",
          "-n", std::to_string(kTokens), "--temp", "0", "-p",    Prompt()};
}

json TokensOfOneProcess() {
  std::vector<std::string> arguments = Ask();
  arguments.insert(arguments.begin(), "run");
  return RunMortar(arguments).Json()["tokens"];
}

class KillTest : public testing::Test {
 protected:
  void StartCoordinator(const std::string& listen = "tcp://127.0.0.1:0",
                        const std::vector<std::string>& flags = {"--workers", "1"}) {
    std::vector<std::string> arguments = {"coordinator", "--listen", listen};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    coordinator_ = std::make_unique<NodeProgram>(arguments);
    const std::string line = coordinator_->Line("coordinator at ");
    const size_t at = line.find("tcp://");
    endpoint_ = line.substr(at, line.find(',', at) - at);
  }
  std::unique_ptr<NodeProgram> StartWorker(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> arguments = {
        "worker", "--coordinator", endpoint_, "-m", TestModelPath(), "-t", "1", "-c", "1024"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    auto worker = std::make_unique<NodeProgram>(arguments);
    worker->Line("joined");
    return worker;
  }
  ProgramRun EdgeRun() const {
    ProgramRun run{.arguments = Ask()};
    // An edge that computes alone would hide that nobody else does (take_over_test).
    run.arguments.insert(run.arguments.begin(),
                         {"edge", "--coordinator", endpoint_, "--take-over", "never"});
    run.time_out = kStatedMax;
    return run;
  }
  ProgramResult Edge() const { return RunMortar(EdgeRun()); }
  // What a share of an answer takes on this machine, measured once: the shorter of two, since the
  // first one may wait for its worker to load. Needs: a cluster that answers.
  milliseconds After(double share) {
    for (; answers_measured_ < 2; ++answers_measured_) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(Edge().exit_code, 0);
      answer_time_ = std::min<Seconds>(answer_time_, std::chrono::steady_clock::now() - start);
    }
    return std::chrono::duration_cast<milliseconds>(answer_time_ * share);
  }
  // An edge's answer, while `kill` happens at that share of it.
  template <typename Kill>
  ProgramResult EdgeWhile(double share, Kill kill) {
    const milliseconds after = After(share);
    ProgramResult result;
    // The run is made here: `kill` may change what it is made of.
    std::thread edge([&result, run = EdgeRun()] { result = RunMortar(run); });
    std::this_thread::sleep_for(after);
    kill();
    edge.join();
    return result;
  }

  std::unique_ptr<NodeProgram> coordinator_;
  std::string endpoint_;
  Seconds answer_time_ = Seconds::max();
  int answers_measured_ = 0;
};

TEST_F(KillTest, OfTheEdgeLeavesTheOthersServed) {
  const json expected = TokensOfOneProcess();
  StartCoordinator();
  // One place: the next edge is served only when the killed one's was freed.
  const auto worker = StartWorker({"--parallel", "1"});
  for (const double moment : kMoments) {
    SCOPED_TRACE(moment);
    const milliseconds after = After(moment);
    NodeProgram edge(EdgeRun().arguments);
    std::this_thread::sleep_for(after);
    edge.Kill();
    EXPECT_EQ(Edge().Json()["tokens"], expected);
  }
  EXPECT_TRUE(worker->Runs() && coordinator_->Runs());
}

TEST_F(KillTest, OfAWorkerLeavesAnAnswerToTheNextOne) {
  const json expected = TokensOfOneProcess();
  StartCoordinator();
  auto worker = StartWorker();
  for (const double moment : kMoments) {
    SCOPED_TRACE(moment);
    auto next = StartWorker();
    const ProgramResult result = EdgeWhile(moment, [&] { worker->Kill(); });
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.Json()["tokens"], expected);
    worker = std::move(next);
  }
}

TEST_F(KillTest, OfTheOnlyWorkerIsSaidAndMendedByAnotherOne) {
  const json expected = TokensOfOneProcess();
  StartCoordinator();
  auto worker = StartWorker();
  const ProgramResult result = EdgeWhile(kMoments[2], [&] { worker->Kill(); });
  ExpectOneLineError(result, 1, "worker");
  worker = StartWorker();
  EXPECT_EQ(Edge().Json()["tokens"], expected);
}

TEST_F(KillTest, OfTheCoordinatorEndsNoAnswerThatHasItsRoute) {
  const json expected = TokensOfOneProcess();
  StartCoordinator();
  const auto worker = StartWorker();
  for (const double moment : kMoments) {
    SCOPED_TRACE(moment);
    const ProgramResult result = EdgeWhile(moment, [&] { coordinator_->Kill(); });
    if (result.exit_code == 0) {
      EXPECT_EQ(result.Json()["tokens"], expected);
    } else {
      ExpectOneLineError(result, 1, "coordinator");
    }
    EXPECT_TRUE(worker->Runs());
    StartCoordinator(endpoint_);
    EXPECT_EQ(Edge().Json()["tokens"], expected) << "the worker came back by itself";
  }
}

// A worker that is still there, and hosts other layers by now, must not go on with a session that
// began on the old ones.
TEST_F(KillTest, OfTheCoordinatorAndOtherLayersThenGiveTheSameTokens) {
  const json expected = TokensOfOneProcess();
  for (const double moment : kMoments) {
    SCOPED_TRACE(moment);
    StartCoordinator("tcp://127.0.0.1:0", {"--workers", "2", "--layers", "20,6"});
    const auto first = StartWorker();
    const auto second = StartWorker();
    const ProgramResult result = EdgeWhile(moment, [&] {
      coordinator_->Kill();
      StartCoordinator(endpoint_, {"--workers", "2", "--layers", "6,20"});
    });
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.Json()["tokens"], expected);
  }
}

}  // namespace
}  // namespace mortar
