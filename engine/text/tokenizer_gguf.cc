// The one place where the tokenizers know GGUF's keys and their types.
#include <algorithm>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/sentencepiece_tokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/unigram_tokenizer.h"
#include "engine/text/vocabulary.h"
#include "engine/text/wordpiece_tokenizer.h"

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

// `*token`, when it is none: what another key names, or else the token of this text.
absl::Status OrElse(const GgufFile& file, std::string_view key, std::string_view text,
                    const Vocabulary& vocabulary, Token* token) {
  if (*token >= 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(*token, OptionalToken(file, key));
  const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), text);
  if (*token < 0 && found != vocabulary.tokens.end()) {
    *token = static_cast<Token>(found - vocabulary.tokens.begin());
  }
  return absl::OkStatus();
}

Made WordPieceFromGguf(const GgufFile& file) {
  Vocabulary vocabulary;
  std::vector<int32_t> types;
  RETURN_IF_ERROR(ReadTokens(file, &types, &vocabulary));
  RETURN_IF_ERROR(
      OrElse(file, "tokenizer.ggml.cls_token_id", "[CLS]", vocabulary, &vocabulary.bos));
  // The key is misspelled in the format.
  RETURN_IF_ERROR(
      OrElse(file, "tokenizer.ggml.seperator_token_id", "[SEP]", vocabulary, &vocabulary.eos));
  RETURN_IF_ERROR(
      OrElse(file, "tokenizer.ggml.unknown_token_id", "[UNK]", vocabulary, &vocabulary.unknown));
  ASSIGN_OR_RETURN(vocabulary.adds_bos, Optional<bool>(file.GetBool("tokenizer.ggml.add_bos_token"),
                                                       vocabulary.bos >= 0));
  ASSIGN_OR_RETURN(vocabulary.adds_eos, Optional<bool>(file.GetBool("tokenizer.ggml.add_eos_token"),
                                                       vocabulary.eos >= 0));
  ASSIGN_OR_RETURN(const bool lowers,
                   Optional<bool>(file.GetBool("tokenizer.ggml.normalizer.lowercase"), true));
  ASSIGN_OR_RETURN(const bool strips,
                   Optional<bool>(file.GetBool("tokenizer.ggml.normalizer.strip_accents"), lowers));
  return MakeWordPieceTokenizer(vocabulary, lowers, strips);
}

// The bytes of a list of small integers; the format's writers disagree about their sign.
absl::StatusOr<std::string> OptionalBytes(const GgufFile& file, const char* key) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> values,
                   Optional<std::vector<int32_t>>(file.GetInts(key), {}));
  std::string bytes;
  bytes.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < -128 || values[i] > 255) {
      return InvalidArgument(At(key, i) + " is " + std::to_string(values[i]) + ", expected a byte");
    }
    bytes.push_back(static_cast<char>(values[i]));
  }
  return bytes;
}

absl::StatusOr<UnigramRules> ReadUnigramRules(const GgufFile& file) {
  UnigramRules rules;
  ASSIGN_OR_RETURN(rules.charsmap, OptionalBytes(file, "tokenizer.ggml.precompiled_charsmap"));
  ASSIGN_OR_RETURN(rules.adds_space,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_space_prefix"), false));
  ASSIGN_OR_RETURN(rules.removes_extra_spaces,
                   Optional<bool>(file.GetBool("tokenizer.ggml.remove_extra_whitespaces"), false));
  // This engine's own keys: what a tokenizer.json does where that differs.
  const auto steps = file.GetStrings("tokenizer.ggml.normalizer.steps");
  if (!steps.ok() && steps.status().code() == absl::StatusCode::kNotFound) return rules;
  RETURN_IF_ERROR(steps.status());
  rules.steps = **steps;
  rules.has_steps = true;
  ASSIGN_OR_RETURN(rules.adds_at_first,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_space_at_first"), false));
  ASSIGN_OR_RETURN(rules.cuts_words,
                   Optional<bool>(file.GetBool("tokenizer.ggml.cut_words"), false));
  return rules;
}

Made UnigramFromGguf(const GgufFile& file) {
  Vocabulary vocabulary;
  std::vector<int32_t> types;
  RETURN_IF_ERROR(ReadTokens(file, &types, &vocabulary));
  ASSIGN_OR_RETURN(const std::vector<float> scores, file.GetFloats("tokenizer.ggml.scores"));
  vocabulary.scores = scores;
  RETURN_IF_ERROR(
      OrElse(file, "tokenizer.ggml.seperator_token_id", "</s>", vocabulary, &vocabulary.eos));
  ASSIGN_OR_RETURN(vocabulary.adds_bos,
                   Optional<bool>(file.GetBool("tokenizer.ggml.add_bos_token"), false));
  // A T5 reads texts with an end.
  ASSIGN_OR_RETURN(vocabulary.adds_eos, Optional<bool>(file.GetBool("tokenizer.ggml.add_eos_token"),
                                                       vocabulary.eos >= 0));
  ASSIGN_OR_RETURN(UnigramRules rules, ReadUnigramRules(file));
  return MakeUnigramTokenizer(vocabulary, std::move(rules));
}

struct Kind {
  const char* model;  // the value of tokenizer.ggml.model
  const char* about;
  Made (*make)(const GgufFile& file);
};
constexpr Kind kKinds[] = {
    {"gpt2", "byte-level BPE", BpeFromGguf},
    {"llama", "SentencePiece", SentencePieceFromGguf},
    {"bert", "WordPiece", WordPieceFromGguf},
    {"t5", "Unigram", UnigramFromGguf},
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
