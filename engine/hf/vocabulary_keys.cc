// The vocabulary of a tokenizer.json; of a BPE, in full.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/hf/pipeline.h"
#include "engine/hf/token_tables.h"
#include "engine/hf/tokenizer_keys.h"
#include "engine/hf/unigram_keys.h"
#include "engine/text/limits.h"
#include "engine/text/vocabulary.h"

namespace mortar {
namespace {

using Merges = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<TokenTables> ReadTokens(const Fields& model, uint64_t n_rows) {
  ASSIGN_OR_RETURN(TokenTables tables, MakeTokenTables(model, n_rows));
  RETURN_IF_ERROR(model.Object("vocab").status());
  ASSIGN_OR_RETURN(const bool has_bytes, model.BoolOr("byte_fallback", false));
  ASSIGN_OR_RETURN(const std::string unknown, model.StringOr("unk_token", ""));
  for (const auto& [text, id] : model.Find("vocab")->items()) {
    if (!id.is_number_unsigned()) {
      return model.Wrong("vocab", "token " + Quoted(text) + ": expected an id below the " +
                                      std::to_string(n_rows) + " rows of the embedding, found " +
                                      (id.is_number() ? id.dump() : KindOf(id)));
    }
    TokenType type = TokenType::kNormal;
    if (has_bytes && IsByteToken(text)) type = TokenType::kByte;
    if (has_bytes && !unknown.empty() && text == unknown) type = TokenType::kUnknown;
    RETURN_IF_ERROR(PutToken(model, id.get<uint64_t>(), text, type, tables));
  }
  return tables;
}

// "left right" in older files, ["left", "right"] in newer ones.
absl::StatusOr<Merges> ReadMerges(const Fields& model) {
  const Json* const list = model.Find("merges");
  if (list == nullptr || !list->is_array()) return model.Wrong("merges", "expected a list");
  Merges merges;
  merges.reserve(list->size());
  for (const Json& item : *list) {
    if (item.is_string()) {
      const auto& text = item.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != std::string::npos) {
        merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      merges.emplace_back(item[0].get_ref<const std::string&>(),
                          item[1].get_ref<const std::string&>());
      continue;
    }
    return model.Wrong("merges", "entry " + std::to_string(merges.size()) +
                                     ": expected two tokens, as a list or with a space between");
  }
  return merges;
}

void PutByteLevel(const Merges& pairs, const std::string& pre, GgufMetadata& to) {
  std::vector<std::string> merges;
  merges.reserve(pairs.size());
  for (const auto& [left, right] : pairs) merges.push_back(left + " " + right);
  to["tokenizer.ggml.model"] = std::string("gpt2");
  to["tokenizer.ggml.pre"] = pre;
  to["tokenizer.ggml.merges"] = GgufArray(std::move(merges));
}

// SentencePiece merges the pair whose result has the best score; the list of merges has the results
// from the best on. So the score of a token is how many results come before it, negated. A pair
// that makes a token without being in the list would merge all the same: such a list was trained
// by another program, and its tokens would differ.
absl::Status PutScores(const Fields& model, const TokenTables& tables, const Merges& merges,
                       GgufMetadata& to) {
  std::map<std::string_view, size_t> normal;
  for (size_t i = 0; i < tables.tokens.size(); ++i) {
    if (tables.types[i] == Number(TokenType::kNormal)) normal.emplace(tables.tokens[i], i);
  }
  std::vector<double> scores(tables.tokens.size(), 0);
  std::set<std::pair<std::string_view, std::string_view>> pairs;
  double next = 0;
  for (const auto& [left, right] : merges) {
    pairs.emplace(left, right);
    const auto result = normal.find(left + right);
    if (result == normal.end()) {
      return model.Wrong(
          "merges", "the pair " + Quoted(left) + ", " + Quoted(right) + " makes what is no token");
    }
    if (scores[result->second] == 0) scores[result->second] = --next;
  }
  for (const auto& [text, at] : normal) {
    if (scores[at] == 0) scores[at] = next - 1;  // no pair makes it
    for (size_t cut = 1; cut < std::min(text.size(), kScoredTokenBytesMax); ++cut) {
      const std::string_view left = text.substr(0, cut);
      const std::string_view right = text.substr(cut);
      if (!normal.contains(left) || !normal.contains(right) || pairs.contains({left, right})) {
        continue;
      }
      return model.NotKnown("merges", "the pair " + Quoted(left) + ", " + Quoted(right) +
                                          " makes a token and is not in the list: these are no "
                                          "merges of SentencePiece");
    }
  }
  to["tokenizer.ggml.scores"] = GgufArray(std::move(scores));
  return absl::OkStatus();
}

// User-defined tokens stand in plain text, where a space is a space.
std::string WithSpaces(std::string_view text) {
  constexpr std::string_view kMark = "\u2581";
  std::string plain;
  for (size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark)) {
    plain.append(text.substr(0, at)).append(" ");
    text.remove_prefix(at + kMark.size());
  }
  return plain.append(text);
}

absl::Status PutSentencePiece(const Fields& model, bool adds_space, const Merges& merges,
                              TokenTables& tables, GgufMetadata& to) {
  RETURN_IF_ERROR(PutScores(model, tables, merges, to));
  for (size_t i = 0; i < tables.tokens.size(); ++i) {
    if (tables.types[i] == Number(TokenType::kUserDefined)) {
      tables.tokens[i] = WithSpaces(tables.tokens[i]);
    } else if (tables.types[i] == Number(TokenType::kUnknown)) {
      to["tokenizer.ggml.unknown_token_id"] = uint64_t{i};
    }
  }
  to["tokenizer.ggml.model"] = std::string("llama");
  to["tokenizer.ggml.add_space_prefix"] = adds_space;
  return absl::OkStatus();
}

}  // namespace

absl::Status AddVocabularyKeys(const Json& tokenizer, const std::string& path, uint64_t n_rows,
                               GgufMetadata& to) {
  ASSIGN_OR_RETURN(const Fields file, Fields::Of(tokenizer, path));
  ASSIGN_OR_RETURN(const Fields model, file.Object("model"));
  ASSIGN_OR_RETURN(const std::string type, model.StringOr("type", "BPE"));
  if (std::string_view(type) == "Unigram") return AddUnigramKeys(file, model, n_rows, to);
  if (std::string_view(type) != "BPE") {
    return model.NotKnown("type", Quoted(type) + " is not read; known are BPE and Unigram");
  }
  ASSIGN_OR_RETURN(const Pipeline pipeline, ReadPipeline(file, model));
  ASSIGN_OR_RETURN(TokenTables tables, ReadTokens(model, n_rows));
  RETURN_IF_ERROR(ReadAddedTokens(file, tables));
  NameUnusedTokens(tables);
  ASSIGN_OR_RETURN(const Merges merges, ReadMerges(model));
  if (pipeline.byte_level) {
    PutByteLevel(merges, pipeline.pre_tokenizer, to);
  } else {
    RETURN_IF_ERROR(PutSentencePiece(model, pipeline.adds_space, merges, tables, to));
  }
  to[kTokensKey] = GgufArray(std::move(tables.tokens));
  to[kTypesKey] = GgufArray(std::move(tables.types));
  return absl::OkStatus();
}

}  // namespace mortar
