// Goal: an MPI job that begins wrongly, or loses a rank, ends soon with one line that says which
// rank and why, and never waits for ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>

#include "tests/integration/mpi_job.h"

namespace mortar {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

// --- Begun wrongly ---

TEST(MpiClusterFaults, WithoutMpirunItSaysHowToStartIt) {
  ExpectOneLineError(RunMortar(Arguments{"cluster"} + Ask(1)), 2, "mpirun -n 2");
}

TEST(MpiClusterFaults, OneRankIsTooFew) {
  ExpectOneLine(RunJob(1, Ask(1)), 2, "this job has 1 rank, and needs one more");
}

TEST(MpiClusterFaults, OtherRanksThanExpectedFailAndTheExpectedOnesDoNot) {
  const Arguments expect = {"--expect-ranks", "3"};
  ExpectOneLine(RunJob(2, Ask(1) + expect), 1, "this job has 2 ranks, --expect-ranks says 3");
  ExpectOneLine(RunJob(1, Ask(1) + expect), 1, "this job has 1 rank, --expect-ranks says 3");
  EXPECT_EQ(RunJob(3, Ask(1) + expect).exit_code, 0);
}

TEST(MpiClusterFaults, WhatIsWrongAtEveryRankIsSaidOnce) {
  ExpectOneLine(RunJob(3, {"-m", "/nowhere.gguf", "-p", "x"}), 1, "/nowhere.gguf");
  ExpectOneLine(RunJob(2, Ask(1) + Arguments{"--front", "40"}), 2, "--front 40");
  ExpectOneLine(RunJob(3, Ask(1) + Arguments{"--layers", "26"}), 2, "1 sizes for 2 workers");
}

TEST(MpiClusterFaults, WhatRankZeroAloneFindsEndsTheJob) {
  ExpectOneLine(RunJob(2, Ask(1, {"-f", "/nowhere.txt"})), 1, "/nowhere.txt");
  ExpectOneLine(RunJob(2, Ask(1) + Arguments{"-c", "8"}), 1, "no room in a context of 8");
}

TEST(MpiClusterFaults, AModelThatARankLacksIsSaidWithTheRanksName) {
  ExpectOneLine(RunTwo(Ask(1), {"-m", "/nowhere.gguf"}), 1, "rank 1 (process ");
}

TEST(MpiClusterFaults, ARankThatKeepsItsKvOtherwiseIsRefusedWithTheRanksName) {
  const ProgramResult result = RunTwo(Ask(1), Ask(1) + Arguments{"--kv", "f32"});
  ExpectOneLine(result, 1, "rank 1 (process ");
  EXPECT_THAT(result.err, HasSubstr("the coordinator refused this worker"));
}

TEST(MpiClusterFaults, AWorkerWithoutRoomForTheContextIsSaid) {
  const Arguments ask = {"-m", Ask(1)[1], "-t", "1"};
  ExpectOneLine(RunTwo(Ask(1) + Arguments{"-c", "2048"}, ask + Arguments{"-c", "64"}), 1, "rank-1");
}

TEST(MpiClusterFaults, AProgramWithoutItsPluginSaysWhatToInstall) {
  TestFolder folder;
  const std::string program = folder.Path("mortar");
  std::filesystem::copy_file(MORTAR_BINARY, program);
  ProgramRun run{.under = {"sh", "-c", "exec \"$0\" cluster -p x", program},
                 .environment = {{"OMPI_COMM_WORLD_SIZE", "2"}}};
  ExpectOneLineError(RunMortar(run), 1, "install Debian's libopenmpi-dev and build again");
  folder.Write("libmortar_mpi.so", "no library");
  ExpectOneLineError(RunMortar(run), 1, "install OpenMPI 4.1 (Debian's openmpi-bin)");
}

// --- Ended amid an answer ---

// Every process of a job that should have ended.
void ExpectEnded(const BackgroundJob& job, int ranks) {
  for (int rank = 0; rank < ranks; ++rank) EXPECT_FALSE(job.Runs(rank)) << "rank " << rank;
}

TEST(MpiClusterFaults, AKilledRankEndsTheJobWithinFiveSecondsAndIsNamed) {
  for (const int rank : {0, 2}) {
    SCOPED_TRACE(rank);
    BackgroundJob job(3, 2000);
    ASSERT_EQ(kill(job.process(rank), SIGKILL), 0);
    EXPECT_NE(job.program().End(), 0);  // within 5 s
    EXPECT_THAT(job.program().Errors(), HasSubstr("rank " + std::to_string(rank) + " with PID"));
    ExpectEnded(job, 3);
  }
}

TEST(MpiClusterFaults, ARankThatStandsStillEndsTheJobAndIsNamed) {
  BackgroundJob job(3, 2000);
  ASSERT_EQ(kill(job.process(1), SIGSTOP), 0);
  const auto start = steady_clock::now();
  job.program().Line("mortar: rank 1 (process " + std::to_string(job.process(1)));
  EXPECT_LT(steady_clock::now() - start, seconds(10));  // five of them silence
  EXPECT_EQ(job.program().End(), 1);
}

TEST(MpiClusterFaults, ASignalEndsAllRanks) {
  BackgroundJob job(3, 2000);
  EXPECT_NE(job.program().Stop(), 0);
  EXPECT_TRUE(OwnLines(job.program().Errors()).empty()) << job.program().Errors();
  ExpectEnded(job, 3);
}

TEST(MpiClusterFaults, ASignalToOneRankEndsAll) {
  BackgroundJob job(3, 2000);
  ASSERT_EQ(kill(job.process(1), SIGTERM), 0);
  EXPECT_NE(job.program().End(), 0);
  EXPECT_TRUE(OwnLines(job.program().Errors()).empty()) << job.program().Errors();
  ExpectEnded(job, 3);
}

}  // namespace
}  // namespace mortar
