#include "tests/integration/mpi_job.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/test_model.h"

namespace mortar {
Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Arguments Mpirun(int ranks) {
  return {"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
          "-n",     std::to_string(ranks)};
}

Arguments Ask(int n, const Arguments& more) {
  return Arguments{"-m", TestModelPath(), "-t", "1", "--raw", "--json", "-n", std::to_string(n)} +
         more;
}

namespace {

// Evenly, unless the test says otherwise: on one machine the fastest route is the shortest.
Arguments Cluster(const Arguments& arguments) {
  const bool says = std::ranges::find(arguments, "--place") != arguments.end();
  const Arguments place = says ? Arguments{} : Arguments{"--place", "even"};
  return Arguments{"cluster"} + place + arguments;
}

}  // namespace

ProgramRun JobRun(int ranks, const Arguments& arguments) {
  return {.arguments = Cluster(arguments), .under = Mpirun(ranks)};
}

ProgramResult RunJob(int ranks, const Arguments& arguments) {
  return RunMortar(JobRun(ranks, arguments));
}

ProgramResult RunJobAndOne(int ranks, const Arguments& arguments, const Arguments& last) {
  ProgramRun run = JobRun(ranks, arguments);
  run.arguments = run.arguments + Arguments{":", "-n", "1", MORTAR_BINARY} + Cluster(last);
  return RunMortar(run);
}

ProgramResult RunTwo(const Arguments& edge, const Arguments& worker) {
  return RunJobAndOne(1, edge, worker);
}

std::vector<std::string> OwnLines(const std::string& errors) {
  std::vector<std::string> lines;
  std::istringstream text(errors);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("mortar: ")) lines.push_back(line);
  }
  return lines;
}

void ExpectOneLine(const ProgramResult& result, int exit_code, const std::string& part) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  const std::vector<std::string> lines = OwnLines(result.err);
  EXPECT_EQ(lines.size(), 1u) << result.err;
  if (lines.empty()) return;
  EXPECT_NE(lines[0].find(part), std::string::npos) << lines[0] << " lacks: " << part;
}

BackgroundJob::BackgroundJob(int ranks, int n, const Arguments& more)
    : program_(
          Arguments{"cluster", "--place", "even", "-m", TestModelPath(), "-t", "1", "--raw", "-n",
                    std::to_string(n), "--temp", "0", "-p", kPrompt, "--log-level", "info"} +
              more,
          Mpirun(ranks)) {
  for (int rank = 0; rank < ranks; ++rank) {
    const std::string line = program_.Line("rank_started rank=" + std::to_string(rank) + " ");
    const std::string key = "process=";
    const size_t at = line.find(key);
    processes_.push_back(at == std::string::npos ? -1 : std::atoi(line.c_str() + at + key.size()));
    EXPECT_GT(processes_.back(), 1) << line;
  }
  program_.Line("| rank-1");  // the route
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_TRUE(program_.Runs()) << "it was over too soon";
}

BackgroundJob::~BackgroundJob() {
  if (!program_.Runs()) return;
  for (size_t rank = 0; rank < processes_.size(); ++rank) {
    if (Runs(static_cast<int>(rank))) kill(processes_[rank], SIGKILL);
  }
  program_.End();
}

// Its process id may be another's by now, but hardly another mortar's.
bool BackgroundJob::Runs(int rank) const {
  const std::string folder = "/proc/" + std::to_string(process(rank));
  std::error_code gone;
  const auto program = std::filesystem::read_symlink(folder + "/exe", gone);
  return !gone && program == std::filesystem::canonical(MORTAR_BINARY);
}

double ComputedSeconds(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  // Behind the name, which may hold anything: state, ten numbers, then user and system ticks.
  std::istringstream fields(text.substr(std::min(text.rfind(')'), text.size() - 1) + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = -1;
  double system = -1;
  fields >> user >> system;
  EXPECT_GE(user, 0) << text;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace mortar
