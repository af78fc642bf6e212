// The vocabulary of a tokenizer.json.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/hf/pipeline.h"
#include "engine/hf/tokenizer_keys.h"
#include "engine/text/limits.h"
#include "engine/text/vocabulary.h"

namespace mortar {
namespace {

int64_t Number(TokenType type) { return static_cast<int64_t>(type); }

// Tokens by their id, and the pairs that merge.
struct Tables {
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<std::pair<std::string, std::string>> merges;
};

bool IsByteToken(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
}

absl::Status ReadTokens(const Fields& model, uint64_t n_rows, Tables& tables) {
  if (n_rows == 0 || n_rows > kVocabularyTokensMax) {
    return model.Wrong("vocab", "an embedding of " + std::to_string(n_rows) +
                                    " rows, expected 1 to " + std::to_string(kVocabularyTokensMax));
  }
  RETURN_IF_ERROR(model.Object("vocab").status());
  tables.tokens.resize(n_rows);
  tables.types.assign(n_rows, Number(TokenType::kUnused));
  ASSIGN_OR_RETURN(const bool has_bytes, model.BoolOr("byte_fallback", false));
  ASSIGN_OR_RETURN(const std::string unknown, model.StringOr("unk_token", ""));
  for (const auto& [text, id] : model.Find("vocab")->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= n_rows) {
      return model.Wrong("vocab", "token " + Quoted(text) + ": expected an id below the " +
                                      std::to_string(n_rows) + " rows of the embedding, found " +
                                      (id.is_number() ? id.dump() : KindOf(id)));
    }
    const auto at = id.get<uint64_t>();
    if (tables.types[at] != Number(TokenType::kUnused)) {
      return model.Wrong("vocab", "id " + std::to_string(at) + " is that of two tokens");
    }
    tables.tokens[at] = text;
    tables.types[at] = Number(TokenType::kNormal);
    if (has_bytes && IsByteToken(text)) tables.types[at] = Number(TokenType::kByte);
    if (has_bytes && !unknown.empty() && text == unknown) {
      tables.types[at] = Number(TokenType::kUnknown);
    }
  }
  return absl::OkStatus();
}

// Added tokens: special ones are control tokens, the others pieces of ordinary text.
absl::Status ReadAddedTokens(const Fields& file, uint64_t n_rows, Tables& tables) {
  const Json* const list = file.Find("added_tokens");
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array()) return file.Wrong("added_tokens", "expected a list");
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN(const Fields token, Fields::Of(item, file.where() + ": added token"));
    ASSIGN_OR_RETURN(const uint64_t id, token.Int("id", 0, kVocabularyTokensMax));
    ASSIGN_OR_RETURN(const std::string text, token.String("content"));
    ASSIGN_OR_RETURN(const bool special, token.BoolOr("special", false));
    if (id >= n_rows) continue;  // the model can neither read it nor say it
    if (tables.types[id] == Number(TokenType::kUnknown)) continue;
    tables.tokens[id] = text;
    tables.types[id] = Number(special ? TokenType::kControl : TokenType::kUserDefined);
  }
  return absl::OkStatus();
}

void NameUnusedTokens(Tables& tables) {
  for (size_t i = 0; i < tables.tokens.size(); ++i) {
    if (tables.types[i] != Number(TokenType::kUnused)) continue;
    tables.tokens[i] = "[PAD" + std::to_string(i) + "]";
  }
}

// "left right" in older files, ["left", "right"] in newer ones.
absl::Status ReadMerges(const Fields& model, Tables& tables) {
  const Json* const list = model.Find("merges");
  if (list == nullptr || !list->is_array()) return model.Wrong("merges", "expected a list");
  tables.merges.reserve(list->size());
  for (const Json& item : *list) {
    if (item.is_string()) {
      const auto& text = item.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space != std::string::npos) {
        tables.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
        continue;
      }
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      tables.merges.emplace_back(item[0].get_ref<const std::string&>(),
                                 item[1].get_ref<const std::string&>());
      continue;
    }
    return model.Wrong("merges", "entry " + std::to_string(tables.merges.size()) +
                                     ": expected two tokens, as a list or with a space between");
  }
  return absl::OkStatus();
}

void PutByteLevel(const Tables& tables, const std::string& pre, GgufMetadata& to) {
  std::vector<std::string> merges;
  merges.reserve(tables.merges.size());
  for (const auto& [left, right] : tables.merges) merges.push_back(left + " " + right);
  to["tokenizer.ggml.model"] = std::string("gpt2");
  to["tokenizer.ggml.pre"] = pre;
  to["tokenizer.ggml.merges"] = GgufArray(std::move(merges));
}

// SentencePiece merges the pair whose result has the best score; the list of merges has the results
// from the best on. So the score of a token is how many results come before it, negated. A pair
// that makes a token without being in the list would merge all the same: such a list was trained
// by another program, and its tokens would differ.
absl::Status PutScores(const Fields& model, const Tables& tables, GgufMetadata& to) {
  std::map<std::string_view, size_t> normal;
  for (size_t i = 0; i < tables.tokens.size(); ++i) {
    if (tables.types[i] == Number(TokenType::kNormal)) normal.emplace(tables.tokens[i], i);
  }
  std::vector<double> scores(tables.tokens.size(), 0);
  std::set<std::pair<std::string_view, std::string_view>> pairs;
  double next = 0;
  for (const auto& [left, right] : tables.merges) {
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

absl::Status PutSentencePiece(const Fields& model, bool adds_space, Tables& tables,
                              GgufMetadata& to) {
  RETURN_IF_ERROR(PutScores(model, tables, to));
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
  if (std::string_view(type) != "BPE") {
    return model.NotKnown("type", Quoted(type) + " is not read; known is BPE");
  }
  ASSIGN_OR_RETURN(const Pipeline pipeline, ReadPipeline(file, model));
  Tables tables;
  RETURN_IF_ERROR(ReadTokens(model, n_rows, tables));
  RETURN_IF_ERROR(ReadAddedTokens(file, n_rows, tables));
  NameUnusedTokens(tables);
  RETURN_IF_ERROR(ReadMerges(model, tables));
  if (pipeline.byte_level) {
    PutByteLevel(tables, pipeline.pre_tokenizer, to);
  } else {
    RETURN_IF_ERROR(PutSentencePiece(model, pipeline.adds_space, tables, to));
  }
  to[kTokensKey] = GgufArray(std::move(tables.tokens));
  to[kTypesKey] = GgufArray(std::move(tables.types));
  return absl::OkStatus();
}

}  // namespace mortar
