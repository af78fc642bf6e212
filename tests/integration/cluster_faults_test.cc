// Goal: nodes of a cluster say clearly what is wrong with how they were started, and outlive one
// another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/cluster_programs.h"
#include "tests/support/link_proxy.h"
#include "tests/support/test_model.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

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
                     "without keys nothing is encrypted");
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
  const ProgramResult other = Edge(Ask(kPrompt, 4) + Arguments{"--front", "3"});
  ExpectOneLineError(other, 1, "the edge keeps 3 + 2 layers");
}

TEST_F(ClusterTest, AnotherModelFileIsRefusedByNameAtOnce) {
  StartCluster(1);
  TestFolder folder;
  WriteTinyModel({}, folder.Path("other.gguf"));
  const Arguments other = {"-m", folder.Path("other.gguf"), "-t", "1"};
  const ProgramResult edge =
      Edge(other + Arguments{"--raw", "-n", "4", "-p", "a", "--front", "1", "--back", "1"});
  ExpectOneLineError(edge, 1, "this cluster serves model");
  const ProgramResult worker = RunMortar(Arguments{"worker", "--coordinator", endpoint_} + other);
  ExpectOneLineError(worker, 1, "this cluster serves model");
  EXPECT_EQ(Tokens(4), TokensOfOneProcess(4)) << "the others are served";
}

TEST_F(ClusterTest, KeysAndValuesOfAnotherFormatAreRefused) {
  StartCluster(1);
  const ProgramResult edge = Edge(Ask(kPrompt, 4) + Arguments{"--kv", "f32"});
  ExpectOneLineError(edge, 1, "--kv f32");
}

TEST_F(ClusterTest, AnAnswerThatIsTooLongForAWorkerIsRefusedBeforeItBegins) {
  StartCoordinator(1);
  StartWorker({"-c", "64"});
  ExpectOneLineError(Edge(Ask(kPrompt, 400)), 1,
                     "keeps at most 64 positions of a session, this one may take 415");
  EXPECT_EQ(Tokens(40), TokensOfOneProcess(40)) << "a shorter one is served";
}

TEST_F(ClusterTest, AFileThatWasWrittenToSinceItWasOpenedIsNotServed) {
  TestFolder folder;
  WriteTinyModel({}, folder.Path("edge.gguf"));
  WriteTinyModel({}, folder.Path("worker.gguf"));
  StartCoordinator(1);
  StartWorker({"-m", folder.Path("worker.gguf"), "-c", "64"});
  std::this_thread::sleep_for(milliseconds(20));  // a tick of the file system's clock
  {
    std::fstream file(folder.Path("worker.gguf"), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end);
    file << 'x';
  }
  const ProgramResult edge = Edge({"-m", folder.Path("edge.gguf"), "-t", "1", "--raw", "-n", "4",
                                   "-p", "a", "--front", "1", "--back", "1"});
  ExpectOneLineError(edge, 1, "worker.gguf: was written to since this process opened it");
}

TEST_F(ClusterTest, TooFewFilesAndTooLongANameAreSaid) {
  const ProgramRun few{.arguments = {"coordinator", "--listen", "tcp://127.0.0.1:0"},
                       .under = {"sh", "-c", "ulimit -n 16; exec \"$@\"", "sh"}};
  ExpectOneLineError(RunMortar(few), 1, "may open 16 files, a node needs 64");
  for (const size_t bytes : {size_t{0}, size_t{65}}) {
    ExpectOneLineError(RunMortar({"relay", "--name", std::string(bytes, 'n')}), 2,
                       "a name has 1 to 64 bytes, this one has " + std::to_string(bytes));
  }
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
    const auto start = std::chrono::steady_clock::now();
    const auto edge = BeginAnswer(160, {direct ? "--direct" : "--no-direct"});
    workers_[0]->Kill();
    EXPECT_EQ(edge->Tokens(), expected);
    // The edge is told; by itself it would wait 30 s for its last frame's answer.
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(25));
  }
}

TEST_F(ClusterTest, AnAnswerGoesRoundALinkThatIsCutAndGivesTheSameTokens) {
  const json expected = TokensOfOneProcess(160);
  for (const LinkState cut : {LinkState::kDown, LinkState::kSilent}) {
    SCOPED_TRACE(cut == LinkState::kDown ? "reset" : "silent");
    workers_.clear();
    StartCoordinator(1);
    const std::string line = StartWorker().Line("listens at ");
    const std::string free_port = line.substr(line.rfind(':') + 1);
    workers_.clear();
    const std::string here = "tcp://127.0.0.1:" + free_port;
    // 10 ms there and back, so that the answer is not over before the cut.
    LinkProxy link(here, {.delay = milliseconds(5)});
    StartWorker({"--listen", here, "--advertise", link.endpoint()});
    const auto edge = BeginAnswer(160);
    while (link.traffic().up < 20 * 576 * 4 && !edge->done()) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    ASSERT_FALSE(edge->done()) << "it was over before the cut";
    link.Set(cut);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(edge->Tokens(), expected);
    // A silent link counts as gone after 5 s; no frame waits for its 30 s.
    EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(20));
  }
}

TEST_F(ClusterTest, ARelayedAnswerWaitsForItsCoordinatorAndGoesOn) {
  const json expected = TokensOfOneProcess(160);
  StartCluster(1, {"--listen", "none"});
  const auto edge = BeginAnswer(160, {"--no-direct"});
  coordinator_->Kill();
  StartCoordinator(1, endpoint_);
  EXPECT_EQ(edge->Tokens(), expected);
}

TEST_F(ClusterTest, AWorkerThatStandsStillIsReplacedAndItsReturnChangesNothing) {
  const json expected = TokensOfOneProcess(160);
  StartCoordinator(1);
  StartWorker();
  StartWorker();  // waits: one was expected
  const pid_t worker = ProcessOf(*workers_[0]);
  ASSERT_GT(worker, 1);
  const auto edge = BeginAnswer(160);
  EXPECT_EQ(kill(worker, SIGSTOP), 0);
  std::this_thread::sleep_for(seconds(7));  // longer than it takes to count as gone
  EXPECT_EQ(kill(worker, SIGCONT), 0);
  EXPECT_EQ(edge->Tokens(), expected);
}

TEST_F(ClusterTest, TheLayersOfAPinnedWorkerThatGoesAreWaitedFor) {
  const json expected = TokensOfOneProcess(400);
  StartCoordinator(2);
  StartWorker({"--layers", "2-15"});
  StartWorker({"--layers", "15-28"});
  const auto edge = BeginAnswer(400);
  workers_[1]->Kill();
  std::this_thread::sleep_for(seconds(4));
  EXPECT_FALSE(edge->done()) << "it was over before the worker went";
  StartWorker({"--layers", "15-28"});
  EXPECT_EQ(edge->Tokens(), expected);
}

TEST_F(ClusterTest, AnAnswerGoesOnSoonAfterAllItsWorkersStoodStill) {
  const json expected = TokensOfOneProcess(400);
  StartCluster(2);
  const pid_t workers[] = {ProcessOf(*workers_[0]), ProcessOf(*workers_[1])};
  const auto edge = BeginAnswer(400);
  for (const pid_t worker : workers) EXPECT_EQ(kill(worker, SIGSTOP), 0);
  std::this_thread::sleep_for(seconds(8));  // all links are given up meanwhile
  EXPECT_FALSE(edge->done()) << "it was over before they stood still";
  for (const pid_t worker : workers) EXPECT_EQ(kill(worker, SIGCONT), 0);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(edge->Tokens(), expected);
  // No frame of it waits for its 30 s; the rest of the answer takes some.
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(25));
}

TEST_F(ClusterTest, AKilledEdgeLeavesItsPlaceToTheNextOne) {
  const json expected = TokensOfOneProcess(24);
  StartCluster(1, {"--parallel", "1"});
  NodeProgram edge(Arguments{"edge", "--coordinator", endpoint_} + Ask(kPrompt, 400));
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
  const auto edge = BeginAnswer(160);
  coordinator_->Kill();
  EXPECT_EQ(edge->Tokens(), expected) << "a session needs its route, and no coordinator after that";
  EXPECT_TRUE(workers_[0]->Runs());
  ExpectOneLineError(Edge(Ask(kPrompt, 4)), 1, "cannot reach the coordinator");
  StartCoordinator(1, endpoint_);
  EXPECT_EQ(Tokens(24), TokensOfOneProcess(24)) << "the worker came back by itself";
}

}  // namespace
}  // namespace mortar
