#include "engine/hf/unigram_keys.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/hf/token_tables.h"
#include "engine/hf/unigram_pipeline.h"
#include "engine/text/limits.h"

namespace mortar {
namespace {

// Pairs of a piece and its score; the id of a piece is its place.
absl::Status ReadPieces(const Fields& model, TokenTables& tables, std::vector<double>& scores) {
  const Json* const list = model.Find("vocab");
  if (list == nullptr || !list->is_array()) return model.Wrong("vocab", "expected a list");
  ASSIGN_OR_RETURN(const bool has_bytes, model.BoolOr("byte_fallback", false));
  ASSIGN_OR_RETURN(const uint64_t unknown,
                   model.IntOr("unk_id", 0, kVocabularyTokensMax, kVocabularyTokensMax));
  for (size_t id = 0; id < list->size(); ++id) {
    const Json& item = (*list)[id];
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_number()) {
      return model.Wrong(
          "vocab", "entry " + std::to_string(id) + ": expected a list of a piece and its score");
    }
    const auto& text = item[0].get_ref<const std::string&>();
    TokenType type = TokenType::kNormal;
    if (has_bytes && IsByteToken(text)) type = TokenType::kByte;
    if (id == unknown) type = TokenType::kUnknown;
    RETURN_IF_ERROR(PutToken(model, id, text, type, tables));
    scores[id] = item[1].get<double>();
  }
  if (unknown < kVocabularyTokensMax && unknown >= list->size()) {
    return model.Wrong("unk_id", std::to_string(unknown) + ", expected less than the " +
                                     std::to_string(list->size()) + " pieces");
  }
  return absl::OkStatus();
}

void PutPipeline(UnigramPipeline pipeline, GgufMetadata& to) {
  std::vector<uint64_t> charsmap;
  charsmap.reserve(pipeline.charsmap.size());
  for (const char byte : pipeline.charsmap) charsmap.push_back(static_cast<uint8_t>(byte));
  to["tokenizer.ggml.precompiled_charsmap"] = GgufArray(std::move(charsmap));
  to["tokenizer.ggml.normalizer.steps"] = GgufArray(std::move(pipeline.steps));
  to["tokenizer.ggml.add_space_prefix"] = pipeline.adds_space;
  to["tokenizer.ggml.add_space_at_first"] = pipeline.adds_at_first;
  to["tokenizer.ggml.cut_words"] = pipeline.cuts_words;
}

}  // namespace

absl::Status AddUnigramKeys(const Fields& file, const Fields& model, uint64_t n_rows,
                            GgufMetadata& to) {
  ASSIGN_OR_RETURN(UnigramPipeline pipeline, ReadUnigramPipeline(file));
  ASSIGN_OR_RETURN(TokenTables tables, MakeTokenTables(model, n_rows));
  std::vector<double> scores(n_rows, 0);
  RETURN_IF_ERROR(ReadPieces(model, tables, scores));
  RETURN_IF_ERROR(ReadAddedTokens(file, tables));
  NameUnusedTokens(tables);
  for (size_t i = 0; i < tables.types.size(); ++i) {
    if (tables.types[i] != Number(TokenType::kUnknown)) continue;
    to["tokenizer.ggml.unknown_token_id"] = uint64_t{i};
  }
  PutPipeline(std::move(pipeline), to);
  to["tokenizer.ggml.model"] = std::string("t5");
  to["tokenizer.ggml.scores"] = GgufArray(std::move(scores));
  to[kTokensKey] = GgufArray(std::move(tables.tokens));
  to[kTypesKey] = GgufArray(std::move(tables.types));
  return absl::OkStatus();
}

}  // namespace mortar
