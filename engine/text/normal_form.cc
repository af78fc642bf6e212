// A text is taken one segment at a time, each of which begins with a character that combines with
// none before it.
#include "engine/text/normal_form.h"

#include <algorithm>
#include <vector>

#include "engine/text/character_tables.h"
#include "engine/text/compatibility_tables.h"
#include "engine/text/decomposition_table.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

// Hangul syllables are numbered: (leading * kVowels + vowel) * kTrailings + trailing.
constexpr char32_t kSyllables = 0xAC00, kLeading = 0x1100, kVowel = 0x1161, kTrailing = 0x11A7;
constexpr char32_t kLeadings = 19, kVowels = 21, kTrailings = 28;
constexpr char32_t kSyllablesEnd = kSyllables + kLeadings * kVowels * kTrailings;

struct Ranked {
  char32_t character;
  int combining;     // class; 0 for starters
  size_t place = 0;  // in the text, where it is put in order
};

const Decomposition* FindDecomposition(char32_t c) {
  const Decomposition* const end = kDecompositions + kDecompositionsSize;
  const Decomposition* const found = std::lower_bound(
      kDecompositions, end, c, [](const Decomposition& d, char32_t x) { return d.character < x; });
  return found != end && found->character == c ? found : nullptr;
}

void AppendDecomposed(char32_t c, std::vector<Ranked>* out) {
  if (c < 0xC0) {
    out->push_back({c, 0});
  } else if (c >= kSyllables && c < kSyllablesEnd) {
    const char32_t index = c - kSyllables;
    out->push_back({kLeading + index / (kVowels * kTrailings), 0});
    out->push_back({kVowel + index / kTrailings % kVowels, 0});
    if (index % kTrailings != 0) out->push_back({kTrailing + index % kTrailings, 0});
  } else if (const Decomposition* const parts = FindDecomposition(c)) {
    AppendDecomposed(parts->first, out);
    if (parts->second != 0) AppendDecomposed(parts->second, out);
  } else {
    out->push_back({c, CombiningClass(c)});
  }
}

// Decompositions that compose, by their parts.
const std::vector<Decomposition>& Compositions() {
  static const auto& table = *new std::vector<Decomposition>([] {
    std::vector<Decomposition> all;
    for (size_t i = 0; i < kDecompositionsSize; ++i) {
      const Decomposition& parts = kDecompositions[i];
      if (parts.second != 0 && parts.composes) all.push_back(parts);
    }
    std::sort(all.begin(), all.end(), [](const Decomposition& a, const Decomposition& b) {
      return a.first != b.first ? a.first < b.first : a.second < b.second;
    });
    return all;
  }());
  return table;
}

// The character that the two make; 0: none.
char32_t Compose(char32_t first, char32_t second) {
  if (first >= kLeading && first < kLeading + kLeadings && second >= kVowel &&
      second < kVowel + kVowels) {
    return kSyllables + ((first - kLeading) * kVowels + (second - kVowel)) * kTrailings;
  }
  if (first >= kSyllables && first < kSyllablesEnd && (first - kSyllables) % kTrailings == 0 &&
      second > kTrailing && second < kTrailing + kTrailings) {
    return first + (second - kTrailing);
  }
  const std::vector<Decomposition>& all = Compositions();
  const auto found =
      std::lower_bound(all.begin(), all.end(), std::pair(first, second),
                       [](const Decomposition& d, const std::pair<char32_t, char32_t>& x) {
                         return d.first != x.first ? d.first < x.first : d.second < x.second;
                       });
  return found != all.end() && found->first == first && found->second == second ? found->character
                                                                                : 0;
}

// Orders each run of combining characters by class, equal classes as they stand.
void Order(std::vector<Ranked>* text) {
  for (auto from = text->begin(); from != text->end();) {
    const auto starter = [](const Ranked& r) { return r.combining == 0; };
    from = std::find_if_not(from, text->end(), starter);
    const auto to = std::find_if(from, text->end(), starter);
    for (auto mark = from; mark != to; ++mark) mark->place = static_cast<size_t>(mark - from);
    std::sort(from, to, [](const Ranked& a, const Ranked& b) {
      return a.combining != b.combining ? a.combining < b.combining : a.place < b.place;
    });
    from = to;
  }
}

// A character composes with the last starter unless one between them has no lower class.
void ComposeAll(std::vector<Ranked>* text) {
  size_t kept = 0;
  size_t starter = SIZE_MAX;
  for (const Ranked next : std::vector<Ranked>(*text)) {
    if (starter != SIZE_MAX) {
      const int last = kept - 1 == starter ? -1 : (*text)[kept - 1].combining;
      const char32_t whole =
          last < next.combining ? Compose((*text)[starter].character, next.character) : 0;
      if (whole != 0) {
        (*text)[starter].character = whole;
        continue;
      }
    }
    if (next.combining == 0) starter = kept;
    (*text)[kept++] = next;
  }
  text->resize(kept);
}

void AppendNormal(std::string_view text, bool composes, std::string* out) {
  std::vector<Ranked> segment;
  const auto flush = [&] {
    Order(&segment);
    if (composes) ComposeAll(&segment);
    for (const Ranked& ranked : segment) AppendUtf8(ranked.character, out);
    segment.clear();
  };
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    text.remove_prefix(step.bytes);
    // Characters below combine with none before them.
    if (step.code_point < 0x300) flush();
    AppendDecomposed(step.code_point, &segment);
  }
  flush();
}

// Appends a character's full compatibility decomposition, or itself.
void AppendCompatible(char32_t c, std::string* out) {
  const CompatibleRange* const ranges_end = kCompatibleRanges + kCompatibleRangesSize;
  const CompatibleRange* const range =
      std::lower_bound(kCompatibleRanges, ranges_end, c,
                       [](const CompatibleRange& r, char32_t x) { return r.last < x; });
  if (range != ranges_end && range->first <= c && (c - range->first) % range->step == 0) {
    AppendUtf8(static_cast<char32_t>(static_cast<int32_t>(c) + range->offset), out);
    return;
  }
  const CompatibleText* const texts_end = kCompatibleTexts + kCompatibleTextsSize;
  const CompatibleText* const found =
      std::lower_bound(kCompatibleTexts, texts_end, c,
                       [](const CompatibleText& t, char32_t x) { return t.character < x; });
  if (found == texts_end || found->character != c) {
    AppendUtf8(c, out);
    return;
  }
  for (const char32_t part : found->text) {
    if (part != 0) AppendUtf8(part, out);
  }
}

// What is left to do is canonical.
std::string Compatible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    AppendCompatible(step.code_point, &out);
    text.remove_prefix(step.bytes);
  }
  return out;
}

}  // namespace

// Bytes from 0xCC on begin the characters from U+0300 on.
bool IsSurelyNfc(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0xCC; });
}

void AppendNfc(std::string_view text, std::string* out) { AppendNormal(text, true, out); }
void AppendNfd(std::string_view text, std::string* out) { AppendNormal(text, false, out); }
void AppendNfkc(std::string_view text, std::string* out) { AppendNfc(Compatible(text), out); }
void AppendNfkd(std::string_view text, std::string* out) { AppendNfd(Compatible(text), out); }

}  // namespace mortar
