#include "engine/hf/pipeline.h"

#include <utility>
#include <vector>

#include "engine/gguf/reader.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/space_mark.h"

namespace mortar {
namespace {

// What the step ByteLevel cuts by, and the step Digits.
constexpr char kByteLevelPattern[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kDigitPattern[] = R"(\p{N})";

absl::StatusOr<bool> HasStep(const std::vector<Fields>& steps, std::string_view wanted) {
  for (const Fields& step : steps) {
    ASSIGN_OR_RETURN(const std::string type, step.String("type"));
    if (type == wanted) return true;
  }
  return false;
}

// The regular expression of a step that cuts at its matches and keeps them.
absl::StatusOr<std::string> SplitPattern(const Fields& step) {
  ASSIGN_OR_RETURN(const Fields pattern, step.Object("pattern"));
  ASSIGN_OR_RETURN(std::string regex, pattern.String("Regex"));
  ASSIGN_OR_RETURN(const std::string behaviour, step.String("behavior"));
  ASSIGN_OR_RETURN(const bool inverts, step.BoolOr("invert", false));
  if (std::string_view(behaviour) != "Isolated" || inverts) {
    return step.NotKnown("behavior", Quoted(behaviour) + (inverts ? ", inverted," : "") +
                                         " is not computed; known is Isolated");
  }
  return regex;
}

// Appends what the step cuts by.
absl::Status AddPatterns(const Fields& step, std::vector<std::string>* patterns) {
  ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  const std::string_view view = type;
  if (view == "Split") {
    ASSIGN_OR_RETURN(std::string pattern, SplitPattern(step));
    patterns->push_back(std::move(pattern));
    return absl::OkStatus();
  }
  if (view == "Digits") {
    ASSIGN_OR_RETURN(const bool single, step.BoolOr("individual_digits", false));
    if (!single) return step.NotKnown("individual_digits", "false is not computed");
    patterns->push_back(kDigitPattern);
    return absl::OkStatus();
  }
  if (view == "ByteLevel") {
    ASSIGN_OR_RETURN(const bool adds_space, step.BoolOr("add_prefix_space", true));
    if (adds_space) return step.NotKnown("add_prefix_space", "true is not computed");
    ASSIGN_OR_RETURN(const bool cuts, step.BoolOr("use_regex", true));
    if (cuts) patterns->push_back(kByteLevelPattern);
    return absl::OkStatus();
  }
  return step.NotKnown("type",
                       Quoted(type) + " is not computed; known are Split, Digits and ByteLevel");
}

absl::StatusOr<Pipeline> ByteLevel(const Fields& model, const std::vector<Fields>& normalizers,
                                   const std::vector<Fields>& cutters) {
  bool composes = false;
  for (const Fields& step : normalizers) {
    ASSIGN_OR_RETURN(const std::string type, step.String("type"));
    if (std::string_view(type) != "NFC") {
      return step.NotKnown("type", Quoted(type) + " is not computed; known is NFC");
    }
    composes = true;
  }
  std::vector<std::string> patterns;
  for (const Fields& step : cutters) RETURN_IF_ERROR(AddPatterns(step, &patterns));
  ASSIGN_OR_RETURN(const bool whole, model.BoolOr("ignore_merges", false));
  Pipeline pipeline;
  pipeline.byte_level = true;
  auto name = PreTokenizer::NameOf(patterns, composes, whole);
  if (!name.ok()) return WithContext(name.status(), model.where());
  pipeline.pre_tokenizer = std::move(name).value();
  return pipeline;
}

// A space becomes a mark, and one more mark may stand in front: by two normalisers, or by the one
// pre-tokenizer Metaspace.
absl::StatusOr<Pipeline> SentencePiece(const std::vector<Fields>& normalizers,
                                       const std::vector<Fields>& cutters) {
  Pipeline pipeline;
  for (const Fields& step : normalizers) {
    ASSIGN_OR_RETURN(const std::string type, step.String("type"));
    const bool prepends = std::string_view(type) == "Prepend";
    if (!prepends && std::string_view(type) != "Replace") {
      return step.NotKnown("type",
                           Quoted(type) + " is not computed; known are Prepend and Replace");
    }
    const char* const field = prepends ? "prepend" : "content";
    ASSIGN_OR_RETURN(const std::string mark, step.String(field));
    if (std::string_view(mark) != kSpaceMark) {
      return step.NotKnown(field, Quoted(mark) + " is not computed; known is U+2581");
    }
    if (!prepends) {
      ASSIGN_OR_RETURN(const Fields pattern, step.Object("pattern"));
      ASSIGN_OR_RETURN(const std::string what, pattern.String("String"));
      if (std::string_view(what) != " ") return pattern.NotKnown("String", "known is one space");
    }
    pipeline.adds_space = pipeline.adds_space || prepends;
  }
  for (const Fields& step : cutters) {
    ASSIGN_OR_RETURN(const std::string type, step.String("type"));
    if (std::string_view(type) == "Split") {
      // Gemma's: at spaces, of which its normaliser has left none.
      ASSIGN_OR_RETURN(const Fields pattern, step.Object("pattern"));
      ASSIGN_OR_RETURN(const std::string what, pattern.String("String"));
      if (std::string_view(what) == " " && !normalizers.empty()) continue;
      return pattern.NotKnown("String", "known is one space, behind a normaliser");
    }
    if (std::string_view(type) != "Metaspace") {
      return step.NotKnown("type", Quoted(type) + " is not computed; known is Metaspace");
    }
    ASSIGN_OR_RETURN(const std::string scheme, step.StringOr("prepend_scheme", "always"));
    ASSIGN_OR_RETURN(const bool cuts, step.BoolOr("split", true));
    if (cuts) return step.NotKnown("split", "true is not computed");
    pipeline.adds_space = std::string_view(scheme) != "never";
  }
  return pipeline;
}

}  // namespace

absl::StatusOr<std::vector<Fields>> StepsOf(const Fields& file, const char* name,
                                            const char* list_name) {
  std::vector<Fields> steps;
  if (!file.Has(name)) return steps;
  ASSIGN_OR_RETURN(const Fields outer, file.Object(name));
  ASSIGN_OR_RETURN(const std::string type, outer.String("type"));
  if (std::string_view(type) != "Sequence") return std::vector<Fields>{outer};
  const Json* const list = outer.Find(list_name);
  if (list == nullptr || !list->is_array()) return outer.Wrong(list_name, "expected a list");
  for (const Json& item : *list) {
    ASSIGN_OR_RETURN(Fields step, Fields::Of(item, outer.where() + ": step"));
    steps.push_back(std::move(step));
  }
  return steps;
}

absl::StatusOr<Pipeline> ReadPipeline(const Fields& file, const Fields& model) {
  ASSIGN_OR_RETURN(const std::vector<Fields> normalizers,
                   StepsOf(file, "normalizer", "normalizers"));
  ASSIGN_OR_RETURN(const std::vector<Fields> cutters,
                   StepsOf(file, "pre_tokenizer", "pretokenizers"));
  ASSIGN_OR_RETURN(const bool byte_level, HasStep(cutters, "ByteLevel"));
  if (byte_level) return ByteLevel(model, normalizers, cutters);
  ASSIGN_OR_RETURN(const bool has_bytes, model.BoolOr("byte_fallback", false));
  ASSIGN_OR_RETURN(const bool metaspace, HasStep(cutters, "Metaspace"));
  ASSIGN_OR_RETURN(const bool replaces, HasStep(normalizers, "Replace"));
  if (has_bytes && (metaspace || replaces)) return SentencePiece(normalizers, cutters);
  return file.NotKnown("pre_tokenizer",
                       "neither byte-level BPE (ByteLevel) nor SentencePiece's BPE with bytes "
                       "(byte_fallback, with Replace or Metaspace)");
}

}  // namespace mortar
