#include "engine/text/unigram_normalizer.h"

#include <algorithm>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/text/limits.h"
#include "engine/text/space_mark.h"
#include "engine/text/text_steps.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

constexpr char kStepsKey[] = "tokenizer.ggml.normalizer.steps";

absl::Status TooLong() {
  return ResourceExhausted("a text to encode has more than " + std::to_string(kNormalizedBytesMax) +
                           " bytes after its characters were replaced");
}

}  // namespace

absl::StatusOr<UnigramNormalizer> UnigramNormalizer::Make(
    UnigramRules rules, const std::vector<std::string_view>& whole) {
  UnigramNormalizer normalizer;
  ASSIGN_OR_RETURN(normalizer.charsmap_, CharsMap::Make(rules.charsmap));
  rules.charsmap.clear();
  normalizer.rules_ = std::move(rules);
  RETURN_IF_ERROR(normalizer.CheckSteps());
  std::vector<PieceTrie::Entry> entries;
  for (const std::string_view text : whole) entries.push_back({text, 0});
  normalizer.whole_ = PieceTrie(std::move(entries));
  return normalizer;
}

absl::Status UnigramNormalizer::CheckSteps() const {
  const std::vector<std::string>& steps = rules_.steps;
  if (steps.size() > kNormalizerStepsMax) {
    return InvalidArgument(std::string(kStepsKey) + " has " + std::to_string(steps.size()) +
                           " entries, expected at most " + std::to_string(kNormalizerStepsMax));
  }
  for (size_t i = 0; i < steps.size();) {
    const TextStep* const step = FindTextStep(steps[i]);
    const auto what = [&](const std::string& text) {
      return InvalidArgument(std::string(kStepsKey) + "[" + std::to_string(i) + "] is " +
                             Quoted(steps[i]) + text);
    };
    if (step == nullptr) return what("; known are " + TextStepNames());
    if (steps.size() - i - 1 < step->n_arguments) return what(", expected what follows it");
    for (size_t k = 1; k <= step->n_arguments; ++k) {
      if (FindInvalidUtf8(steps[i + k])) return what(" with what is not valid UTF-8");
    }
    if (step->n_arguments == 2 && steps[i + 1].empty()) return what(" of nothing");
    i += 1 + step->n_arguments;
  }
  return absl::OkStatus();
}

// One replacement, or one character as it is. A replacement that ends within a character leaves
// bytes that are none: these become U+FFFD, as in the library.
UnigramNormalizer::Prefix UnigramNormalizer::Mapped(std::string_view text) const {
  const CharsMap::Match match = charsmap_.Longest(text);
  if (match.bytes > 0) return {match.bytes, match.replacement};
  const Utf8Step step = NextUtf8(text);
  if (step.kind != Utf8Kind::kCharacter) return {1, kReplacementCharacter};
  return {step.bytes, text.substr(0, step.bytes)};
}

UnigramNormalizer::Prefix UnigramNormalizer::First(std::string_view text) const {
  size_t whole = 0;
  whole_.ForPrefixes(text, [&](size_t bytes, int32_t) { whole = bytes; });
  return whole > 0 ? Prefix{whole, text.substr(0, whole)} : Mapped(text);
}

// Only spaces as such are merged, marks of a space are not; at the end both go.
absl::Status UnigramNormalizer::AppendSentencePieces(std::string_view text, size_t bytes_max,
                                                     std::string* out) const {
  const bool removes = rules_.removes_extra_spaces;
  while (removes && !text.empty()) {
    const Prefix first = First(text);
    if (first.replacement != " ") break;
    text.remove_prefix(first.bytes);
  }
  if (text.empty()) return absl::OkStatus();
  out->reserve(std::min(bytes_max, text.size() + text.size() / 8 + 1));
  if (rules_.adds_space) out->push_back(' ');
  bool behind_space = removes;
  while (!text.empty()) {
    const Prefix first = First(text);
    std::string_view put = first.replacement;
    if (behind_space) put.remove_prefix(std::min(put.find_first_not_of(' '), put.size()));
    if (put.size() > bytes_max - std::min(bytes_max, out->size())) return TooLong();
    AppendSpaced(put, out);
    if (!put.empty()) behind_space = removes && put.back() == ' ';
    text.remove_prefix(first.bytes);
  }
  if (removes) out->resize(out->find_last_not_of(' ') + 1);
  return absl::OkStatus();
}

absl::Status UnigramNormalizer::AppendMapped(std::string_view text, size_t bytes_max,
                                             std::string* out) const {
  while (!text.empty()) {
    const Prefix first = Mapped(text);
    if (first.replacement.size() > bytes_max - std::min(bytes_max, out->size())) return TooLong();
    out->append(first.replacement);
    text.remove_prefix(first.bytes);
  }
  return absl::OkStatus();
}

absl::Status UnigramNormalizer::DoSteps(size_t bytes_max, std::string* text) const {
  for (size_t i = 0; i < rules_.steps.size();) {
    const TextStep& step = *FindTextStep(rules_.steps[i]);
    std::string out;
    if (step.apply == nullptr) {
      RETURN_IF_ERROR(AppendMapped(*text, bytes_max, &out));
    } else if (!step.apply(*text, rules_.steps.data() + i + 1, bytes_max, &out)) {
      return TooLong();
    }
    *text = std::move(out);
    i += 1 + step.n_arguments;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> UnigramNormalizer::Normalize(std::string_view text, bool is_first,
                                                         size_t* bytes_left) const {
  std::string out;
  if (!rules_.has_steps) {
    RETURN_IF_ERROR(AppendSentencePieces(text, *bytes_left, &out));
  } else {
    std::string done(text);
    RETURN_IF_ERROR(DoSteps(*bytes_left, &done));
    AppendSpaced(done, &out);
    const bool adds = rules_.adds_space && (is_first || !rules_.adds_at_first);
    if (adds && !out.empty() && out[0] != ' ') out.insert(0, 1, ' ');
  }
  if (out.size() > *bytes_left) return TooLong();
  *bytes_left -= out.size();
  return out;
}

}  // namespace mortar
