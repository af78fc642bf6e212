// run: one answer, through edge, coordinator and workers in this process.
#include "cli/answer.h"
#include "cli/embedded.h"

namespace mortar {

absl::Status RunCommand(const CommandContext& context) {
  return AnswerPrompt(
      context, [&](const AnswerInput& in) -> absl::StatusOr<std::unique_ptr<AnsweringNodes>> {
        ASSIGN_OR_RETURN(const EmbeddedOptions options,
                         ReadEmbeddedOptions(context.settings, in.model.config));
        return Embedded::Start(
            options, {in.model, *in.compute.kernels, *in.compute.pool, context.clock, context.log});
      });
}

}  // namespace mortar
