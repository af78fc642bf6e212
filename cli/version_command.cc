// version and completion: what the program says about itself.
#include <string>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/json_output.h"

namespace mortar {

absl::Status VersionCommand(const CommandContext& context) {
  const VersionReport report{.version = MORTAR_VERSION, .contract = "N1"};
  if (context.settings.Bool("json")) return context.console.Write(ToJson(report));
  return context.console.Write("mortar " + report.version + "\nnumeric contract " +
                               report.contract + "\n");
}

absl::Status CompletionCommand(const CommandContext& context) {
  return context.console.Write(CompletionScript(context.settings.String("shell")));
}

}  // namespace mortar
