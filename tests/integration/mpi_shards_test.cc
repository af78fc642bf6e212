// Goal: with --tp, ranks that share the layers of each worker give the tokens of one process: two
// and three to a hop, one hop and two, any cut, greedy and sampled, with guesses. What cannot be
// shared is refused in one line; a rank of a hop that dies or stands still ends the job and is
// named; one that waits leaves its core to others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/mpi_job.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

Arguments Tp(int n) { return {"--tp", std::to_string(n)}; }

json AnswerOf(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json();
}

json OneProcess(const Arguments& ask) {
  return AnswerOf(RunMortar(Arguments{"run"} + ask))["tokens"];
}

// --- The same tokens ---

// SmolLM2 has three KV heads: one and two of them on two shards.
TEST(MpiShardsJob, TwoAndThreeToAHopGiveTheTokensOfOneProcess) {
  const json expected = OneProcess(Ask(24));
  for (const int tp : {2, 3}) {
    for (const int hops : {1, 2}) {
      SCOPED_TRACE(std::to_string(hops) + " hops of " + std::to_string(tp));
      const json answer = AnswerOf(RunJob(1 + hops * tp, Ask(24) + Tp(tp)));
      EXPECT_EQ(answer["tokens"], expected);
      ASSERT_EQ(answer["route"].size(), static_cast<size_t>(hops) + 2);
      EXPECT_EQ(answer["route"][1]["node"], "rank-1");
      const std::string second = hops == 2 ? "rank-" + std::to_string(1 + tp) : "edge";
      EXPECT_EQ(answer["route"][2]["node"], second);
    }
  }
}

TEST(MpiShardsJob, SampledAtTemperatureOneItGivesTheTokensOfOneProcess) {
  for (const char* seed : {"7", "8"}) {
    const Arguments sampled = Ask(24, {"--temp", "1", "--seed", seed, "-p", kPrompt});
    const json expected = OneProcess(sampled);
    for (const int tp : {2, 3}) {
      EXPECT_EQ(AnswerOf(RunJob(1 + tp, sampled + Tp(tp)))["tokens"], expected)
          << "seed " << seed << ", " << tp << " to a hop";
    }
  }
}

TEST(MpiShardsJob, GuessedTokensAreThoseOfOneProcessWithoutGuesses) {
  constexpr char kList[] = "one two three four five six one two three four five six one two";
  const Arguments greedy = Ask(48, {"--temp", "0", "-p", kList});
  const Arguments sampled = Ask(48, {"--temp", "1", "--seed", "8", "-p", kList});
  for (const Arguments& ask : {greedy, sampled}) {
    const json answer = AnswerOf(RunJob(5, ask + Tp(2) + Arguments{"--draft", "lookup"}));
    EXPECT_EQ(answer["tokens"], OneProcess(ask));
    EXPECT_GT(answer["drafts"]["accepted"], 0);
  }
}

TEST(MpiShardsJob, AnyCutKvThreadsAndChunksGiveTheSameTokens) {
  const json expected = OneProcess(Ask(16));
  const Arguments one_each = {"--front", "3", "--back", "1", "--layers", "20,6"};
  const json cut = AnswerOf(RunJob(5, Ask(16) + Tp(2) + one_each));
  EXPECT_EQ(cut["tokens"], expected);
  EXPECT_EQ(cut["route"][2]["layers"], json({23, 29}));
  const Arguments chunks = {"--front", "1", "--back", "1", "--ubatch-size", "3", "-t", "2"};
  EXPECT_EQ(AnswerOf(RunJob(4, Ask(16) + Tp(3) + chunks))["tokens"], expected);
  for (const char* kv : {"f32", "q8_0"}) {
    const Arguments with_kv = Ask(16) + Arguments{"--kv", kv};
    EXPECT_EQ(AnswerOf(RunJob(3, with_kv + Tp(2)))["tokens"], OneProcess(with_kv)) << kv;
  }
}

// Shares of a chunk of prefill are larger than what MPI sends without having asked; over TCP, as
// between machines, they come in pieces.
TEST(MpiShardsJob, ALongPromptGivesTheSameTokensThroughMemoryAndOverTcp) {
  std::string prompt;
  while (prompt.size() < 3000) prompt += kPrompt;
  const Arguments ask = Ask(8, {"--temp", "0", "-p", prompt});
  const json expected = OneProcess(ask);
  EXPECT_EQ(AnswerOf(RunJob(4, ask + Tp(3)))["tokens"], expected);
  ProgramRun tcp = JobRun(4, ask + Tp(3));
  tcp.under = tcp.under + Arguments{"--mca", "btl", "tcp,self"};
  EXPECT_EQ(AnswerOf(RunMortar(tcp))["tokens"], expected);
}

// Norms behind branches, caps and windows; rows in f32 between blocks of eight-bit weights.
TEST(MpiShardsJob, AnotherArchitectureGivesTheSameTokens) {
  TestFolder folder;
  for (NamedTinyModel model : TinyModelOfEveryArchitecture()) {
    if (model.name != "gemma2" && model.name != "qwen2") continue;
    model.options.type = TensorType::kQ8_0;
    model.options.n_heads = 6;
    model.options.n_kv_heads = 3;
    model.options.head_dim = 32;
    const std::string path = folder.Path(model.name + ".gguf");
    WriteTinyModel(model.options, path);
    const Arguments ask = {"-m", path, "-t", "1",   "--raw",  "--json", "-n",     "12",
                           "-c", "32", "-p", "abc", "--temp", "1",      "--seed", "5"};
    EXPECT_EQ(AnswerOf(RunJob(3, ask + Tp(2)))["tokens"], OneProcess(ask)) << model.name;
  }
}

// --- Begun wrongly ---

TEST(MpiShardsJob, RanksThatAreNoWholeWorkersAreRefused) {
  ExpectOneLine(RunJob(2, Ask(1) + Tp(2)), 2, "--tp 2 needs rank 0 and 2 for each worker: 3, 5");
  ExpectOneLine(RunJob(4, Ask(1) + Tp(2)), 2, "this job has 4 ranks, and --tp 2 needs");
}

TEST(MpiShardsJob, MoreRanksThanKvHeadsAreRefused) {
  ExpectOneLine(RunJob(5, Ask(1) + Tp(4)), 2, "3 KV heads can be shared by at most 3");
}

TEST(MpiShardsJob, AnotherTpAtOneRankIsRefused) {
  ExpectOneLine(RunJobAndOne(2, Ask(1) + Tp(2), Ask(1)), 2, "--tp is 2 at rank 0 and 1 at rank 2");
}

// The leader joins with the edge's KV; its neighbour would compute other bits.
TEST(MpiShardsJob, ARankThatWasStartedOtherwiseThanItsLeaderIsSaid) {
  const auto last_with = [](const Arguments& more) {
    return RunJobAndOne(2, Ask(1) + Tp(2), Ask(1) + Tp(2) + more);
  };
  const ProgramResult kv = last_with({"--kv", "f32"});
  ExpectOneLine(kv, 1, "shares layers with a rank that has");
  EXPECT_THAT(kv.err, HasSubstr("rank 2 (process "));
  EXPECT_THAT(kv.err, HasSubstr("KV in f32"));
  ExpectOneLine(last_with({"-c", "512"}), 1, "a context of 512");
}

// --- Ended amid an answer ---

TEST(MpiShardsJob, AKilledRankOfAHopEndsTheJobWithinFiveSecondsAndIsNamed) {
  BackgroundJob job(4, 2000, Tp(3));
  ASSERT_EQ(kill(job.process(2), SIGKILL), 0);
  EXPECT_NE(job.program().End(), 0);  // within 5 s
  EXPECT_THAT(job.program().Errors(), HasSubstr("rank 2 with PID"));
  for (int rank = 0; rank < 4; ++rank) EXPECT_FALSE(job.Runs(rank)) << "rank " << rank;
}

TEST(MpiShardsJob, ARankOfAHopThatStandsStillEndsTheJobAndIsNamedOnce) {
  BackgroundJob job(4, 2000, Tp(3));
  ASSERT_EQ(kill(job.process(3), SIGSTOP), 0);
  const auto start = steady_clock::now();
  EXPECT_THAT(job.program().Line("mortar: "),
              testing::AllOf(HasSubstr("rank 3 (process " + std::to_string(job.process(3))),
                             HasSubstr("has stood still for 1")));
  EXPECT_LT(steady_clock::now() - start, seconds(15));
  EXPECT_EQ(job.program().End(), 1);
  EXPECT_EQ(OwnLines(job.program().Errors()).size(), 1u) << job.program().Errors();
}

TEST(MpiShardsJob, ASignalEndsAllRanksWithoutAWord) {
  BackgroundJob job(4, 2000, Tp(3));
  EXPECT_NE(job.program().Stop(), 0);
  EXPECT_TRUE(OwnLines(job.program().Errors()).empty()) << job.program().Errors();
  for (int rank = 0; rank < 4; ++rank) EXPECT_FALSE(job.Runs(rank)) << "rank " << rank;
}

// A rank that burned its core would compute for all of the second.
TEST(MpiShardsJob, RanksThatWaitLeaveTheirCoresToOthers) {
  BackgroundJob job(3, 2000, Tp(2));
  ASSERT_EQ(kill(job.process(0), SIGSTOP), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double before[] = {ComputedSeconds(job.process(1)), ComputedSeconds(job.process(2))};
  std::this_thread::sleep_for(seconds(1));
  for (const int rank : {1, 2}) {
    EXPECT_LT(ComputedSeconds(job.process(rank)) - before[rank - 1], 0.2) << "rank " << rank;
  }
}

}  // namespace
}  // namespace mortar
