// The subcommands. Each reads its settings, does its work and writes its result to the console.
#pragma once

#include "cli/console.h"
#include "cli/settings.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status.h"

namespace mortar {

// What a command is given. References outlive it.
struct CommandContext {
  const Settings& settings;
  const Environment& environment;
  Console& console;
  const Logger& log;
  const Clock& clock;
  Time started;  // the first moment in main
};

// Cancelled when a signal came or nobody reads the result; UsageError for flags that contradict
// each other.
absl::Status RunCommand(const CommandContext& context);
absl::Status EdgeCommand(const CommandContext& context);
absl::Status CoordinatorCommand(const CommandContext& context);
absl::Status WorkerCommand(const CommandContext& context);
// Returns after every rank has left; where this one fails, it ends the whole job and the process.
absl::Status ClusterCommand(const CommandContext& context);
absl::Status RelayCommand(const CommandContext& context);
absl::Status PlanCommand(const CommandContext& context);
absl::Status BenchCommand(const CommandContext& context);
absl::Status PerplexityCommand(const CommandContext& context);
absl::Status CompareCommand(const CommandContext& context);
absl::Status InspectCommand(const CommandContext& context);
absl::Status EmbedCommand(const CommandContext& context);
absl::Status TokenizeCommand(const CommandContext& context);
absl::Status KeysCommand(const CommandContext& context);
absl::Status VersionCommand(const CommandContext& context);
absl::Status CompletionCommand(const CommandContext& context);

}  // namespace mortar
