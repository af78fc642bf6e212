#include "cli/prompt_tokens.h"

#include "engine/text/chat_template.h"

namespace mortar {
namespace {

std::string TextOf(const Tokenizer& tokenizer, Token token) {
  return token < 0 ? "" : std::string(tokenizer.Bytes(token, /*special=*/true));
}

// The id that a key of the file names, -1 where there is none.
absl::StatusOr<Token> OptionalToken(const GgufFile& file, const Tokenizer& tokenizer,
                                    const std::string& key) {
  const absl::StatusOr<uint32_t> id = file.GetUint32(key);
  if (absl::IsNotFound(id.status())) return -1;
  RETURN_IF_ERROR(id.status());
  if (*id >= static_cast<uint32_t>(tokenizer.n_vocab())) {
    return InvalidArgument(file.path() + ": " + key + " is " + std::to_string(*id) +
                           ", beyond the vocabulary");
  }
  return static_cast<Token>(*id);
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
  ASSIGN_OR_RETURN(const Token eos, OptionalToken(file, tokenizer, "tokenizer.ggml.eos_token_id"));
  std::vector<ChatMessage> messages;
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", prompt});
  ASSIGN_OR_RETURN(const std::vector<TextPiece> pieces,
                   chat->Render(messages, /*add_generation_prompt=*/true,
                                TextOf(tokenizer, tokenizer.bos()), TextOf(tokenizer, eos)));
  return EncodeWithBos(tokenizer, pieces);
}

}  // namespace mortar
