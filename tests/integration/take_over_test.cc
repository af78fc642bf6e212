// Goal: where nobody else can take over the layers of a session, the edge does: kill -9 of the only
// worker amid an answer, no worker at all, a coordinator that is gone or wants no more of it; the
// tokens are those of the undisturbed answer, each of them once. Where it may not, or has not the
// memory, the request ends as it would without, and says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/cluster_programs.h"
#include "tests/integration/streamed_answer.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr int kTokens = 128;
constexpr seconds kAnswerMax{60};

class TakeOverTest : public testing::Test {
 protected:
  TakeOverTest() {
    TinyModelOptions options;
    // Wide and deep enough that an answer takes a tenth of a second and more.
    options.n_embd = 256;
    options.n_ff = 768;
    options.n_layers = 12;
    options.n_ctx = 1024;
    options.deviation = 0.2f;  // so that the answer is not one token again and again
    WriteTinyModel(options, folder_.Path("tiny.gguf"));
    StartCoordinator();
  }
  ~TakeOverTest() override {
    worker_.reset();  // it reads the file
    coordinator_.reset();
  }

  void StartCoordinator(const Arguments& flags = {}) {
    coordinator_ = std::make_unique<NodeProgram>(
        Arguments{"coordinator", "--listen", "tcp://127.0.0.1:0", "--workers", "1"} + flags);
    const std::string line = coordinator_->Line("coordinator at ");
    const size_t at = line.find("tcp://");
    endpoint_ = line.substr(at, line.find(',', at) - at);
  }
  void StartWorker(const Arguments& flags = {}) {
    worker_ = std::make_unique<NodeProgram>(Arguments{"worker", "--coordinator", endpoint_} +
                                            Model() + Arguments{"-c", "1024"} + flags);
    worker_->Line("joined");
  }
  // A coordinator with keys, and who may dial it.
  void StartCoordinatorWithKeys() {
    for (const char* name : {"coordinator", "worker", "edge"}) {
      const ProgramResult made = RunMortar({"keys", "new", "--keys", folder_.Path(name)});
      ASSERT_EQ(made.exit_code, 0) << made.err;
      public_[name] = made.out.substr(0, made.out.find('\n'));
    }
    Allow("allowed", {"worker", "edge"});
    StartCoordinator(
        {"--keys", folder_.Path("coordinator"), "--allow-list", folder_.Path("allowed")});
  }
  void Allow(const std::string& list, const std::vector<std::string>& roles) {
    std::string lines;
    for (const std::string& role : roles) lines += public_[role] + " " + role + "\n";
    folder_.Write(list, lines);
  }
  Arguments Dials(const std::string& name) const {
    return {"--keys", folder_.Path(name), "--server-key", public_.at("coordinator")};
  }
  Arguments Model() const { return {"-m", folder_.Path("tiny.gguf"), "-t", "1"}; }
  Arguments Asked(const Arguments& flags) const {
    return Model() + Arguments{"--raw", "--json", "-c", "1024", "-n", std::to_string(kTokens),
                               "-p",    kPrompt} +
           flags;
  }
  std::vector<int> Undisturbed(const Arguments& flags) {
    const ProgramResult result = RunMortar(Arguments{"run"} + Asked(flags));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.Json()["tokens_alone"], 0);
    return result.Json()["tokens"].get<std::vector<int>>();
  }
  Arguments EdgeArguments(const Arguments& flags) const {
    return Arguments{"edge", "--coordinator", endpoint_} + Asked(flags);
  }
  ProgramResult Edge(const Arguments& flags) {
    ProgramRun run{.arguments = EdgeArguments(flags)};
    run.time_out = kAnswerMax;
    return RunMortar(run);
  }
  void ExpectTheSameWhenTheWorkerIsKilled(const Arguments& flags, size_t after) {
    ExpectTheSameWhen([&] { worker_->Kill(); }, flags, after);
  }
  // Whom the edge needs is gone for good when so many tokens are there. `edge`: flags of it alone.
  // Returns what the edge said.
  std::string ExpectTheSameWhen(const std::function<void()>& gone, const Arguments& flags,
                                size_t after, const Arguments& edge = {}) {
    const std::vector<int> expected = Undisturbed(flags);
    if (worker_ == nullptr) StartWorker();
    StreamedAnswer answer(EdgeArguments(flags) + Arguments{"--json-events"} + edge, kAnswerMax);
    answer.ReadUntil([&] { return !answer.routes().empty() && answer.tokens().size() >= after; });
    gone();
    EXPECT_EQ(answer.Finish(), 0) << answer.Errors();
    if (testing::Test::HasFailure()) return answer.Errors();
    std::vector<int> came;
    for (const StreamedAnswer::Token& token : answer.tokens()) came.push_back(token.token);
    EXPECT_EQ(came, expected);
    const json& report = answer.report();
    const int alone = report["tokens_alone"].get<int>();
    EXPECT_GT(alone, 0) << "it was killed too late";
    EXPECT_LE(alone, static_cast<int>(expected.size() - after));
    EXPECT_EQ(report["route"], AloneRoute(report)) << report["route"];
    EXPECT_EQ(report["wire"]["hops"], json::array());
    EXPECT_THAT(answer.Errors(), HasSubstr("takes_over first_layer=2 end=10"));
    return answer.Errors();
  }
  // Front, middle and back, all of them the edge's; bytes as they are.
  static json AloneRoute(const json& report) {
    json route = report["route"];
    const std::vector<std::vector<int>> layers = {{0, 2}, {2, 10}, {10, 12}};
    EXPECT_EQ(route.size(), layers.size());
    for (size_t i = 0; i < layers.size() && i < route.size(); ++i) {
      route[i] = {{"node", "edge"},
                  {"role", "edge"},
                  {"layers", layers[i]},
                  {"bytes", report["route"][i]["bytes"]}};
    }
    return route;
  }

  TestFolder folder_;
  std::unique_ptr<NodeProgram> coordinator_;
  std::unique_ptr<NodeProgram> worker_;
  std::string endpoint_;
  std::map<std::string, std::string> public_;  // keys, by name
};

TEST_F(TakeOverTest, OfAGreedyAnswerGivesItsTokens) {
  ExpectTheSameWhenTheWorkerIsKilled({"--temp", "0"}, 30);
}

TEST_F(TakeOverTest, OfASampledAnswerWithGuessesGivesItsTokens) {
  ExpectTheSameWhenTheWorkerIsKilled({"--temp", "1", "--seed", "7", "--draft", "lookup"}, 30);
}

TEST_F(TakeOverTest, OfAPromptThatIsBeingReadGivesItsTokens) {
  ExpectTheSameWhenTheWorkerIsKilled({"--temp", "0", "-b", "1"}, 0);
}

TEST_F(TakeOverTest, HappensWhereNoWorkerEverCameAndTheNextAnswerUsesOneThatComes) {
  const Arguments flags = {"--temp", "0"};
  const std::vector<int> expected = Undisturbed(flags);
  const json alone = Edge(flags).Json();
  EXPECT_EQ(alone["tokens"], expected);
  EXPECT_EQ(alone["tokens_alone"], expected.size());
  EXPECT_EQ(alone["route"], AloneRoute(alone));
  StartWorker();
  const json routed = Edge(flags).Json();
  EXPECT_EQ(routed["tokens"], expected);
  EXPECT_EQ(routed["tokens_alone"], 0);
  EXPECT_EQ(routed["route"][1]["role"], "worker");
}

TEST_F(TakeOverTest, HappensWithoutACoordinatorTooOnceItWasThere) {
  const Arguments flags = {"--temp", "0"};
  const std::vector<int> expected = Undisturbed(flags);
  StreamedAnswer answer(EdgeArguments(flags) + Arguments{"--json-events", "--log-level", "info"},
                        kAnswerMax);
  answer.ReadUntil([&] { return answer.Errors().find("middle_loads") != std::string::npos; });
  coordinator_->Kill();
  ASSERT_EQ(answer.Finish(), 0) << answer.Errors();
  EXPECT_EQ(answer.report()["tokens"], expected);
}

// The worker is reached through it alone.
TEST_F(TakeOverTest, HappensWhenTheCoordinatorIsStoppedAmidAnAnswer) {
  StartWorker({"--listen", "none"});
  ExpectTheSameWhen([&] { coordinator_->Stop(); }, {"--temp", "0"}, 30);
}

// Its Goodbye is for good: whoever may not join asks for no route.
TEST_F(TakeOverTest, HappensWhenTheCoordinatorTurnsTheEdgeAwayAmidAnAnswer) {
  StartCoordinatorWithKeys();
  Allow("allowed-at-worker", {"edge"});
  StartWorker(Dials("worker") + Arguments{"--allow-list", folder_.Path("allowed-at-worker")});
  const auto turn_away = [&] {
    worker_->Suspend();  // the answer must not be over before the list is read
    Allow("allowed", {"worker"});
  };
  const std::string log = ExpectTheSameWhen(turn_away, {"--temp", "0"}, 30, Dials("edge"));
  EXPECT_THAT(log, HasSubstr("this node's key is not on the allow-list any more"));
}

// As without: the coordinator's own reason, after its 30 s.
TEST_F(TakeOverTest, DoesNotHappenWhereThePersonOrTheMemorySaysNo) {
  NodeProgram never(EdgeArguments({"--take-over", "never"}));
  const auto start = std::chrono::steady_clock::now();
  const ProgramResult small = Edge({"--edge-memory", "1M"});
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(40));
  EXPECT_EQ(small.exit_code, 1);
  EXPECT_THAT(small.err, HasSubstr("0 of 1 workers are here; this edge did not take over: layers "
                                   "[2, 10) need "));
  EXPECT_THAT(small.err, HasSubstr("--edge-memory allows 1.0 MiB in all; raise it, or lower -c"));
  EXPECT_EQ(never.End(), 1);
  EXPECT_THAT(never.Errors(), HasSubstr("0 of 1 workers are here"));
  EXPECT_THAT(never.Errors(), testing::Not(HasSubstr("take over")));
}

TEST_F(TakeOverTest, OfASizeThatIsNoneOrWithoutTakingOverIsWrongUsage) {
  ExpectOneLineError(Edge({"--edge-memory", "much"}), 2, "--edge-memory: \"much\" is no size");
  ExpectOneLineError(Edge({"--edge-memory", "1G", "--take-over", "never"}), 2, "--edge-memory");
  ExpectOneLineError(Edge({"--take-over", "always"}), 2, "--take-over");
}

}  // namespace
}  // namespace mortar
