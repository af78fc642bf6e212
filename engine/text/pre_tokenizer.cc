// Sources of the patterns: GPT-2's encoder.py (Radford et al. 2019), and the tokenizer.json of
// SmolLM2, Llama 3 and Qwen2. Characters' classes are those of Unicode 14 (PCRE2 10.42).
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
constexpr char kGpt2[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^_\p{L}\p{N}]+|[_]+(?![^_])|[_]+)";
constexpr char kLlama3[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                           R"(| ?[^_\p{L}\p{N}]+[\r\n]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";
constexpr char kQwen2[] = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                          R"(| ?[^_\p{L}\p{N}]+[\r\n]*|[_]*[\r\n]+|[_]+(?![^_])|[_]+)";

// Each pattern cuts every piece that the one before it left; null after the last.
struct Recipe {
  const char* name;
  const char* patterns[2];
  bool takes_whole_tokens;
};
constexpr Recipe kRecipes[] = {
    {"gpt-2", {kGpt2, nullptr}, false},
    {"llama-bpe", {kLlama3, nullptr}, true},
    {"qwen2", {kQwen2, nullptr}, false},
    {"smollm", {kDigit, kGpt2}, false},
};

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
  PatternPreTokenizer(std::vector<Code> patterns, bool takes_whole_tokens)
      : patterns_(std::move(patterns)), takes_whole_tokens_(takes_whole_tokens) {}

  absl::Status Split(std::string_view text, std::vector<std::string_view>* pieces) const override {
    return SplitBy(0, text, pieces);
  }
  bool takes_whole_tokens() const override { return takes_whole_tokens_; }

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
  const bool takes_whole_tokens_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PreTokenizer>> PreTokenizer::Make(const std::string& name) {
  std::string known;
  for (const Recipe& recipe : kRecipes) {
    if (name == recipe.name) {
      std::vector<Code> patterns;
      for (const char* const pattern : recipe.patterns) {
        if (pattern == nullptr) continue;
        ASSIGN_OR_RETURN(Code code, Compile(pattern));
        patterns.push_back(std::move(code));
      }
      return std::unique_ptr<PreTokenizer>(
          new PatternPreTokenizer(std::move(patterns), recipe.takes_whole_tokens));
    }
    known += (known.empty() ? "" : ", ") + std::string(recipe.name);
  }
  return Unimplemented("pre-tokenizer " + Quoted(name) + " is not known; known are " + known);
}

}  // namespace mortar
