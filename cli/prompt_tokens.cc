#include "cli/prompt_tokens.h"

#include "engine/text/chat_template.h"

namespace mortar {
namespace {

std::string TextOf(const Tokenizer& tokenizer, Token token) {
  return token < 0 ? "" : std::string(tokenizer.Bytes(token, /*special=*/true));
}

absl::StatusOr<std::vector<Token>> EncodeWithBos(const Tokenizer& tokenizer,
                                                 const std::vector<TextPiece>& pieces) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenizer.Encode(pieces));
  // Templates may write the first token themselves.
  if (tokenizer.adds_bos() && (tokens.empty() || tokens.front() != tokenizer.bos())) {
    tokens.insert(tokens.begin(), tokenizer.bos());
  }
  return tokens;
}

}  // namespace

absl::StatusOr<std::vector<Token>> RawPromptTokens(const Tokenizer& tokenizer,
                                                   const std::string& prompt) {
  return EncodeWithBos(tokenizer, {{prompt, /*trusted=*/false}});
}

absl::StatusOr<std::vector<Token>> WholeTextTokens(const Tokenizer& tokenizer,
                                                   const std::string& text, bool trusted) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, EncodeWithBos(tokenizer, {{text, trusted}}));
  if (tokenizer.adds_eos()) tokens.push_back(tokenizer.eos());
  return tokens;
}

absl::StatusOr<std::vector<Token>> ChatPromptTokens(const GgufFile& file,
                                                    const Tokenizer& tokenizer,
                                                    const std::string& prompt,
                                                    const std::string& system) {
  absl::StatusOr<std::string> source = file.GetString("tokenizer.chat_template");
  if (absl::IsNotFound(source.status())) {
    return NotFound(file.path() + " has no chat template; continue the prompt with --raw");
  }
  RETURN_IF_ERROR(source.status());
  ASSIGN_OR_RETURN(const auto chat, ChatTemplate::Parse(*std::move(source)));
  std::vector<ChatMessage> messages;
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", prompt});
  ASSIGN_OR_RETURN(
      const std::vector<TextPiece> pieces,
      chat->Render(messages, /*add_generation_prompt=*/true, TextOf(tokenizer, tokenizer.bos()),
                   TextOf(tokenizer, tokenizer.eos())));
  return EncodeWithBos(tokenizer, pieces);
}

}  // namespace mortar
