// Goal: no table of replaced characters makes a search leave the table or the text, and what
// becomes of a text is text.
//
// Input: a byte that chooses the rule for spaces, a byte that counts the bytes of a text, the text,
// and the table.
#include <cstdint>
#include <string_view>
#include <utility>

#include "common/check.h"
#include "engine/text/unigram_normalizer.h"
#include "engine/text/utf8.h"

namespace {

constexpr size_t kBytesMax = 1 << 16;  // that a text may grow to

void Check(const mortar::UnigramNormalizer& normalizer, std::string_view text) {
  if (mortar::FindInvalidUtf8(text)) return;
  size_t left = kBytesMax;
  const auto normal = normalizer.Normalize(text, true, &left);
  if (!normal.ok()) return;
  CHECK(!mortar::FindInvalidUtf8(*normal));
  CHECK(left + normal->size() == kBytesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size - 2 < data[1]) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view text = all.substr(2, data[1]);
  mortar::UnigramRules rules;
  rules.charsmap = all.substr(2 + text.size());
  rules.removes_extra_spaces = (data[0] & 1) != 0;
  rules.adds_space = (data[0] & 2) != 0;
  rules.has_steps = (data[0] & 4) != 0;
  if (rules.has_steps) rules.steps = {"charsmap", "strip_right", "merge_spaces", "\u2581"};
  const auto normalizer = mortar::UnigramNormalizer::Make(std::move(rules), {"ab"});
  if (!normalizer.ok()) return 0;
  for (const std::string_view each : {text, std::string_view("a\u00E9 \uFB01  \u2581\u4E00ab ")}) {
    Check(*normalizer, each);
  }
  return 0;
}
