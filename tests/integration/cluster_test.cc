// Goal: coordinator, workers, relay and edges as programs of their own on loopback give the tokens
// of one process, and count what they send.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/cluster_programs.h"
#include "tests/support/link_proxy.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::Each;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::SizeIs;

constexpr int kRowBytes = 576 * 4;

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
  const Arguments through = {"--relay", line.substr(line.find("tcp://")), "--no-direct"};
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

// A text, and its beginning again: what a model does with it is to copy.
TEST_F(ClusterTest, LookupDraftsGiveTheSameTokensTwiceAsFastOverASlowLink) {
  constexpr char kList[] =
      "The keeper wrote: seven lamps, two ropes, a brass compass, nine candles, one map of the "
      "northern coast, a kettle without a lid, forty nails, and a letter that nobody had opened. ";
  const std::string prompt = std::string(kList) + kList + "The keeper wrote: seven lamps, two";
  const Arguments lookup = {"--draft", "lookup"};
  for (const Arguments& sampling : {Arguments{}, Arguments{"--temp", "1", "--seed", "3"}}) {
    const Arguments ask = Ask(prompt, 40) + sampling;
    const json plain = RunMortar(Arguments{"run"} + ask).Json();
    const json here = RunMortar(Arguments{"run"} + ask + lookup).Json();
    EXPECT_EQ(here["tokens"], plain["tokens"]);
    EXPECT_EQ(plain["drafts"], json({{"proposed", 0}, {"accepted", 0}}));
    EXPECT_GT(here["drafts"]["proposed"], 0);

    StartCluster(2);
    // 30 ms there and back.
    const LinkProxy far(endpoint_, {.delay = milliseconds(15)});
    endpoint_ = far.endpoint();
    const json without = Edge(ask + Arguments{"--no-direct"}).Json();
    const json with = Edge(ask + lookup + Arguments{"--no-direct"}).Json();
    workers_.clear();
    EXPECT_EQ(without["tokens"], plain["tokens"]);
    EXPECT_EQ(with["tokens"], plain["tokens"]);
    const auto tokens_per_second = [](const json& report) {
      return report["timings"]["decode_tok_s"].get<double>();
    };
    std::printf("%s: %.1f tokens/s, with drafts %.1f, held %s\n",
                sampling.empty() ? "greedy" : "temperature 1", tokens_per_second(without),
                tokens_per_second(with), with["drafts"].dump().c_str());
    if (sampling.empty()) {
      EXPECT_GE(tokens_per_second(with), 2 * tokens_per_second(without));
    }
  }
}

TEST_F(ClusterTest, APeerThatTricklesDisturbsNobody) {
  StartCluster(1);
  // Dials, and is far from its Hello for as long as this takes.
  const LinkProxy trickle(endpoint_, {.bytes_per_second = 1});
  NodeProgram slow(Arguments{"edge", "--coordinator", trickle.endpoint()} + Ask(kPrompt, 4));
  EXPECT_EQ(Tokens(24), TokensOfOneProcess(24));
  slow.Line("is no Mortar node");  // it gave up by itself, and said so
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
    bytes_per_token.push_back(
        BytesOfATokenByHop(first["wire"]["hops"], answer(21)["wire"]["hops"], 20));
    EXPECT_THAT(bytes_per_token.back(), SizeIs(3));
    EXPECT_THAT(bytes_per_token.back(), Each(AllOf(Ge(kRowBytes), Le(kRowBytes + 200))));
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

}  // namespace
}  // namespace mortar
