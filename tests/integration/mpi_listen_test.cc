// Goal: an MPI job that was started with --listen serves edges and workers outside of it over
// ZeroMQ, with the tokens of one process, with keys and without; who poses as a rank gets nothing;
// and when the job ends, edges outside hear why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "protocol/mpi_transport.h"
#include "protocol/zmq_transport.h"
#include "tests/integration/mpi_job.h"
#include "tests/integration/streamed_answer.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

json OneProcess(const Arguments& ask) {
  const ProgramResult result = RunMortar(Arguments{"run"} + ask);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json()["tokens"];
}

// An edge that answers while the test goes on.
class OutsideEdge {
 public:
  explicit OutsideEdge(const Arguments& arguments)
      : thread_([this, arguments] { result_ = RunMortar(arguments); }) {}
  ~OutsideEdge() {
    if (thread_.joinable()) thread_.join();
  }
  const ProgramResult& Result() {  // waits for it
    if (thread_.joinable()) thread_.join();
    return result_;
  }

 private:
  ProgramResult result_;
  std::thread thread_;
};

class MpiListen : public testing::Test {
 protected:
  ~MpiListen() override {
    worker_.reset();
    if (job_ == nullptr) return;
    if (HasFailure()) std::cerr << "the job said:\n" << job_->Errors();
    if (job_->Runs()) job_->Stop();
  }

  // Keys of the coordinator, a desk's edge and a lab's worker, and the list of both.
  void MakeKeys() {
    for (const char* name : {"coordinator", "desk", "lab"}) {
      const ProgramResult made = RunMortar({"keys", "new", "--keys", folder_.Path(name)});
      ASSERT_EQ(made.exit_code, 0) << made.err;
      public_[name] = made.out.substr(0, made.out.find('\n'));
    }
    folder_.Write("allowed", public_["desk"] + " edge\n" + public_["lab"] + " worker\n" +
                                 ToHex(forger_.public_key) + " worker,edge\n");
  }
  Arguments Listens() const {
    return {"--keys", folder_.Path("coordinator"), "--allow-list", folder_.Path("allowed")};
  }
  Arguments Dials(const std::string& name) const {
    if (public_.empty()) return {};
    return {"--keys", folder_.Path(name), "--server-key", public_.at("coordinator")};
  }
  // Returns when it is open.
  void StartJob(int ranks, const Arguments& flags = {"--place", "even"}) {
    const Arguments keys = public_.empty() ? Arguments{} : Listens();
    job_ = std::make_unique<NodeProgram>(
        Arguments{"cluster", "-m", TestModelPath(), "-t", "1", "-c", "2048", "--log-level", "info",
                  "--listen", "tcp://127.0.0.1:0"} +
            keys + flags,
        Mpirun(ranks));
    const std::string line = job_->Line("mortar: coordinator at ");
    const size_t at = line.find("tcp://");
    ASSERT_NE(at, std::string::npos) << line;
    endpoint_ = line.substr(at, line.find(',', at) - at);
  }
  pid_t ProcessOf(int rank) const {
    const std::string line = job_->Line("rank_started rank=" + std::to_string(rank) + " ");
    const std::string key = "process=";
    const size_t at = line.find(key);
    return at == std::string::npos ? -1 : std::atoi(line.c_str() + at + key.size());
  }
  // One that computes alone would hide that no rank does: only where the test says so.
  Arguments EdgeArguments(const Arguments& ask) const {
    const bool says = std::ranges::find(ask, "--take-over") != ask.end();
    return Arguments{"edge", "--coordinator", endpoint_} + ask + Dials("desk") +
           (says ? Arguments{} : Arguments{"--take-over", "never"});
  }
  json Edge(const Arguments& ask) {
    const ProgramResult result = RunMortar(EdgeArguments(ask));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.Json();
  }
  // An edge whose answer goes on for a while; returns when it has its route and rows cross. An edge
  // that has not joined yet is told nothing: it finds that nobody is there.
  std::unique_ptr<NodeProgram> BeginAnswer() {
    auto edge = std::make_unique<NodeProgram>(
        Arguments{"edge", "--coordinator", endpoint_, "-m", TestModelPath(), "-t", "1", "--raw",
                  "-n", "1900", "--temp", "0", "-p", kPrompt, "--take-over", "never"} +
        Dials("desk"));
    edge->Line("| rank-1");
    std::this_thread::sleep_for(milliseconds(300));
    EXPECT_TRUE(edge->Runs()) << "it was over too soon: " << edge->Errors();
    return edge;
  }
  bool StartTwins();
  // Waits longer than a node's line, for what the coordinator does every ten seconds.
  bool Says(const std::regex& part, seconds longest) const {
    const auto start = steady_clock::now();
    while (!std::regex_search(job_->Errors(), part)) {
      if (steady_clock::now() - start > longest) return false;
      std::this_thread::sleep_for(milliseconds(50));
    }
    return true;
  }

  TestFolder folder_;
  std::map<std::string, std::string> public_;
  const KeyPair forger_ = NewKeyPair();  // on the list, as what it likes
  std::unique_ptr<NodeProgram> job_, worker_;
  std::string endpoint_;
};

TEST_F(MpiListen, EdgesOutsideWithKeysGetTheTokensOfOneProcess) {
  MakeKeys();
  StartJob(3);
  const json answer = Edge(Ask(24));
  EXPECT_EQ(answer["tokens"], OneProcess(Ask(24)));
  ASSERT_EQ(answer["route"].size(), 4u);
  EXPECT_EQ(answer["route"][1]["node"], "rank-1");
  EXPECT_EQ(answer["route"][2]["node"], "rank-2");
  const Arguments sampled = Ask(24, {"--temp", "1", "--seed", "7", "-p", kPrompt});
  OutsideEdge beside(EdgeArguments(sampled));
  EXPECT_EQ(Edge(Ask(24))["tokens"], OneProcess(Ask(24)));
  ASSERT_EQ(beside.Result().exit_code, 0) << beside.Result().err;
  EXPECT_EQ(beside.Result().Json()["tokens"], OneProcess(sampled));
  EXPECT_NE(job_->Stop(), 0);
}

TEST_F(MpiListen, RanksThatShareLayersAndThoseThatGotThemFromRankZeroServeEdgesOutside) {
  const json expected = OneProcess(Ask(16));
  for (const Arguments& flags : {Arguments{"--tp", "2"}, Arguments{"--distribute"}}) {
    SCOPED_TRACE(flags[0]);
    StartJob(3, flags);
    EXPECT_EQ(Edge(Ask(16))["tokens"], expected);
    job_->Stop();
  }
}

TEST_F(MpiListen, WithAPromptRankZeroAnswersItAndServesOn) {
  MakeKeys();
  StartJob(3, Arguments{"--place", "even", "--raw", "-n", "24", "--temp", "0", "-p", kPrompt});
  job_->Line("bytes per token: edge → rank-1");  // its answer was written
  EXPECT_EQ(Edge(Ask(24))["tokens"], OneProcess(Ask(24)));
  EXPECT_TRUE(job_->Runs());
  // Its own tokens: ended once they came.
  ProgramRun run = JobRun(3, Ask(24) + Listens() + Arguments{"--listen", "tcp://127.0.0.1:0"});
  run.interrupt_after_bytes = 1;
  EXPECT_EQ(RunMortar(run).Json()["tokens"], OneProcess(Ask(24)));
}

// --- A worker outside ---

double SpeedOf(const std::string& line) {
  const std::string key = "ns_per_byte=";
  return std::atof(line.c_str() + line.find(key) + key.size());
}

// Of an answer with --json-events: its tokens, and the worker of each route that it had.
struct Events {
  json tokens;
  std::vector<std::string> workers;
};
Events EventsOf(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  Events events;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    const json value = json::parse(line);
    if (value.contains("tokens")) {
      events.tokens = value["tokens"];
    } else if (value.contains("route")) {
      events.workers.push_back(value["route"][1]["node"]);
    }
  }
  return events;
}

// A rank and a worker outside that measure nearly the same speed: whoever else computes here, while
// one of them measures, makes them unequal, and then they begin again.
bool MpiListen::StartTwins() {
  for (int tries = 0; tries < 10; ++tries) {
    worker_.reset();
    if (job_ != nullptr) job_->Stop();
    StartJob(2, {"--place", "measured"});
    const double rank = SpeedOf(job_->Line("speed_measured"));
    worker_ = std::make_unique<NodeProgram>(Arguments{"worker", "--coordinator", endpoint_, "-m",
                                                      TestModelPath(), "-t", "1", "-c", "2048",
                                                      "--name", "extra", "--log-level", "info",
                                                      "--allow-list", folder_.Path("allowed")} +
                                            Dials("lab"));
    const double outside = SpeedOf(worker_->Line("speed_measured"));
    if (std::max(outside, rank) < 1.3 * std::min(outside, rank)) return true;
  }
  return false;
}

TEST_F(MpiListen, AWorkerOutsideIsPlacedBesideARankAndItsSessionsOutliveIt) {
  MakeKeys();
  ASSERT_TRUE(StartTwins()) << "ten times two speeds that are far apart: is the machine busy?";
  ASSERT_TRUE(
      Says(std::regex("worker=(extra .*replicas=rank-1|rank-1 .*replicas=extra)"), seconds(40)))
      << "both host the same layers";
  worker_->Line("loaded layers=");
  std::this_thread::sleep_for(seconds(1));  // its next status says so

  // Two sessions, one at each host.
  const Arguments ask = Ask(400) + Arguments{"--json-events"};
  const json expected = OneProcess(Ask(400));
  OutsideEdge one(EdgeArguments(ask)), other(EdgeArguments(ask));
  std::this_thread::sleep_for(seconds(2));
  worker_->Kill();
  const Events first = EventsOf(one.Result());
  const Events second = EventsOf(other.Result());
  EXPECT_EQ(first.tokens, expected);
  EXPECT_EQ(second.tokens, expected);
  ASSERT_FALSE(first.workers.empty() || second.workers.empty());
  EXPECT_EQ((std::set{first.workers[0], second.workers[0]}),
            (std::set<std::string>{"rank-1", "extra"}));
  EXPECT_EQ(first.workers.back(), "rank-1");
  EXPECT_EQ(second.workers.back(), "rank-1");
}

// --- Trust ---

// Says Hello under the id of rank 1, and would speak to rank 2 in its name; what it is told.
absl::Status SayHelloAsRankOne(const std::string& endpoint, ZmqOptions options) {
  const SteadyClock clock;
  const Logger log(LogLevel::kOff, LogFormat::kText);
  RowsPool pool;
  options.upstreams = {endpoint};
  options.self = NodeOfRank(1);
  const Hello card = options.card;
  const auto transport = *ZmqTransport::Create(std::move(options), {clock, log, pool});
  const auto start = steady_clock::now();
  while (steady_clock::now() - start < seconds(3)) {
    (void)transport->Send(kCoordinatorNode, card);
    (void)transport->Send(NodeOfRank(2), Cancel{});
    while (transport->Poll()) {
    }
    if (transport->UpstreamStatus().ok()) break;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return transport->UpstreamStatus();
}

TEST_F(MpiListen, WhoSaysHelloWithARanksIdGetsNothing) {
  for (const bool keys : {false, true}) {
    SCOPED_TRACE(keys ? "with keys" : "without keys");
    if (keys) MakeKeys();
    StartJob(3);
    ZmqOptions options{.card = {.role = Role::kWorker, .name = "rank-1"}};
    if (keys) {
      options.keys = forger_;
      options.server_keys = {*ParsePublicKey(public_["coordinator"])};
    }
    EXPECT_THAT(Message(SayHelloAsRankOne(endpoint_, options)),
                HasSubstr(keys ? "0000000000000011 is not one of this key's"
                               : "0000000000000011 is not the sender's"));
    EXPECT_EQ(Edge(Ask(8))["tokens"], OneProcess(Ask(8))) << "the job is undisturbed";
    job_->Stop();
  }
}

TEST_F(MpiListen, WhoHasNoKeyOfTheListIsTurnedAway) {
  MakeKeys();
  StartJob(2);
  Arguments dials = Dials("desk");
  public_.clear();
  ExpectOneLineError(RunMortar(EdgeArguments(Ask(4))), 1,
                     "one of the two has keys and the other has none");
  dials[1] = folder_.Path("coordinator");  // a key, and not on the list
  ExpectOneLineError(RunMortar(EdgeArguments(Ask(4)) + dials), 1,
                     "this node's key is not on its allow-list");
}

TEST_F(MpiListen, WhatCannotListenIsSaidOnce) {
  const Arguments serve = {"-m", TestModelPath(), "-t", "1", "--listen"};
  ExpectOneLine(RunJob(3, serve + Arguments{"tcp://0.0.0.0:0"}), 2,
                "--listen: tcp://0.0.0.0:0 is not loopback, and without keys");
  ExpectOneLine(RunJob(2, serve + Arguments{"tcp://nowhere"}), 2, "--listen: ");
  ExpectOneLine(RunJob(2, Ask(1) + Arguments{"--keys", "file"}), 2, "add --listen URL");
  ExpectOneLine(RunTwo(Ask(1), Ask(1) + Arguments{"--listen", "tcp://127.0.0.1:0"}), 2,
                "rank 1 was started with --listen and rank 0");
  StartJob(2);
  ExpectOneLine(RunJob(2, serve + Arguments{endpoint_}), 1, "Address already in use");
  const Arguments insecure = serve + Arguments{"tcp://0.0.0.0:0", "--insecure"};
  NodeProgram open(Arguments{"cluster", "--place", "even"} + insecure, Mpirun(2));
  open.Line("mortar: warning: --insecure: whoever can reach");
  open.Line("mortar: coordinator at tcp://0.0.0.0:");
  open.Stop();
}

TEST_F(MpiListen, KeysThatAreExportedForOtherNodesLeaveAJobThatIsClosedAlone) {
  ProgramRun run = JobRun(2, Ask(4));
  run.environment = {{"MORTAR_KEYS", folder_.Path("none")}, {"MORTAR_ALLOW_LIST", "none"}};
  const ProgramResult result = RunMortar(run);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.Json()["tokens"], OneProcess(Ask(4)));
}

// --- The job's end ---

TEST_F(MpiListen, AKilledRankEndsTheJobAndEdgesOutsideHearIt) {
  MakeKeys();
  StartJob(3);
  const auto edge = BeginAnswer();
  const auto start = steady_clock::now();
  ASSERT_EQ(kill(ProcessOf(2), SIGKILL), 0);
  EXPECT_NE(job_->End(), 0);  // within 5 s
  EXPECT_EQ(edge->End(), 1);  // the same
  EXPECT_LT(steady_clock::now() - start, seconds(7));
  EXPECT_THAT(edge->Errors(),
              HasSubstr("the MPI job that serves this cluster was ended by signal 15"));
}

TEST_F(MpiListen, AnEdgeOutsideThatMayTakeOverAnswersOnWhenTheJobEnds) {
  MakeKeys();
  StartJob(3);
  const Arguments ask = Ask(400) + Arguments{"--json-events", "--take-over", "auto"};
  StreamedAnswer answer(EdgeArguments(ask), seconds(110));
  answer.ReadUntil([&] { return answer.tokens().size() >= 30; });
  ASSERT_EQ(kill(ProcessOf(2), SIGKILL), 0);
  EXPECT_NE(job_->End(), 0);
  ASSERT_EQ(answer.Finish(), 0) << answer.Errors();
  EXPECT_THAT(answer.Errors(), HasSubstr("takes_over first_layer=2 end=28"));
  EXPECT_THAT(answer.Errors(),
              HasSubstr("the MPI job that serves this cluster was ended by signal 15"));
  EXPECT_GT(answer.report()["tokens_alone"], 0) << "it was killed too late";
  EXPECT_EQ(answer.report()["tokens"], OneProcess(Ask(400)));
}

TEST_F(MpiListen, ARankThatStandsStillEndsTheJobAndEdgesOutsideHearWhichOne) {
  StartJob(3);
  const auto edge = BeginAnswer();
  const pid_t rank = ProcessOf(1);
  ASSERT_EQ(kill(rank, SIGSTOP), 0);
  EXPECT_THAT(edge->Line("has stood still for 5 s"),
              HasSubstr("rank 1 (process " + std::to_string(rank)));
  EXPECT_EQ(edge->End(), 1);
  EXPECT_EQ(job_->End(), 1);
}

// Ranks have room for one session, and hear from rank 0 that its edge is gone.
TEST_F(MpiListen, AnEdgeThatIsKilledLeavesItsPlaceAtTheRanksToTheNext) {
  StartJob(3, {"--place", "even", "--parallel", "1"});
  BeginAnswer()->Kill();
  EXPECT_EQ(Edge(Ask(24))["tokens"], OneProcess(Ask(24)));
}

// It has a queue of its own at rank 0.
TEST_F(MpiListen, AnEdgeThatStandsStillDelaysNoOther) {
  StartJob(3);
  const auto slow = BeginAnswer();
  slow->Suspend();
  EXPECT_EQ(Edge(Ask(24))["tokens"], OneProcess(Ask(24)));
  slow->Kill();
  EXPECT_EQ(Edge(Ask(24))["tokens"], OneProcess(Ask(24)));
}

}  // namespace
}  // namespace mortar
