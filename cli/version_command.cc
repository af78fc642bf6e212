// version and completion: what the program says about itself.
#include <string>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/json_output.h"
#include "engine/kernels/kernels.h"
#include "protocol/limits.h"

namespace mortar {

absl::Status VersionCommand(const CommandContext& context) {
  ASSIGN_OR_RETURN(const KernelTable* kernels, SelectKernels(""));
  const VersionReport report{
      .version = MORTAR_VERSION, .contract = kNumericContract, .isa = kernels->name};
  if (context.settings.Bool("json")) return context.console.Write(ToJson(report));
  return context.console.Write("mortar " + report.version + "\nnumeric contract " +
                               report.contract + "\nkernels " + report.isa + "\n");
}

absl::Status CompletionCommand(const CommandContext& context) {
  return context.console.Write(CompletionScript(context.settings.String("shell")));
}

}  // namespace mortar
