#include "engine/hf/unigram_pipeline.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "engine/gguf/reader.h"
#include "engine/hf/pipeline.h"
#include "engine/text/limits.h"
#include "engine/text/space_mark.h"
#include "engine/text/unigram_normalizer.h"

namespace mortar {
namespace {

namespace names = normalizer_steps;

// RFC 4648, section 4.
absl::StatusOr<std::string> Base64Bytes(const Fields& step, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string text, step.String(name));
  if (text.size() / 4 * 3 > kCharsMapBytesMax) {
    return step.Wrong(name, std::to_string(text.size()) + " characters, expected at most " +
                                std::to_string(kCharsMapBytesMax / 3 * 4));
  }
  std::string bytes;
  if (absl::Base64Unescape(text, &bytes)) return bytes;
  const size_t wrong =
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
  return step.Wrong(name, "no base64 at character " + std::to_string(std::min(wrong, text.size())));
}

absl::Status AddPrecompiled(const Fields& step, UnigramPipeline* to) {
  if (!to->charsmap.empty()) return step.NotKnown("type", "a second 'Precompiled' is not computed");
  ASSIGN_OR_RETURN(to->charsmap, Base64Bytes(step, "precompiled_charsmap"));
  to->steps.push_back(names::kCharsMap);
  return absl::OkStatus();
}

absl::Status AddStrip(const Fields& step, UnigramPipeline* to) {
  ASSIGN_OR_RETURN(const bool left, step.BoolOr("strip_left", true));
  ASSIGN_OR_RETURN(const bool right, step.BoolOr("strip_right", true));
  if (left) to->steps.push_back(names::kStripLeft);
  if (right) to->steps.push_back(names::kStripRight);
  return absl::OkStatus();
}

// Of regular expressions that for runs of spaces alone.
absl::Status AddReplace(const Fields& step, UnigramPipeline* to) {
  ASSIGN_OR_RETURN(const Fields pattern, step.Object("pattern"));
  ASSIGN_OR_RETURN(const std::string content, step.String("content"));
  if (pattern.Has("Regex")) {
    ASSIGN_OR_RETURN(const std::string regex, pattern.String("Regex"));
    if (std::string_view(regex) != " {2,}") {
      return pattern.NotKnown("Regex", Quoted(regex) + " is not computed; known is ' {2,}'");
    }
    to->steps.insert(to->steps.end(), {names::kMergeSpaces, content});
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string from, pattern.String("String"));
  if (from.empty()) return pattern.Wrong("String", "is empty");
  to->steps.insert(to->steps.end(), {names::kReplace, from, content});
  return absl::OkStatus();
}

struct Simple {
  const char* type;
  const char* step;
};
constexpr Simple kSimple[] = {{"Nmt", names::kNmt},   {"NFC", names::kNfc},
                              {"NFD", names::kNfd},   {"NFKC", names::kNfkc},
                              {"NFKD", names::kNfkd}, {"Lowercase", names::kLowercase}};

absl::Status AddNormalizer(const Fields& step, UnigramPipeline* to) {
  ASSIGN_OR_RETURN(const std::string type, step.String("type"));
  const std::string_view view = type;
  if (view == "Precompiled") return AddPrecompiled(step, to);
  if (view == "Strip") return AddStrip(step, to);
  if (view == "Replace") return AddReplace(step, to);
  for (const Simple& simple : kSimple) {
    if (view != simple.type) continue;
    to->steps.push_back(simple.step);
    return absl::OkStatus();
  }
  return step.NotKnown("type", Quoted(type) +
                                   " is not computed; known are Precompiled, Strip, Replace, Nmt, "
                                   "NFC, NFD, NFKC, NFKD and Lowercase");
}

// Older files have add_prefix_space in place of prepend_scheme.
absl::Status AddMetaspace(const Fields& step, bool splits_before, UnigramPipeline* to) {
  ASSIGN_OR_RETURN(const std::string mark, step.StringOr("replacement", std::string(kSpaceMark)));
  if (mark != kSpaceMark) {
    return step.NotKnown("replacement", Quoted(mark) + " is not computed; known is U+2581");
  }
  ASSIGN_OR_RETURN(const bool adds, step.BoolOr("add_prefix_space", true));
  ASSIGN_OR_RETURN(const std::string scheme,
                   step.StringOr("prepend_scheme", adds ? "always" : "never"));
  const std::string_view view = scheme;
  if (view != "always" && view != "first" && view != "never") {
    return step.NotKnown("prepend_scheme",
                         Quoted(scheme) + " is not computed; known are always, first and never");
  }
  if (splits_before && view != "always") {
    return step.NotKnown("prepend_scheme", Quoted(scheme) +
                                               " behind WhitespaceSplit is not computed; known is "
                                               "always");
  }
  // Where something was stripped there, that library sees no beginning.
  if (view == "first" &&
      std::find(to->steps.begin(), to->steps.end(), names::kStripLeft) != to->steps.end()) {
    return step.NotKnown("prepend_scheme", "'first' behind a Strip of the left is not computed");
  }
  to->adds_space = view != "never";
  to->adds_at_first = view == "first";
  ASSIGN_OR_RETURN(to->cuts_words, step.BoolOr("split", true));
  return absl::OkStatus();
}

// WhitespaceSplit or none, then Metaspace: without that a space is no mark of a space.
absl::Status AddPreTokenizers(const Fields& file, UnigramPipeline* to) {
  ASSIGN_OR_RETURN(const std::vector<Fields> steps,
                   StepsOf(file, "pre_tokenizer", "pretokenizers"));
  bool splits = false;
  for (size_t i = 0; i < steps.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string type, steps[i].String("type"));
    const bool is_last = i + 1 == steps.size();
    if (std::string_view(type) == "WhitespaceSplit" && i == 0 && !is_last) {
      splits = true;
      to->steps.push_back(names::kSplitWords);
    } else if (std::string_view(type) == "Metaspace" && is_last) {
      return AddMetaspace(steps[i], splits, to);
    } else {
      return steps[i].NotKnown("type", Quoted(type) +
                                           " is not computed there; known is Metaspace, and "
                                           "WhitespaceSplit before it");
    }
  }
  return file.NotKnown("pre_tokenizer", "none is not computed; known is Metaspace");
}

// Steps that turn pieces back into text as this engine does: marks into spaces, byte tokens into
// bytes, without the first space.
absl::Status CheckDecoder(const Fields& file) {
  ASSIGN_OR_RETURN(const std::vector<Fields> steps, StepsOf(file, "decoder", "decoders"));
  for (const Fields& step : steps) {
    ASSIGN_OR_RETURN(const std::string type, step.String("type"));
    const std::string_view view = type;
    bool known = false;
    for (const char* const name : {"Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"}) {
      known = known || view == name;
    }
    if (known) continue;
    return step.NotKnown("type", Quoted(type) +
                                     " is not computed; known are Metaspace, Replace, "
                                     "ByteFallback, Fuse and Strip");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UnigramPipeline> ReadUnigramPipeline(const Fields& file) {
  UnigramPipeline pipeline;
  ASSIGN_OR_RETURN(const std::vector<Fields> normalizers,
                   StepsOf(file, "normalizer", "normalizers"));
  for (const Fields& step : normalizers) RETURN_IF_ERROR(AddNormalizer(step, &pipeline));
  RETURN_IF_ERROR(AddPreTokenizers(file, &pipeline));
  RETURN_IF_ERROR(CheckDecoder(file));
  return pipeline;
}

}  // namespace mortar
