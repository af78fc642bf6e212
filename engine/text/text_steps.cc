#include "engine/text/text_steps.h"

#include <algorithm>
#include <iterator>

#include "engine/text/character_tables.h"
#include "engine/text/normal_form.h"
#include "engine/text/unigram_normalizer.h"
#include "engine/text/utf8.h"
#include "engine/text/white_space.h"

namespace mortar {
namespace {

namespace names = normalizer_steps;

// Calls `visit` with each character and its bytes.
template <typename Visit>
void ForCharacters(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    visit(step.code_point, text.substr(0, step.bytes));
    text.remove_prefix(step.bytes);
  }
}

// SentencePiece's rules for machine translation, as that library's normaliser Nmt has them.
bool IsLeftOut(char32_t c) {
  return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
         c == 0x9F;
}
bool IsOddSpace(char32_t c) {
  return c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
         c == 0xFFFD;
}

bool Nmt(std::string_view text, const std::string*, size_t bytes_max, std::string* out) {
  ForCharacters(text, [out](char32_t c, std::string_view bytes) {
    if (!IsLeftOut(c)) out->append(IsOddSpace(c) ? " " : bytes);
  });
  return out->size() <= bytes_max;
}

// `Append` makes of a text at most eleven times its bytes: a part of it at a time would be cut
// where characters compose, so the limit is looked at before.
template <void (*Append)(std::string_view, std::string*)>
bool NormalForm(std::string_view text, const std::string*, size_t bytes_max, std::string* out) {
  if (text.size() > bytes_max) return false;
  Append(text, out);
  return out->size() <= bytes_max;
}

bool Lowercase(std::string_view text, const std::string*, size_t bytes_max, std::string* out) {
  ForCharacters(text, [out](char32_t c, std::string_view) {
    AppendUtf8(ToLower(c), out);
    if (c == 0x130) out->replace(out->size() - 2, 2, "i\u0307");  // its lower case is two
  });
  return out->size() <= bytes_max;
}

// Where the first character stands that is no white space, and where the last one ends.
std::string_view Stripped(std::string_view text, bool left, bool right) {
  size_t begin = text.npos;
  size_t end = 0;
  size_t at = 0;
  ForCharacters(text, [&](char32_t c, std::string_view bytes) {
    if (!IsWhiteSpace(c)) {
      begin = std::min(begin, at);
      end = at + bytes.size();
    }
    at += bytes.size();
  });
  if (begin == text.npos) return {};
  if (!right) end = text.size();
  return left ? text.substr(begin, end - begin) : text.substr(0, end);
}

bool StripLeft(std::string_view text, const std::string*, size_t, std::string* out) {
  out->append(Stripped(text, true, false));
  return true;
}
bool StripRight(std::string_view text, const std::string*, size_t, std::string* out) {
  out->append(Stripped(text, false, true));
  return true;
}

bool MergeSpaces(std::string_view text, const std::string* arguments, size_t bytes_max,
                 std::string* out) {
  for (size_t at = 0; at < text.size() && out->size() <= bytes_max;) {
    const size_t space = std::min(text.find(' ', at), text.size());
    const size_t word = std::min(text.find_first_not_of(' ', space), text.size());
    out->append(text.substr(at, space - at));
    out->append(word - space > 1 ? std::string_view(arguments[0])
                                 : text.substr(space, word - space));
    at = word;
  }
  return out->size() <= bytes_max;
}

bool Replace(std::string_view text, const std::string* arguments, size_t bytes_max,
             std::string* out) {
  while (out->size() <= bytes_max) {
    const size_t found = text.find(arguments[0]);
    out->append(text.substr(0, found));
    if (found == text.npos) break;
    out->append(arguments[1]);
    text.remove_prefix(found + arguments[0].size());
  }
  return out->size() <= bytes_max;
}

bool SplitWords(std::string_view text, const std::string*, size_t bytes_max, std::string* out) {
  bool pending = false;
  ForCharacters(text, [&](char32_t c, std::string_view bytes) {
    if (IsWhiteSpace(c)) {
      pending = !out->empty();
      return;
    }
    if (pending) out->push_back(' ');
    pending = false;
    out->append(bytes);
  });
  return out->size() <= bytes_max;
}

constexpr TextStep kSteps[] = {
    {names::kCharsMap, 0, nullptr},
    {names::kNmt, 0, Nmt},
    {names::kNfc, 0, NormalForm<AppendNfc>},
    {names::kNfd, 0, NormalForm<AppendNfd>},
    {names::kNfkc, 0, NormalForm<AppendNfkc>},
    {names::kNfkd, 0, NormalForm<AppendNfkd>},
    {names::kLowercase, 0, Lowercase},
    {names::kStripLeft, 0, StripLeft},
    {names::kStripRight, 0, StripRight},
    {names::kMergeSpaces, 1, MergeSpaces},
    {names::kReplace, 2, Replace},
    {names::kSplitWords, 0, SplitWords},
};

}  // namespace

const TextStep* FindTextStep(std::string_view name) {
  const auto found = std::find_if(std::begin(kSteps), std::end(kSteps),
                                  [name](const TextStep& step) { return step.name == name; });
  return found == std::end(kSteps) ? nullptr : found;
}

std::string TextStepNames() {
  std::string names;
  for (const TextStep& step : kSteps) {
    names += (names.empty() ? "" : ", ") + std::string(step.name);
  }
  return names;
}

}  // namespace mortar
