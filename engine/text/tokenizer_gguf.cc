// The one place where the tokenizer knows GGUF's keys and their types.
#include "engine/gguf/reader.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/tokenizer.h"

namespace mortar {
namespace {

// `value` when the key stands in the file, `absent` when not; other errors stay errors.
template <typename T>
absl::StatusOr<T> Optional(absl::StatusOr<T> value, T absent) {
  if (!value.ok() && value.status().code() == absl::StatusCode::kNotFound) return absent;
  return value;
}

absl::StatusOr<Token> OptionalToken(const GgufFile& file, std::string_view key) {
  ASSIGN_OR_RETURN(const uint32_t id, Optional<uint32_t>(file.GetUint32(key), UINT32_MAX));
  if (id == UINT32_MAX) return -1;
  if (id > INT32_MAX) {
    return InvalidArgument(std::string(key) + " is " + std::to_string(id) +
                           ", expected less than 2147483648");
  }
  return static_cast<Token>(id);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string model, file.GetString("tokenizer.ggml.model"));
  if (std::string_view(model) != "gpt2") {
    return Unimplemented("tokenizer.ggml.model is " + Quoted(model) +
                         "; known is gpt2 (byte-level BPE)");
  }
  Vocabulary vocabulary;
  ASSIGN_OR_RETURN(const std::vector<std::string>* tokens,
                   file.GetStrings("tokenizer.ggml.tokens"));
  ASSIGN_OR_RETURN(const std::vector<int32_t> types, file.GetInts("tokenizer.ggml.token_type"));
  ASSIGN_OR_RETURN(const std::vector<std::string>* merges,
                   file.GetStrings("tokenizer.ggml.merges"));
  vocabulary.tokens = *tokens;
  vocabulary.types = types;
  vocabulary.merges = *merges;
  ASSIGN_OR_RETURN(vocabulary.pre_tokenizer, file.GetString("tokenizer.ggml.pre"));
  ASSIGN_OR_RETURN(vocabulary.bos, OptionalToken(file, "tokenizer.ggml.bos_token_id"));
  ASSIGN_OR_RETURN(vocabulary.eos, OptionalToken(file, "tokenizer.ggml.eos_token_id"));
  // Older Llama 3 files lack the key; their tokenizer begins every text with its bos.
  const bool adds_by_default = vocabulary.pre_tokenizer == "llama-bpe";
  ASSIGN_OR_RETURN(vocabulary.adds_bos,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_bos_token"), adds_by_default));
  return MakeBpeTokenizer(vocabulary);
}

}  // namespace mortar
