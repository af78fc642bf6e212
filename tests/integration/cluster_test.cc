// Goal: coordinator, workers, relay and edges as programs of their own on loopback give the tokens
// of one process, count what they send, outlive one another, and say clearly what is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/cli_process.h"
#include "tests/integration/node_program.h"
#include "tests/support/link_proxy.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr char kPrompt[] = "Once upon a time there was a small village by the sea. Every morning";
constexpr int kRowBytes = 576 * 4;

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<std::string> Ask(const std::string& prompt, int n) {
  return {"-m", TestModelPath(),   "-t",     "1", "--raw", "--json",
          "-n", std::to_string(n), "--temp", "0", "-p",    prompt};
}

json TokensOfOneProcess(int n, const std::string& prompt = kPrompt) {
  const ProgramResult result = RunMortar(std::vector<std::string>{"run"} + Ask(prompt, n));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json()["tokens"];
}

// Ends a node and reads what it then says of the messages that it forwarded. It was started with
// --log-level info.
int ForwardedBy(NodeProgram& node) {
  EXPECT_EQ(node.Stop(), 143);
  const std::string line = node.Line("traffic ");
  const std::string key = "forwarded=";
  const size_t at = line.find(key);
  EXPECT_NE(at, std::string::npos) << line;
  return at == std::string::npos ? -1 : std::atoi(line.c_str() + at + key.size());
}

// From "worker HOST-PID joined": a node's name ends with its process.
pid_t ProcessOf(const NodeProgram& worker) {
  const std::string line = worker.Line(" joined");
  const std::string name = line.substr(0, line.find(" joined"));
  return std::atoi(name.c_str() + name.rfind('-') + 1);
}

class ClusterTest : public testing::Test {
 protected:
  void StartCoordinator(int workers, const std::string& listen = "tcp://127.0.0.1:0",
                        const std::vector<std::string>& flags = {}) {
    coordinator_ = std::make_unique<NodeProgram>(
        std::vector<std::string>{"coordinator", "--listen", listen, "--workers",
                                 std::to_string(workers), "--log-level", "info"} +
        flags);
    const std::string line = coordinator_->Line("coordinator at ");
    const size_t at = line.find("tcp://");
    ASSERT_NE(at, std::string::npos) << line;
    endpoint_ = line.substr(at, line.find(',', at) - at);
  }
  NodeProgram& StartWorker(const std::vector<std::string>& flags = {}) {
    workers_.push_back(std::make_unique<NodeProgram>(
        std::vector<std::string>{"worker", "--coordinator", endpoint_, "-m", TestModelPath(), "-t",
                                 "1", "-c", "2048"} +
        flags));
    workers_.back()->Line("joined");
    return *workers_.back();
  }
  void StartCluster(int workers, const std::vector<std::string>& flags = {}) {
    StartCoordinator(workers);
    for (int i = 0; i < workers; ++i) StartWorker(flags);
  }
  void TearDown() override {
    if (!HasFailure()) return;
    if (coordinator_ != nullptr) std::cerr << "the coordinator said:\n" << coordinator_->Errors();
    for (const auto& worker : workers_) std::cerr << "a worker said:\n" << worker->Errors();
  }
  ProgramRun EdgeRun(const std::vector<std::string>& arguments) {
    return {.arguments = std::vector<std::string>{"edge", "--coordinator", endpoint_} + arguments};
  }
  ProgramResult Edge(const std::vector<std::string>& arguments) {
    return RunMortar(EdgeRun(arguments));
  }
  json Tokens(int n, const std::vector<std::string>& flags = {}) {
    const ProgramResult result = Edge(Ask(kPrompt, n) + flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json()["tokens"];
  }

  std::unique_ptr<NodeProgram> coordinator_;
  std::vector<std::unique_ptr<NodeProgram>> workers_;
  std::string endpoint_;
};

// --- The same tokens ---

TEST_F(ClusterTest, OneTwoAndThreeWorkersGiveTheTokensOfOneProcess) {
  const json expected = TokensOfOneProcess(24);
  for (const int workers : {1, 2, 3}) {
    SCOPED_TRACE(workers);
    workers_.clear();
    StartCluster(workers);
    EXPECT_EQ(Tokens(24), expected);
    EXPECT_EQ(Tokens(24, {"--ubatch-size", "3"}), expected);
  }
}

TEST_F(ClusterTest, RelayedFramesGiveTheSameTokens) {
  StartCluster(2, {"--listen", "none"});
  EXPECT_EQ(Tokens(24), TokensOfOneProcess(24));
}

TEST_F(ClusterTest, ARelayOfItsOwnCarriesTheFramesAndGivesTheSameTokens) {
  StartCoordinator(2);
  NodeProgram relay({"relay", "--listen", "tcp://127.0.0.1:0", "--coordinator", endpoint_,
                     "--log-level", "info"});
  const std::string line = relay.Line("relay at ");
  const std::vector<std::string> through = {"--relay", line.substr(line.find("tcp://")),
                                            "--no-direct"};
  StartWorker(through);
  StartWorker(through);
  EXPECT_EQ(Tokens(24, through), TokensOfOneProcess(24));
  EXPECT_GT(ForwardedBy(relay), 2 * 24);
  EXPECT_LT(ForwardedBy(*coordinator_), 24);
}

TEST_F(ClusterTest, DirectFramesPassNoCoordinator) {
  StartCluster(2);
  EXPECT_EQ(Tokens(48), TokensOfOneProcess(48));
  // Of three times 48, those before the direct links were open.
  EXPECT_LT(ForwardedBy(*coordinator_), 24);
}

TEST_F(ClusterTest, SizesGivenAtTheCoordinatorGiveTheSameTokens) {
  StartCoordinator(2, "tcp://127.0.0.1:0", {"--layers", "20,6"});
  StartWorker();
  StartWorker();
  const ProgramResult result = Edge(Ask(kPrompt, 24));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.Json()["tokens"], TokensOfOneProcess(24));
  EXPECT_EQ(result.Json()["route"][1]["layers"], json({2, 22}));
  EXPECT_EQ(result.Json()["route"][2]["layers"], json({22, 28}));
}

TEST_F(ClusterTest, LayersThatWorkersInsistOnGiveTheSameTokensInAnyOrderOfJoining) {
  StartCoordinator(2);
  StartWorker({"--layers", "9-28"});
  StartWorker({"--layers", "2-9"});
  const ProgramResult result = Edge(Ask(kPrompt, 24));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.Json()["tokens"], TokensOfOneProcess(24));
  EXPECT_EQ(result.Json()["route"][1]["layers"], json({2, 9}));
  EXPECT_EQ(result.Json()["route"][2]["layers"], json({9, 28}));
}

TEST_F(ClusterTest, ASlowLinkGivesTheSameTokens) {
  StartCluster(1);
  // 10 ms there and back for each of 12 tokens, and a prompt of some 15 rows at 1 MB/s.
  const LinkProxy slow(endpoint_, {.delay = milliseconds(5), .bytes_per_second = 1e6});
  const std::string fast = endpoint_;
  endpoint_ = slow.endpoint();
  const auto start = std::chrono::steady_clock::now();
  const json tokens = Tokens(12, {"--no-direct"});
  EXPECT_GT(std::chrono::steady_clock::now() - start, milliseconds(120));
  endpoint_ = fast;
  EXPECT_EQ(tokens, TokensOfOneProcess(12));
}

TEST_F(ClusterTest, APeerThatTricklesDisturbsNobody) {
  StartCluster(1);
  // Dials, and is far from its Hello for as long as this takes.
  const LinkProxy trickle(endpoint_, {.bytes_per_second = 1});
  NodeProgram slow(std::vector<std::string>{"edge", "--coordinator", trickle.endpoint()} +
                   Ask(kPrompt, 4));
  EXPECT_EQ(Tokens(24), TokensOfOneProcess(24));
  slow.Line("no Mortar node");  // it gave up by itself, and said so
  EXPECT_EQ(slow.End(), 1);
}

TEST_F(ClusterTest, FourEdgesAtOnceGetTheSameTokens) {
  const json expected = TokensOfOneProcess(24);
  StartCluster(1);
  std::vector<std::thread> edges;
  std::vector<json> tokens(4);
  for (size_t i = 0; i < tokens.size(); ++i) {
    edges.emplace_back([&, i] { tokens[i] = Tokens(24); });
  }
  for (std::thread& edge : edges) edge.join();
  for (const json& got : tokens) EXPECT_EQ(got, expected);
}

// --- What crosses ---

TEST_F(ClusterTest, DecodeSendsOneMessageAHopAndTokenOfOneSizeWhateverThePrompt) {
  StartCluster(2);
  std::string longer;
  while (longer.size() < 5000) longer += kPrompt;
  std::vector<size_t> prompt_tokens;
  std::vector<std::vector<int>> bytes_per_token;  // of each prompt: hop by hop
  for (const std::string& prompt : {std::string("The sea was calm and the boats"), longer}) {
    const auto answer = [&](int n) {
      const ProgramResult result = Edge(Ask(prompt, n));
      EXPECT_EQ(result.exit_code, 0) << result.err;
      return result.Json();
    };
    const json first = answer(1);
    prompt_tokens.push_back(first["prompt_tokens"].size());
    bytes_per_token.emplace_back();
    const json one = first["wire"]["hops"];
    const json more = answer(21)["wire"]["hops"];
    ASSERT_EQ(more.size(), 3u);
    for (size_t i = 0; i < more.size(); ++i) {
      SCOPED_TRACE(more[i].dump());
      EXPECT_EQ(more[i]["messages"].get<int>() - one[i]["messages"].get<int>(), 20);
      const int bytes = more[i]["bytes"].get<int>() - one[i]["bytes"].get<int>();
      EXPECT_EQ(bytes % 20, 0);
      EXPECT_GE(bytes / 20, kRowBytes);
      EXPECT_LE(bytes / 20, kRowBytes + 200);
      bytes_per_token.back().push_back(bytes / 20);
    }
  }
  EXPECT_LE(prompt_tokens[0], 15u);
  EXPECT_GE(prompt_tokens[1], 1000u);
  EXPECT_EQ(bytes_per_token[0], bytes_per_token[1]);
}

TEST_F(ClusterTest, AWorkersNameDoesNotSpeakToTheEdgesTerminal) {
  StartCluster(1, {"--name", "a\x1b[2Jb"});
  const ProgramResult result =
      Edge({"-m", TestModelPath(), "-t", "1", "--raw", "-n", "4", "--temp", "0", "-p", kPrompt});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos);
  EXPECT_THAT(result.err, HasSubstr("| a\\x1b[2Jb"));       // the route
  EXPECT_THAT(result.err, HasSubstr("edge → a\\x1b[2Jb"));  // the figures
}

// --- What is wrong is said ---

TEST_F(ClusterTest, ACoordinatorThatIsNotThereIsSaidWithinItsTime) {
  StartCoordinator(1);
  coordinator_->Kill();
  const auto start = std::chrono::steady_clock::now();
  const ProgramResult result = Edge(Ask(kPrompt, 4));
  ExpectOneLineError(result, 1,
                     "cannot reach the coordinator at " + endpoint_ + ": nobody listens there");
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
}

TEST_F(ClusterTest, APortInUseIsSaid) {
  StartCoordinator(1);
  ExpectOneLineError(RunMortar({"coordinator", "--listen", endpoint_}), 1,
                     "cannot listen on " + endpoint_ + ": Address already in use");
}

TEST_F(ClusterTest, AnAddressOffThisMachineNeedsAWord) {
  ExpectOneLineError(RunMortar({"coordinator", "--listen", "tcp://0.0.0.0:0"}), 2,
                     "nothing between nodes is encrypted yet");
  ExpectOneLineError(RunMortar({"worker", "--coordinator", "tcp://10.0.0.1:4750"}), 2,
                     "is not loopback");
  ExpectOneLineError(RunMortar({"worker", "--coordinator", "localhost:4750"}), 2,
                     "give tcp://A.B.C.D:PORT");
  // What begins like loopback, dials a second place, or is looked up.
  for (const char* endpoint :
       {"tcp://127.evil.example:4750", "tcp://127.0.0.1:4750;tcp://10.0.0.5:4750",
        "tcp://127.0.0.1:0;10.0.0.5:4750", "tcp://[::1]:4750", "tcp://127.0.0.1:99999"}) {
    ExpectOneLineError(RunMortar({"coordinator", "--listen", endpoint, "--insecure"}), 2,
                       "give tcp://A.B.C.D:PORT");
    ExpectOneLineError(RunMortar({"relay", "--coordinator", endpoint}), 2,
                       "give tcp://A.B.C.D:PORT");
  }
  NodeProgram coordinator({"coordinator", "--listen", "tcp://0.0.0.0:0", "--insecure"});
  EXPECT_THAT(coordinator.Line("warning"), HasSubstr("can read and send hidden states"));
}

TEST_F(ClusterTest, WhatNobodyCanDialIsSaid) {
  ExpectOneLineError(RunMortar({"relay", "--coordinator", "tcp://127.0.0.1:0"}), 2,
                     "port 0 is nobody's");
  ExpectOneLineError(RunMortar({"relay", "--coordinator", "tcp://0.0.0.0:4750", "--insecure"}), 2,
                     "0.0.0.0 is no machine's address");
}

TEST_F(ClusterTest, AWorkerAtEveryAddressSaysAtWhichOneItIsDialled) {
  ExpectOneLineError(
      RunMortar({"worker", "--listen", "tcp://0.0.0.0:0", "--insecure", "--no-direct"}), 2,
      "does not say where others dial this worker; add --advertise");
  ExpectOneLineError(
      RunMortar({"worker", "--listen", "none", "--advertise", "tcp://127.0.0.1:4760"}), 2,
      "nobody can dial a worker with --listen none");
  StartCoordinator(1);
  const std::string line = StartWorker().Line("listens at ");
  const std::string free_port = line.substr(line.rfind(':') + 1);
  workers_.clear();
  StartWorker({"--listen", "tcp://0.0.0.0:" + free_port, "--insecure", "--advertise",
               "tcp://127.0.0.1:" + free_port});
  EXPECT_EQ(Tokens(48), TokensOfOneProcess(48));
  EXPECT_LT(ForwardedBy(*coordinator_), 24) << "of 96: the others went to it directly";
}

TEST_F(ClusterTest, LayersThatAreNoRunAreSaid) {
  for (const char* layers : {"9", "-", "9-", "-9", "9-9", "9-2", "2-31", "2-9-", "2-9x", " 2-9",
                             "2-99999999999", "99999999999-99999999999"}) {
    ExpectOneLineError(RunMortar({"worker", "-m", TestModelPath(), "--layers", layers}), 2,
                       "is no run of layers");
  }
}

TEST_F(ClusterTest, AnotherCutThanTheClustersIsSaid) {
  StartCluster(1);
  EXPECT_EQ(Tokens(4), TokensOfOneProcess(4));
  const ProgramResult other = Edge(Ask(kPrompt, 4) + std::vector<std::string>{"--front", "3"});
  ExpectOneLineError(other, 1, "the edge keeps 3 + 2 layers");
}

TEST_F(ClusterTest, AnotherModelFileIsRefusedByNameAtOnce) {
  StartCluster(1);
  TestFolder folder;
  WriteTinyModel({}, folder.Path("other.gguf"));
  const std::vector<std::string> other = {"-m", folder.Path("other.gguf"), "-t", "1"};
  const ProgramResult edge = Edge(other + std::vector<std::string>{"--raw", "-n", "4", "-p", "a",
                                                                   "--front", "1", "--back", "1"});
  ExpectOneLineError(edge, 1, "this cluster serves model");
  const ProgramResult worker =
      RunMortar(std::vector<std::string>{"worker", "--coordinator", endpoint_} + other);
  ExpectOneLineError(worker, 1, "this cluster serves model");
  EXPECT_EQ(Tokens(4), TokensOfOneProcess(4)) << "the others are served";
}

// --- Nodes come and go ---

TEST_F(ClusterTest, AStoppedNodeEndsWellAndSoon) {
  StartCluster(1);
  EXPECT_EQ(workers_[0]->Stop(), 143);
  EXPECT_EQ(coordinator_->Stop(), 143);
}

TEST_F(ClusterTest, AnAnswerSurvivesAWorkerThatIsKilledAndGivesTheSameTokens) {
  const json expected = TokensOfOneProcess(160);
  for (const bool direct : {true, false}) {
    SCOPED_TRACE(direct ? "direct" : "relayed");
    workers_.clear();
    StartCoordinator(1);
    for (int i = 0; i < 2; ++i) StartWorker();  // the second one waits: one was expected
    json tokens;
    const auto start = std::chrono::steady_clock::now();
    std::thread edge([&] { tokens = Tokens(160, {direct ? "--direct" : "--no-direct"}); });
    std::this_thread::sleep_for(milliseconds(1200));
    workers_[0]->Kill();
    edge.join();
    EXPECT_EQ(tokens, expected);
    // The edge is told; by itself it would wait 30 s for its last frame's answer.
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(25));
  }
}

TEST_F(ClusterTest, ARelayedAnswerWaitsForItsCoordinatorAndGoesOn) {
  const json expected = TokensOfOneProcess(160);
  StartCluster(1, {"--listen", "none"});
  json tokens;
  std::thread edge([&] { tokens = Tokens(160, {"--no-direct"}); });
  std::this_thread::sleep_for(milliseconds(1200));
  coordinator_->Kill();
  StartCoordinator(1, endpoint_);
  edge.join();
  EXPECT_EQ(tokens, expected);
}

TEST_F(ClusterTest, AWorkerThatStandsStillIsReplacedAndItsReturnChangesNothing) {
  const json expected = TokensOfOneProcess(160);
  StartCoordinator(1);
  StartWorker();
  StartWorker();  // waits: one was expected
  const pid_t worker = ProcessOf(*workers_[0]);
  ASSERT_GT(worker, 1);
  json tokens;
  std::thread edge([&] { tokens = Tokens(160); });
  std::this_thread::sleep_for(milliseconds(1200));
  EXPECT_EQ(kill(worker, SIGSTOP), 0);
  std::this_thread::sleep_for(seconds(7));  // longer than it takes to count as gone
  EXPECT_EQ(kill(worker, SIGCONT), 0);
  edge.join();
  EXPECT_EQ(tokens, expected);
}

TEST_F(ClusterTest, AKilledEdgeLeavesItsPlaceToTheNextOne) {
  const json expected = TokensOfOneProcess(24);
  StartCluster(1, {"--parallel", "1"});
  NodeProgram edge(std::vector<std::string>{"edge", "--coordinator", endpoint_} +
                   Ask(kPrompt, 400));
  std::this_thread::sleep_for(milliseconds(800));
  edge.Kill();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Tokens(24), expected);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
}

TEST_F(ClusterTest, AnEdgeThatIsStoppedOrUnreadGivesItsPlaceBack) {
  const json expected = TokensOfOneProcess(24);
  StartCluster(1, {"--parallel", "1"});
  // Without a direct link nothing but its Cancel tells the worker.
  ProgramRun stopped = EdgeRun({"-m", TestModelPath(), "-t", "1", "--raw", "-n", "400", "--temp",
                                "0", "-p", kPrompt, "--no-direct"});
  ProgramRun unread = stopped;
  stopped.interrupt_after_bytes = 40;  // SIGINT
  unread.close_after_bytes = 40;       // SIGPIPE, as `| head` gives it
  for (const auto& [run, exit_code] : {std::pair(stopped, 130), std::pair(unread, 141)}) {
    SCOPED_TRACE(exit_code);
    const ProgramResult ended = RunMortar(run);
    EXPECT_EQ(ended.exit_code, exit_code);
    EXPECT_GE(ended.out.size(), 40u);
    EXPECT_EQ(Tokens(24), expected);  // by itself the worker frees it after ten minutes
  }
}

TEST_F(ClusterTest, ACoordinatorThatIsKilledIsMissedAndFoundAgain) {
  const json expected = TokensOfOneProcess(160);
  StartCluster(1);
  json tokens;
  std::thread edge([&] { tokens = Tokens(160); });
  std::this_thread::sleep_for(milliseconds(1200));
  coordinator_->Kill();
  edge.join();
  EXPECT_EQ(tokens, expected) << "a session needs its route, and no coordinator after that";
  EXPECT_TRUE(workers_[0]->Runs());
  ExpectOneLineError(Edge(Ask(kPrompt, 4)), 1, "cannot reach the coordinator");
  StartCoordinator(1, endpoint_);
  EXPECT_EQ(Tokens(24), TokensOfOneProcess(24)) << "the worker came back by itself";
}

}  // namespace
}  // namespace mortar
