// edge: one answer through a coordinator and workers elsewhere; text, tokens and logits stay here.
#include "cli/answer.h"
#include "cli/edge_process.h"
#include "cli/node_keys.h"
#include "cli/node_process.h"

namespace mortar {

absl::Status EdgeCommand(const CommandContext& context) {
  EdgeProcessOptions options;
  RETURN_IF_ERROR(AllowManyLinks());
  ASSIGN_OR_RETURN(options.name, NodeName(context.settings));
  ZmqOptions& link = options.link;
  ASSIGN_OR_RETURN(link.upstreams, ReadCoordinators(context));
  if (context.settings.Has("relay")) {
    ASSIGN_OR_RETURN(link.relay, ReadEndpoint(context, "relay", EndpointUse::kDial));
  }
  link.direct = context.settings.Bool("direct");
  link.insecure = context.settings.Bool("insecure");
  RETURN_IF_ERROR(ReadNodeKeys(context, link));
  options.awake_max = AwakeMax(context.settings);
  ASSIGN_OR_RETURN(options.take_over, ReadTakeOver(context.settings));
  return AnswerPrompt(
      context, [&](const AnswerInput& in) -> absl::StatusOr<std::unique_ptr<AnsweringNodes>> {
        options.session = in.session;
        return EdgeProcess::Start(
            options, {in.model, *in.compute.kernels, *in.compute.pool, context.clock, context.log});
      });
}

}  // namespace mortar
