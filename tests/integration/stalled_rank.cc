// A rank of an MPI job that stands still at a certain moment of its start:
//
//   stalled_rank FOLDER begun [FLAGS]    once MPI has begun, before it says anything
//   stalled_rank FOLDER agreed [FLAGS]   once all ranks have agreed to begin, before it joins
//
// FOLDER: where the program and its plug-in lie. FLAGS: of `mortar cluster`, as the other ranks
// have them.
#include <signal.h>

#include <cstdio>
#include <string_view>
#include <vector>

#include "cli/cluster_launch.h"
#include "cli/command_line.h"

namespace mortar {
namespace {

absl::Status StandStillAt(std::string_view moment, const std::string& folder,
                          const std::vector<std::string>& flags) {
  const SteadyClock clock;
  std::vector<std::string> arguments = {"cluster"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  ASSIGN_OR_RETURN(const CommandLine line, ParseCommandLine(arguments));
  ASSIGN_OR_RETURN(const Resolved resolved, Resolve(line, {}));
  ASSIGN_OR_RETURN(const std::unique_ptr<MpiWorld> world, MpiWorld::Join(folder));
  if (moment == "agreed") {
    Launch launch(*world, resolved.settings, clock);
    RETURN_IF_ERROR(launch.Gather());
    RETURN_IF_ERROR(launch.Agree(absl::OkStatus()));
  }
  raise(SIGSTOP);
  return Cancelled("it went on");
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const absl::Status status = mortar::StandStillAt(argv[2], argv[1], {argv + 3, argv + argc});
  std::fprintf(stderr, "stalled_rank: %s\n", mortar::Message(status).c_str());
  return 1;
}
