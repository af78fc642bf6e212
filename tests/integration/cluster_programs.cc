#include "tests/integration/cluster_programs.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "tests/support/test_model.h"

namespace mortar {

using nlohmann::json;

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Arguments Ask(const std::string& prompt, int n) {
  return {"-m", TestModelPath(),   "-t",     "1", "--raw", "--json",
          "-n", std::to_string(n), "--temp", "0", "-p",    prompt};
}

json TokensOfOneProcess(int n, const std::string& prompt) {
  const ProgramResult result = RunMortar(Arguments{"run"} + Ask(prompt, n));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json()["tokens"];
}

int ForwardedBy(NodeProgram& node) {
  EXPECT_EQ(node.Stop(), 143);
  const std::string line = node.Line("traffic ");
  const std::string key = "forwarded=";
  const size_t at = line.find(key);
  EXPECT_NE(at, std::string::npos) << line;
  return at == std::string::npos ? -1 : std::atoi(line.c_str() + at + key.size());
}

pid_t ProcessOf(const NodeProgram& worker) {
  const std::string line = worker.Line(" joined");
  const std::string name = line.substr(0, line.find(" joined"));
  return std::atoi(name.c_str() + name.rfind('-') + 1);
}

json TokensOf(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json()["tokens"];
}

// Evenly, unless the test says otherwise: on one machine the fastest route is the shortest, and
// these tests are about routes of several workers.
void ClusterTest::StartCoordinator(int workers, const std::string& listen, const Arguments& flags) {
  const bool says = std::ranges::find(flags, "--place") != flags.end();
  const Arguments place = says ? Arguments{} : Arguments{"--place", "even"};
  coordinator_ =
      std::make_unique<NodeProgram>(Arguments{"coordinator", "--listen", listen, "--workers",
                                              std::to_string(workers), "--log-level", "debug"} +
                                    place + flags);
  const std::string line = coordinator_->Line("coordinator at ");
  const size_t at = line.find("tcp://");
  ASSERT_NE(at, std::string::npos) << line;
  endpoint_ = line.substr(at, line.find(',', at) - at);
}

NodeProgram& ClusterTest::StartWorker(const Arguments& flags) {
  workers_.push_back(
      std::make_unique<NodeProgram>(Arguments{"worker", "--coordinator", endpoint_, "-m",
                                              TestModelPath(), "-t", "1", "-c", "2048"} +
                                    flags));
  workers_.back()->Line("joined");
  return *workers_.back();
}

void ClusterTest::StartCluster(int workers, const Arguments& flags) {
  StartCoordinator(workers);
  for (int i = 0; i < workers; ++i) StartWorker(flags);
}

void ClusterTest::TearDown() {
  if (!HasFailure()) return;
  if (coordinator_ != nullptr) std::cerr << "the coordinator said:\n" << coordinator_->Errors();
  for (const auto& worker : workers_) std::cerr << "a worker said:\n" << worker->Errors();
}

ProgramRun ClusterTest::EdgeRun(const Arguments& arguments) {
  // These tests are about workers: an edge that computes alone would hide that they fail.
  return {.arguments =
              Arguments{"edge", "--coordinator", endpoint_, "--take-over", "never"} + arguments};
}

ProgramResult ClusterTest::Edge(const Arguments& arguments) {
  return RunMortar(EdgeRun(arguments));
}

json ClusterTest::Tokens(int n, const Arguments& flags) {
  return TokensOf(Edge(Ask(kPrompt, n) + flags));
}

std::unique_ptr<BackgroundAnswer> ClusterTest::BeginAnswer(int n, const Arguments& flags) {
  auto answer = std::make_unique<BackgroundAnswer>(EdgeRun(Ask(kPrompt, n) + flags));
  coordinator_->Line("route_answered");
  // Some of its frames; the fastest machine seen makes 250 tokens a second.
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_FALSE(answer->done()) << "it was over too soon";
  return answer;
}

}  // namespace mortar
