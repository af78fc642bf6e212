// One prompt, one answer: what `run` and `edge -p` share, from flags to figures.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/hosted_model.h"
#include "cli/model.h"
#include "cli/node_parts.h"

namespace mortar {

// What an answer is made of, in the order in which it is made.
struct AnswerInput {
  HostedModel model;
  SessionOptions session;
  std::vector<Token> prompt;
  Compute compute;
};

using StartNodes =
    std::function<absl::StatusOr<std::unique_ptr<AnsweringNodes>>(const AnswerInput& input)>;

// Reads the flags, starts the nodes, generates, and shows the answer as --json, --stream and the
// terminal want it.
absl::Status AnswerPrompt(const CommandContext& context, const StartNodes& start);

}  // namespace mortar
