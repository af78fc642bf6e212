// mortar: arguments → settings → one command → exit code.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/settings.h"
#include "common/check.h"

extern char** environ;

namespace mortar {
namespace {

// Whoever starts a program with a standard stream closed must not have our sockets take its
// number, and text go there. Opened the wrong way round, each still fails as a closed one does.
void HoldStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    const int held = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (held != fd) return;  // no /dev/null: nothing is lost by going on
  }
}

Environment ReadEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

LogLevel ReadLogLevel(const Settings& settings) {
  if (settings.Bool("verbose")) return LogLevel::kDebug;
  const std::string& level = settings.String("log-level");
  if (level == "debug") return LogLevel::kDebug;
  if (level == "info") return LogLevel::kInfo;
  if (level == "warning") return LogLevel::kWarning;
  if (level == "error") return LogLevel::kError;
  return LogLevel::kOff;
}

absl::Status Dispatch(Command command, const CommandContext& context) {
  switch (command) {
    case kRun:
      return RunCommand(context);
    case kEdge:
      return EdgeCommand(context);
    case kCoordinator:
      return CoordinatorCommand(context);
    case kWorker:
      return WorkerCommand(context);
    case kRelay:
      return RelayCommand(context);
    case kCluster:
      return ClusterCommand(context);
    case kPlan:
      return PlanCommand(context);
    case kBench:
      return BenchCommand(context);
    case kPerplexity:
      return PerplexityCommand(context);
    case kCompare:
      return CompareCommand(context);
    case kInspect:
      return InspectCommand(context);
    case kEmbed:
      return EmbedCommand(context);
    case kTokenize:
      return TokenizeCommand(context);
    case kCompletion:
      return CompletionCommand(context);
    case kKeys:
      return KeysCommand(context);
    case kVersion:
      return VersionCommand(context);
    case kAllCommands:
      break;
  }
  CheckFailed(__FILE__, __LINE__, "a command of the table is dispatched");
}

int Main(const std::vector<std::string>& arguments, Time started) {
  Console console;
  const std::string first = arguments.empty() ? "" : arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    const std::string topic = arguments.size() > 1 ? arguments[1] : "";
    if (topic == "--markdown") return console.Finish(console.Write(FlagsAsMarkdown()));
    const CommandSpec* spec = FindCommand(topic);
    return console.Finish(console.Write(spec != nullptr ? CommandHelp(*spec) : ProgramHelp()));
  }
  absl::StatusOr<CommandLine> line =
      ParseCommandLine(first == "--version" ? std::vector<std::string>{"version"} : arguments);
  if (!line.ok()) return console.Finish(UsageError(Message(line.status())));
  if (line->help) return console.Finish(console.Write(CommandHelp(SpecOf(line->command))));

  const Environment environment = ReadEnvironment();
  const absl::StatusOr<Resolved> resolved = Resolve(*line, environment);
  if (!resolved.ok()) return console.Finish(UsageError(Message(resolved.status())));
  for (const std::string& warning : resolved->warnings) {
    console.Note("mortar: warning: " + OneLine(warning));
  }

  InstallSignalHandlers();
  const Settings& settings = resolved->settings;
  const Logger log(ReadLogLevel(settings),
                   settings.String("log-format") == "json" ? LogFormat::kJson : LogFormat::kText);
  const SteadyClock clock;
  return console.Finish(
      Dispatch(line->command, {settings, environment, console, log, clock, started}));
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) {
  const mortar::Time started = mortar::SteadyClock().Now();
  mortar::HoldStandardStreams();
  // Large memory is asked for with a status. What fails here is one of the many small pieces.
  try {
    return mortar::Main(std::vector<std::string>(argv + 1, argv + argc), started);
  } catch (const std::bad_alloc&) {
    std::fputs("mortar: out of memory\n", stderr);
    return mortar::kExitFailed;
  }
}
