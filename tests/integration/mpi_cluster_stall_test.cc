// Goal: an MPI job whose ranks stand still while it begins ends within a stated time, with one line
// that names the rank; a person who types the prompt slowly is waited for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "tests/integration/mpi_job.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

// A job that reads its prompt from standard input, where it comes after so many seconds.
Arguments PromptAfter(int delay, int ranks) {
  const std::string input = "(sleep " + std::to_string(delay) + R"(; printf %s "$0"))";
  return Arguments{"bash", "-c", R"(exec "$@" < <)" + input, kPrompt} + Mpirun(ranks);
}

NodeProgram JobThatIsTyped(int delay, int ranks) {
  return NodeProgram(
      {"cluster", "-m", TestModelPath(), "-t", "1", "--raw", "-n", "4", "--log-level", "info"},
      PromptAfter(delay, ranks));
}

pid_t ProcessOf(const NodeProgram& program, int rank) {
  const std::string line = program.Line("rank_started rank=" + std::to_string(rank) + " ");
  const std::string key = "process=";
  const size_t at = line.find(key);
  return at == std::string::npos ? -1 : std::atoi(line.c_str() + at + key.size());
}

// Its process, which stands still from now on.
pid_t SuspendRank(const NodeProgram& job, int rank) {
  const pid_t process = ProcessOf(job, rank);
  EXPECT_TRUE(process > 1 && kill(process, SIGSTOP) == 0) << "process " << process;
  return process;
}

// Rank 0 with a prompt, and a rank 1 that stands still at a moment of its start.
ProgramResult RunBesideStalled(const std::string& moment) {
  const std::string folder = std::filesystem::path(MORTAR_BINARY).parent_path();
  return RunJob(1, Ask(1) + Arguments{"--place", "even", ":", "-n", "1", MORTAR_STALLED_RANK,
                                      folder, moment, "--place", "even"});
}

TEST(MpiClusterStall, APromptThatTakesLongerThanAnySilenceIsWaitedFor) {
  ProgramRun slow = JobRun(3, Ask(4, {"--temp", "0"}));
  slow.under = PromptAfter(13, 3);
  const ProgramResult result = RunMortar(slow);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(OwnLines(result.err).empty()) << result.err;
  EXPECT_EQ(result.Json()["tokens"], RunJob(3, Ask(4)).Json()["tokens"]);
}

TEST(MpiClusterStall, AWorkerThatStandsStillWhileThePromptIsTypedIsNamed) {
  NodeProgram job = JobThatIsTyped(5, 2);
  const pid_t worker = SuspendRank(job, 1);
  const auto start = steady_clock::now();
  EXPECT_THAT(job.Line("mortar: "),
              HasSubstr("rank 1 (process " + std::to_string(worker) + " on "));
  EXPECT_LT(steady_clock::now() - start, seconds(15));  // ten of them silence
  EXPECT_EQ(job.End(), 1);
  EXPECT_THAT(OwnLines(job.Errors()), testing::ElementsAre(HasSubstr("no sign of life for 10 s")));
}

TEST(MpiClusterStall, ARankZeroThatStandsStillWhileItReadsIsNamedByOneOther) {
  NodeProgram job = JobThatIsTyped(20, 3);
  const pid_t edge = SuspendRank(job, 0);
  EXPECT_THAT(job.Line("mortar: "), HasSubstr("rank 0 (process " + std::to_string(edge) + " on "));
  EXPECT_EQ(job.End(), 1);
  EXPECT_THAT(OwnLines(job.Errors()), testing::ElementsAre(HasSubstr("no sign of life for 10 s")));
}

TEST(MpiClusterStall, ARankThatStandsStillBeforeItSaysAnythingIsNamed) {
  const auto start = steady_clock::now();
  ExpectOneLine(RunBesideStalled("begun"), 1, "rank 1 has shown no sign of life for 10 s");
  EXPECT_LT(steady_clock::now() - start, seconds(20));
}

TEST(MpiClusterStall, ARankThatStandsStillBetweenAgreeingAndJoiningIsNamed) {
  const auto start = steady_clock::now();
  const ProgramResult result = RunBesideStalled("agreed");
  ExpectOneLine(result, 1, "agreed to begin, and has not joined within 10 s");
  EXPECT_THAT(result.err, HasSubstr("mortar: rank 1 (process "));
  EXPECT_LT(steady_clock::now() - start, seconds(20));
}

// MPI's own beginning waits for all ranks. It takes a minute.
TEST(MpiClusterStall, ARankThatNeverBeginsEndsTheJob) {
  const auto start = steady_clock::now();
  ExpectOneLine(RunJob(1, Ask(1) + Arguments{":", "-n", "1", "sleep", "300"}), 1,
                "not all ranks have begun MPI within 60 s");
  EXPECT_LT(steady_clock::now() - start, seconds(80));
}

}  // namespace
}  // namespace mortar
