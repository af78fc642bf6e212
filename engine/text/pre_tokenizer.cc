// Names, and which of them share a pattern, are llama.cpp's, which leaves normal form C out.
// Sources of the patterns: GPT-2's encoder.py (Radford et al. 2019), and the tokenizer.json of
// SmolLM2, Llama 3, Qwen2, Qwen3.5, GPT-4o, Mistral Nemo, DeepSeek Coder and DeepSeek V3.
// Characters' classes are those of Unicode 14 (PCRE2 10.42).
#include "engine/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "engine/gguf/reader.h"
#include "engine/text/limits.h"

namespace mortar {
namespace {

// The inside of a class: the characters of the property White_Space.
constexpr char kSpaces[] = R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a})"
                           R"(\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// In the patterns below "_" stands for kSpaces.
constexpr char kDigit[] = R"(\p{N})";
constexpr char kDigits3[] = R"(\p{N}{1,3})";
constexpr char kLine[] = R"([\r\n])";
constexpr char kGpt2[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^_\p{L}\p{N}]+|[_]+(?![^_])|[_]+)";
constexpr char kLlama3[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                           R"(| ?[^_\p{L}\p{N}]+[\r\n]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";
constexpr char kQwen2[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                          R"(| ?[^_\p{L}\p{N}]+[\r\n]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";
constexpr char kQwen35[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
                           R"(| ?[^_\p{L}\p{M}\p{N}]+[\r\n]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";
constexpr char kGpt4o[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
    R"(| ?[^_\p{L}\p{N}]+[\r\n/]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";
constexpr char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N})"
    R"(| ?[^_\p{L}\p{N}]+[\r\n/]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";
constexpr char kSpacedLetters[] = R"([_]?\p{L}+)";
constexpr char kSpacedMarks[] = R"([_]?\p{P}+)";
constexpr char kEastAsian[] = R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr char kHanKana[] = R"([\x{4e00}-\x{9fa5}\x{3040}-\x{30ff}]+)";
constexpr char kDeepSeek3[] =
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";

// Each pattern cuts every piece that the one before it left; null after the last.
constexpr size_t kPatternsMax = 5;
using Patterns = const char* [kPatternsMax];
struct Recipe {
  const char* name;
  Patterns patterns;
  bool composes;  // the text is brought into normal form C before
  bool takes_whole_tokens;
};
constexpr Recipe kRecipes[] = {
    {"chatglm-bpe", {kLlama3}, false, false},
    {"command-r", {kDigit, kGpt2}, true, false},
    {"dbrx", {kLlama3}, false, false},
    {"deepseek-coder", {kLine, kSpacedLetters, kSpacedMarks, kEastAsian, kDigit}, false, false},
    {"deepseek-r1-qwen", {kQwen2}, true, false},
    {"deepseek-v3", {kDigits3, kHanKana, kDeepSeek3}, false, false},
    {"falcon3", {kLlama3}, false, true},
    {"glm4", {kLlama3}, false, true},
    {"gpt-2", {kGpt2}, false, false},
    {"gpt-4o", {kGpt4o}, false, false},
    {"llama-bpe", {kLlama3}, false, true},
    {"llama-v3", {kLlama3}, false, true},
    {"llama3", {kLlama3}, false, true},
    {"llama4", {kGpt4o}, false, false},
    {"modern-bert", {kGpt2}, true, false},
    {"mpt", {kGpt2}, true, false},
    {"olmo", {kGpt2}, true, false},
    {"phi-2", {kGpt2}, false, false},
    {"qwen2", {kQwen2}, true, false},
    {"qwen35", {kQwen35}, true, false},
    {"refact", {kDigit, kGpt2}, false, false},
    {"smaug-bpe", {kLlama3}, false, false},
    {"smollm", {kDigit, kGpt2}, false, false},
    {"starcoder", {kDigit, kGpt2}, false, false},
    {"tekken", {kTekken}, false, true},
};

std::string KnownNames() {
  std::string known;
  for (const Recipe& recipe : kRecipes) {
    known += (known.empty() ? "" : ", ") + std::string(recipe.name);
  }
  return known;
}

// Takes `from` off the front of `text` and puts `to` behind `out`, if it is there.
bool Rewrite(std::string_view from, std::string_view to, std::string_view* text, std::string* out) {
  if (!text->starts_with(from)) return false;
  text->remove_prefix(from.size());
  *out += to;
  return true;
}

// A pattern of this file as Hugging Face's files write it.
std::string AsHuggingFaceWrites(std::string_view pattern) {
  std::string written;
  while (!pattern.empty()) {
    if (Rewrite("[^_]", "\\S", &pattern, &written) || Rewrite("[_]", "\\s", &pattern, &written) ||
        Rewrite("_", "\\s", &pattern, &written)) {
      continue;
    }
    written += pattern.front();
    pattern.remove_prefix(1);
  }
  return written;
}

struct FreeCode {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
struct FreeContext {
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;
using Match = std::unique_ptr<pcre2_match_data, FreeMatch>;
using Context = std::unique_ptr<pcre2_match_context, FreeContext>;

std::string PatternError(int error) {
  char text[128];
  pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
  return text;
}

absl::StatusOr<Code> Compile(std::string_view pattern) {
  std::string written;
  for (const char c : pattern) {
    if (c == '_') {
      written += kSpaces;
    } else {
      written += c;
    }
  }
  int error = 0;
  PCRE2_SIZE at = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(written.data()), written.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
  if (code == nullptr) {
    return Unavailable("PCRE2 refused the pre-tokenizer's pattern at " + std::to_string(at) + ": " +
                       PatternError(error));
  }
  // Without the just-in-time compiler (a hardened kernel refuses executable memory) the same
  // searches run interpreted, several times slower, with the same result.
  (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

class PatternPreTokenizer final : public PreTokenizer {
 public:
  PatternPreTokenizer(std::vector<Code> patterns, const Recipe& recipe)
      : patterns_(std::move(patterns)), recipe_(recipe) {}

  absl::Status Split(std::string_view text, std::vector<std::string_view>* pieces) const override {
    return SplitBy(0, text, pieces);
  }
  bool composes() const override { return recipe_.composes; }
  bool takes_whole_tokens() const override { return recipe_.takes_whole_tokens; }

 private:
  // Cuts `text` with pattern `level`, and each part with the patterns after it.
  absl::Status SplitBy(size_t level, std::string_view text,
                       std::vector<std::string_view>* pieces) const {
    if (text.empty()) return absl::OkStatus();
    if (level == patterns_.size()) {
      pieces->push_back(text);
      return absl::OkStatus();
    }
    const pcre2_code* const code = patterns_[level].get();
    const Match match(pcre2_match_data_create_from_pattern(code, nullptr));
    const Context context(pcre2_match_context_create(nullptr));
    if (match == nullptr || context == nullptr) return ResourceExhausted("no memory for PCRE2");
    pcre2_set_match_limit(context.get(), kPatternStepsMax);
    size_t done = 0;
    while (done < text.size()) {
      // The caller has checked the text; checking it in each search would make this quadratic.
      const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                    done, PCRE2_NO_UTF_CHECK, match.get(), context.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) {
        return ResourceExhausted("the pre-tokenizer's pattern failed at byte " +
                                 std::to_string(done) + ": " + PatternError(found));
      }
      const PCRE2_SIZE* const range = pcre2_get_ovector_pointer(match.get());
      RETURN_IF_ERROR(SplitBy(level + 1, text.substr(done, range[0] - done), pieces));
      RETURN_IF_ERROR(SplitBy(level + 1, text.substr(range[0], range[1] - range[0]), pieces));
      done = range[1];
    }
    return SplitBy(level + 1, text.substr(done), pieces);
  }

  const std::vector<Code> patterns_;
  const Recipe& recipe_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PreTokenizer>> PreTokenizer::Make(const std::string& name) {
  for (const Recipe& recipe : kRecipes) {
    if (name == recipe.name) {
      std::vector<Code> patterns;
      for (const char* const pattern : recipe.patterns) {
        if (pattern == nullptr) continue;
        ASSIGN_OR_RETURN(Code code, Compile(pattern));
        patterns.push_back(std::move(code));
      }
      return std::make_unique<PatternPreTokenizer>(std::move(patterns), recipe);
    }
  }
  return Unimplemented("pre-tokenizer " + Quoted(name) + " is not known; known are " +
                       KnownNames());
}

absl::StatusOr<std::string> PreTokenizer::NameOf(const std::vector<std::string>& patterns,
                                                 bool composes, bool takes_whole_tokens) {
  for (const Recipe& recipe : kRecipes) {
    std::vector<std::string> known;
    for (const char* const pattern : recipe.patterns) {
      if (pattern != nullptr) known.push_back(AsHuggingFaceWrites(pattern));
    }
    if (known == patterns && recipe.composes == composes &&
        recipe.takes_whole_tokens == takes_whole_tokens) {
      return std::string(recipe.name);
    }
  }
  std::string list;
  for (const std::string& pattern : patterns) list += (list.empty() ? "" : ", ") + Quoted(pattern);
  return Unimplemented("a pre-tokenizer that cuts by " + list + (composes ? " after NFC" : "") +
                       (takes_whole_tokens ? ", whole tokens first," : "") +
                       " is not known; known are " + KnownNames());
}

}  // namespace mortar
