// `mortar cluster` under the real mpirun, on this machine.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/cli_process.h"
#include "tests/integration/node_program.h"

namespace mortar {

using Arguments = std::vector<std::string>;
Arguments operator+(Arguments a, const Arguments& b);

inline constexpr char kPrompt[] =
    "Once upon a time there was a small village by the sea. Every morning";

// mpirun with what it needs here, up to the program.
Arguments Mpirun(int ranks);
// The default model, one thread, JSON, n tokens.
Arguments Ask(int n, const Arguments& more = {"--temp", "0", "-p", kPrompt});

// `mpirun -n RANKS mortar cluster ARGUMENTS`
ProgramRun JobRun(int ranks, const Arguments& arguments);
ProgramResult RunJob(int ranks, const Arguments& arguments);
// One rank more, the last, with arguments of its own.
ProgramResult RunJobAndOne(int ranks, const Arguments& arguments, const Arguments& last);
// Rank 1 with arguments of its own.
ProgramResult RunTwo(const Arguments& edge, const Arguments& worker);

// The lines that mortar itself said, of all ranks.
std::vector<std::string> OwnLines(const std::string& errors);
// Fails the test unless the job ended with `exit_code`, printed nothing and said one line of its
// own, which holds `part`.
void ExpectOneLine(const ProgramResult& result, int exit_code, const std::string& part);

// A job that goes on while the test does.
class BackgroundJob {
 public:
  // Returns when the route is there, and some tokens. `n` is so many that it goes on for a while.
  BackgroundJob(int ranks, int n, const Arguments& more = {});
  ~BackgroundJob();  // ends what is left of it

  NodeProgram& program() { return program_; }
  pid_t process(int rank) const { return processes_[static_cast<size_t>(rank)]; }
  bool Runs(int rank) const;

 private:
  NodeProgram program_;
  std::vector<pid_t> processes_;
};

// What a process has computed so far, in seconds.
double ComputedSeconds(pid_t process);

}  // namespace mortar
