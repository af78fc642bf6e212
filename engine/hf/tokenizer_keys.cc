#include "engine/hf/tokenizer_keys.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "engine/gguf/reader.h"
#include "engine/hf/limits.h"
#include "engine/text/vocabulary.h"

namespace mortar {
namespace {

std::string Inside(const std::string& folder, const char* name) {
  return (std::filesystem::path(folder) / name).string();
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

std::optional<uint64_t> IdOf(std::string_view text, const GgufMetadata& to) {
  const auto& array = std::get<GgufArray>(to.at(kTokensKey));
  const auto& tokens = std::get<std::vector<std::string>>(array);
  const auto found = std::find(tokens.begin(), tokens.end(), text);
  if (found == tokens.end()) return std::nullopt;
  return static_cast<uint64_t>(found - tokens.begin());
}

// The text of a special token: as such, or as the content of an object.
absl::StatusOr<std::string> SpecialText(const Fields& settings, const std::string& name) {
  const Json* const value = settings.Find(name);
  if (value != nullptr && value->is_object()) {
    ASSIGN_OR_RETURN(const Fields token, settings.Object(name));
    return token.String("content");
  }
  return settings.StringOr(name, "");
}

// An id, or the first of a list of them; nothing when the file names none with a row.
std::optional<uint64_t> FirstId(const Fields& fields, const char* name, uint64_t n_rows) {
  const Json* value = fields.Find(name);
  if (value != nullptr && value->is_array() && !value->empty()) value = &(*value)[0];
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  const auto id = value->get<uint64_t>();
  return id < n_rows ? std::optional(id) : std::nullopt;
}

// The tokenizer's own settings say it first, then the model's.
absl::Status AddSpecialId(const TokenizerContext& context, const Fields* settings,
                          const Fields* generation, const std::string& name, GgufMetadata& to) {
  const std::string field = name + "_token_id";
  const std::string key = "tokenizer.ggml." + field;
  if (settings != nullptr) {
    ASSIGN_OR_RETURN(const std::string text, SpecialText(*settings, name + "_token"));
    if (!text.empty()) {
      const std::optional<uint64_t> id = IdOf(text, to);
      if (!id) return settings->Wrong(name + "_token", Quoted(text) + " is no token of the model");
      to[key] = *id;
      return absl::OkStatus();
    }
  }
  for (const Fields* const fields : {context.config, generation}) {
    if (fields == nullptr) continue;
    if (const auto id = FirstId(*fields, field.c_str(), context.n_rows)) {
      to[key] = *id;
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

// What the template of a post-processor puts around one text.
struct Around {
  std::string first;
  std::string last;
};

void ReadTemplate(const Json& processor, Around* around) {
  const auto single = processor.find("single");
  if (single == processor.end() || !single->is_array()) return;
  bool seen_text = false;
  for (const Json& item : *single) {
    if (!item.is_object()) continue;
    seen_text = seen_text || item.contains("Sequence");
    const auto special = item.find("SpecialToken");
    if (special == item.end() || !special->is_object() || !special->contains("id") ||
        !(*special)["id"].is_string()) {
      continue;
    }
    (seen_text ? around->last : around->first) = (*special)["id"].get_ref<const std::string&>();
  }
}

Around AroundText(const Json& tokenizer) {
  Around around;
  const auto processor = tokenizer.find("post_processor");
  if (processor == tokenizer.end() || !processor->is_object()) return around;
  ReadTemplate(*processor, &around);
  const auto several = processor->find("processors");
  if (several == processor->end() || !several->is_array()) return around;
  for (const Json& item : *several) {
    if (item.is_object()) ReadTemplate(item, &around);
  }
  return around;
}

// Whether texts begin with bos and end with eos: tokenizer_config.json where it says so, or else
// the post-processor.
absl::Status AddEnds(const Json& tokenizer, const Fields* settings, GgufMetadata& to) {
  const Around around = AroundText(tokenizer);
  const auto add = [&](const std::string& name, const std::string& text) -> absl::Status {
    const auto id = to.find("tokenizer.ggml." + name + "_token_id");
    bool adds = !text.empty() && id != to.end() && IdOf(text, to) == std::get<uint64_t>(id->second);
    if (settings != nullptr) {
      ASSIGN_OR_RETURN(adds, settings->BoolOr("add_" + name + "_token", adds));
    }
    to["tokenizer.ggml.add_" + name + "_token"] = adds && id != to.end();
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(add("bos", around.first));
  return add("eos", around.last);
}

// chat_template.jinja, or chat_template of tokenizer_config.json: a text, or a list of named ones.
absl::Status AddChatTemplate(const std::string& folder, const Fields* settings, GgufMetadata& to) {
  constexpr char kKey[] = "tokenizer.chat_template";
  const std::string file = Inside(folder, "chat_template.jinja");
  if (Exists(file)) {
    ASSIGN_OR_RETURN(to[kKey], ReadText(file, hf_limits::kConfigBytesMax));
    return absl::OkStatus();
  }
  const Json* const value = settings == nullptr ? nullptr : settings->Find("chat_template");
  if (value == nullptr) return absl::OkStatus();
  if (value->is_string()) {
    to[kKey] = value->get<std::string>();
    return absl::OkStatus();
  }
  if (!value->is_array()) return settings->Wrong("chat_template", "expected a string or a list");
  for (const Json& item : *value) {
    ASSIGN_OR_RETURN(const Fields named,
                     Fields::Of(item, settings->where() + ": field 'chat_template'"));
    ASSIGN_OR_RETURN(const std::string name, named.String("name"));
    if (std::string_view(name) != "default") continue;
    ASSIGN_OR_RETURN(to[kKey], named.String("template"));
  }
  return absl::OkStatus();
}

// An object of a file that may be absent.
absl::StatusOr<std::optional<Json>> OptionalObject(const std::string& path,
                                                   const JsonLimits& limits) {
  if (!Exists(path)) return std::nullopt;
  ASSIGN_OR_RETURN(Json json, ReadJsonFile(path, limits));
  RETURN_IF_ERROR(Fields::Of(json, path).status());
  return json;
}

}  // namespace

absl::Status AddTokenizerKeys(const TokenizerContext& context, GgufMetadata& to) {
  const std::string path = Inside(context.folder, "tokenizer.json");
  if (!Exists(path)) return NotFound(path + ": is missing; the vocabulary is read from it alone");
  ASSIGN_OR_RETURN(const Json tokenizer, ReadJsonFile(path, {hf_limits::kTokenizerBytesMax,
                                                             hf_limits::kTokenizerValuesMax}));
  RETURN_IF_ERROR(AddVocabularyKeys(tokenizer, path, context.n_rows, to));

  const std::string settings_path = Inside(context.folder, "tokenizer_config.json");
  ASSIGN_OR_RETURN(
      const std::optional<Json> settings_json,
      OptionalObject(settings_path, {hf_limits::kIndexBytesMax, hf_limits::kIndexValuesMax}));
  std::optional<Fields> settings;
  if (settings_json) settings = *Fields::Of(*settings_json, settings_path);
  const std::string generation_path = Inside(context.folder, "generation_config.json");
  ASSIGN_OR_RETURN(
      const std::optional<Json> generation_json,
      OptionalObject(generation_path, {hf_limits::kConfigBytesMax, hf_limits::kConfigValuesMax}));
  std::optional<Fields> generation;
  if (generation_json) generation = *Fields::Of(*generation_json, generation_path);

  const Fields* const said = settings ? &*settings : nullptr;
  const Fields* const generated = generation ? &*generation : nullptr;
  RETURN_IF_ERROR(AddSpecialId(context, said, generated, "bos", to));
  RETURN_IF_ERROR(AddSpecialId(context, said, generated, "eos", to));
  RETURN_IF_ERROR(AddEnds(tokenizer, said, to));
  return AddChatTemplate(context.folder, said, to);
}

}  // namespace mortar
