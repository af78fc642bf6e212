// The one place where the tokenizers know GGUF's keys and their types.
#include "engine/gguf/reader.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/sentencepiece_tokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace mortar {
namespace {

using Made = absl::StatusOr<std::unique_ptr<Tokenizer>>;

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

// What each kind of tokenizer reads: tokens, types and special ids. The lists outlive the use of
// `vocabulary`, which views them.
absl::Status ReadTokens(const GgufFile& file, std::vector<int32_t>* types, Vocabulary* vocabulary) {
  ASSIGN_OR_RETURN(const std::vector<std::string>* tokens, file.GetStrings(kTokensKey));
  ASSIGN_OR_RETURN(*types, file.GetInts(kTypesKey));
  vocabulary->tokens = *tokens;
  vocabulary->types = *types;
  ASSIGN_OR_RETURN(vocabulary->bos, OptionalToken(file, "tokenizer.ggml.bos_token_id"));
  ASSIGN_OR_RETURN(vocabulary->eos, OptionalToken(file, "tokenizer.ggml.eos_token_id"));
  ASSIGN_OR_RETURN(vocabulary->unknown, OptionalToken(file, "tokenizer.ggml.unknown_token_id"));
  ASSIGN_OR_RETURN(vocabulary->adds_eos,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_eos_token"), false));
  return absl::OkStatus();
}

Made BpeFromGguf(const GgufFile& file) {
  Vocabulary vocabulary;
  std::vector<int32_t> types;
  RETURN_IF_ERROR(ReadTokens(file, &types, &vocabulary));
  ASSIGN_OR_RETURN(const std::vector<std::string>* merges,
                   file.GetStrings("tokenizer.ggml.merges"));
  vocabulary.merges = *merges;
  ASSIGN_OR_RETURN(vocabulary.pre_tokenizer, file.GetString("tokenizer.ggml.pre"));
  // Older Llama 3 files lack the key; their tokenizer begins every text with its bos.
  const bool adds_by_default = vocabulary.pre_tokenizer == "llama-bpe";
  ASSIGN_OR_RETURN(vocabulary.adds_bos,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_bos_token"), adds_by_default));
  return MakeBpeTokenizer(vocabulary);
}

Made SentencePieceFromGguf(const GgufFile& file) {
  Vocabulary vocabulary;
  std::vector<int32_t> types;
  RETURN_IF_ERROR(ReadTokens(file, &types, &vocabulary));
  ASSIGN_OR_RETURN(const std::vector<float> scores, file.GetFloats("tokenizer.ggml.scores"));
  vocabulary.scores = scores;
  // The two keys came later than the format; before them, every such model was a Llama.
  ASSIGN_OR_RETURN(vocabulary.adds_bos, Optional<bool>(file.GetBool("tokenizer.ggml.add_bos_token"),
                                                       vocabulary.bos >= 0));
  ASSIGN_OR_RETURN(vocabulary.adds_space,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_space_prefix"), true));
  // Phi-3's special tokens take the white space behind them; no key of the format says so.
  ASSIGN_OR_RETURN(const std::string architecture,
                   Optional<std::string>(file.GetString("general.architecture"), std::string()));
  vocabulary.specials_take_space = std::string_view(architecture) == "phi3";
  return MakeSentencePieceTokenizer(vocabulary);
}

struct Kind {
  const char* model;  // the value of tokenizer.ggml.model
  const char* about;
  Made (*make)(const GgufFile& file);
};
constexpr Kind kKinds[] = {
    {"gpt2", "byte-level BPE", BpeFromGguf},
    {"llama", "SentencePiece", SentencePieceFromGguf},
};

}  // namespace

Made Tokenizer::FromGguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string model, file.GetString("tokenizer.ggml.model"));
  std::string known;
  for (const Kind& kind : kKinds) {
    if (std::string_view(model) == kind.model) return kind.make(file);
    known += (known.empty() ? "" : ", ") + std::string(kind.model) + " (" + kind.about + ")";
  }
  return Unimplemented("tokenizer.ggml.model is " + Quoted(model) + "; known are " + known);
}

}  // namespace mortar
