// Goal: edge and workers as the ranks of an MPI job give the tokens of one process, whatever the
// cut, and count what they send; a rank that waits leaves its core to others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/mpi_job.h"

namespace mortar {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kRowBytes = 576 * 4;

json AnswerOf(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.Json();
}

json OneProcess(const Arguments& ask) {
  return AnswerOf(RunMortar(Arguments{"run"} + ask))["tokens"];
}

// What it asks to be continued repeats itself.
constexpr char kListPrompt[] = "one two three four five six one two three four five six one two";

TEST(MpiCluster, TwoThreeAndFourRanksGiveTheTokensOfOneProcess) {
  const json expected = OneProcess(Ask(24));
  for (const int ranks : {2, 3, 4}) {
    SCOPED_TRACE(ranks);
    const json answer = AnswerOf(RunJob(ranks, Ask(24)));
    EXPECT_EQ(answer["tokens"], expected);
    EXPECT_EQ(answer["route"].size(), static_cast<size_t>(ranks) + 1);
  }
}

TEST(MpiCluster, RanksWithoutTheFileGetTheirLayersFromRankZero) {
  const Arguments distribute = {"--distribute"};
  const Arguments others = {"-m", "/nowhere/model.gguf", "-t", "1", "-n", "24"};
  EXPECT_EQ(AnswerOf(RunTwo(Ask(24) + distribute, others + distribute))["tokens"],
            OneProcess(Ask(24)));
  EXPECT_EQ(AnswerOf(RunJob(4, Ask(24) + distribute))["tokens"], OneProcess(Ask(24)));
}

TEST(MpiCluster, DistributeAtOneRankAloneIsAMistakeThatIsSaid) {
  ExpectOneLine(RunTwo(Ask(4) + Arguments{"--distribute"}, Ask(4)), 2,
                "rank 0 was started with --distribute and rank 1 was not like it");
}

TEST(MpiCluster, PlaceAtOneRankOtherwiseIsAMistakeThatIsSaid) {
  ExpectOneLine(RunTwo(Ask(4) + Arguments{"--place", "measured"}, Ask(4)), 2,
                "--place is measured at rank 0 and even at rank 1: give all ranks the same");
}

TEST(MpiCluster, SampledTokensAreThoseOfOneProcess) {
  const Arguments sampled = Ask(24, {"--temp", "0.9", "--seed", "7", "-p", kPrompt});
  EXPECT_EQ(AnswerOf(RunJob(2, sampled))["tokens"], OneProcess(sampled));
}

TEST(MpiCluster, GuessedTokensAreThoseOfOneProcessWithoutGuesses) {
  const Arguments ask = Ask(48, {"--temp", "0", "-p", kListPrompt});
  const json answer = AnswerOf(RunJob(3, ask + Arguments{"--draft", "lookup"}));
  EXPECT_EQ(answer["tokens"], OneProcess(ask));
  EXPECT_GT(answer["drafts"]["accepted"], 0);
}

TEST(MpiCluster, AnotherCutAndSizesInTheOrderOfRanksGiveTheSameTokens) {
  const Arguments cut = {"--front", "3", "--back", "1", "--layers", "20,6", "--ubatch-size", "3"};
  const json answer = AnswerOf(RunJob(3, Ask(24) + cut));
  EXPECT_EQ(answer["tokens"], OneProcess(Ask(24)));
  const json& route = answer["route"];
  ASSERT_EQ(route.size(), 4u);
  EXPECT_EQ(route[0]["layers"], json({0, 3}));
  EXPECT_EQ(route[1]["node"], "rank-1");
  EXPECT_EQ(route[1]["layers"], json({3, 23}));
  EXPECT_EQ(route[2]["node"], "rank-2");
  EXPECT_EQ(route[2]["layers"], json({23, 29}));
  EXPECT_EQ(route[3]["layers"], json({29, 30}));
}

// Its frames are larger than what MPI sends without having asked, and over TCP, as between
// machines, they come in pieces.
TEST(MpiCluster, ALongPromptGivesTheSameTokensThroughMemoryAndOverTcp) {
  std::string prompt;
  while (prompt.size() < 4000) prompt += kPrompt;
  const Arguments ask = Ask(8, {"--temp", "0", "-p", prompt});
  const json expected = OneProcess(ask);
  EXPECT_EQ(AnswerOf(RunJob(3, ask))["tokens"], expected);
  ProgramRun tcp = JobRun(3, ask);
  tcp.under = tcp.under + Arguments{"--mca", "btl", "tcp,self"};
  EXPECT_EQ(AnswerOf(RunMortar(tcp))["tokens"], expected);
}

TEST(MpiCluster, DecodeSendsOneFrameAHopAndTokenWithAtMostTwoHundredBytesMore) {
  const json one = AnswerOf(RunJob(3, Ask(1)))["wire"]["hops"];
  const json more = AnswerOf(RunJob(3, Ask(21)))["wire"]["hops"];
  const std::vector<int> bytes = BytesOfATokenByHop(one, more, 20);
  EXPECT_THAT(bytes, testing::SizeIs(3));
  EXPECT_THAT(bytes,
              testing::Each(testing::AllOf(testing::Ge(kRowBytes), testing::Le(kRowBytes + 200))));
}

TEST(MpiCluster, RankZeroReadsThePromptFromStandardInputOrAFile) {
  const Arguments greedy = {"--temp", "0"};
  const json expected = AnswerOf(RunJob(2, Ask(4)));
  ProgramRun input = JobRun(2, Ask(4, greedy));
  input.input = kPrompt;
  TestFolder folder;
  const std::string file = folder.Write("prompt.txt", kPrompt);
  for (const ProgramRun& run : {input, JobRun(2, Ask(4, greedy + Arguments{"-f", file}))}) {
    const json answer = AnswerOf(RunMortar(run));
    EXPECT_EQ(answer["prompt_tokens"], expected["prompt_tokens"]);
    EXPECT_EQ(answer["tokens"], expected["tokens"]);
  }
}

TEST(MpiCluster, WithoutJsonTheAnswerAloneGoesToStandardOutput) {
  const Arguments plain = {"-m", Ask(1)[1], "-t", "1",  "--raw", "-n",
                           "8",  "--temp",  "0",  "-p", kPrompt};
  const ProgramResult job = RunJob(2, plain);
  EXPECT_EQ(job.exit_code, 0) << job.err;
  EXPECT_EQ(job.out, RunMortar(Arguments{"run"} + plain).out);
  EXPECT_THAT(job.err, HasSubstr("edge → rank-1"));
  EXPECT_TRUE(OwnLines(job.err).empty()) << job.err;
}

// A rank that burned its core would compute for all of the second.
TEST(MpiCluster, ARankThatWaitsLeavesItsCoreToOthers) {
  BackgroundJob job(2, 2000);
  ASSERT_EQ(kill(job.process(0), SIGSTOP), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double before = ComputedSeconds(job.process(1));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_LT(ComputedSeconds(job.process(1)) - before, 0.2);
}

}  // namespace
}  // namespace mortar
