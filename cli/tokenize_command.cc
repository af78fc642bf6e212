// tokenize: the tokens of a text, one a line.
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "cli/prompt.h"
#include "cli/prompt_tokens.h"
#include "engine/text/tokenizer.h"

namespace mortar {

absl::Status TokenizeCommand(const CommandContext& context) {
  ASSIGN_OR_RETURN(const PromptText prompt, ReadPrompt(context.settings));
  ASSIGN_OR_RETURN(const auto file, OpenModel(context.settings, context.environment));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::FromGguf(*file));
  const bool special = context.settings.Bool("special");
  ASSIGN_OR_RETURN(const std::vector<Token> tokens,
                   WholeTextTokens(*tokenizer, prompt.text, special));

  TokenizeReport report;
  for (const Token token : tokens) {
    report.tokens.push_back({token, std::string(tokenizer->Bytes(token, /*special=*/true))});
  }
  if (context.settings.Bool("json")) return context.console.Write(ToJson(report));
  std::string text;
  for (const TokenPiece& piece : report.tokens) {
    text += std::to_string(piece.id) + "\t" + OneLine(piece.bytes) + "\n";
  }
  return context.console.Write(text);
}

}  // namespace mortar
