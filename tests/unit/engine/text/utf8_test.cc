// Goal: UTF-8 is taken exactly as Unicode's table 3-7 has it, and what is not is cut into the
// maximal subparts of chapter 3.
#include "engine/text/utf8.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

// Each step replaced by U+FFFD unless it is a character, as a decoder would.
std::string Replace(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = NextUtf8(text);
    out += step.kind == Utf8Kind::kCharacter ? text.substr(0, step.bytes) : std::string_view("?");
    text.remove_prefix(step.bytes);
  }
  return out;
}

TEST(Utf8, EveryScalarValueSurvivesAndNothingElseIsACharacter) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string text;
    AppendUtf8(c, &text);
    const Utf8Step step = NextUtf8(text);
    ASSERT_EQ(step.kind, Utf8Kind::kCharacter) << static_cast<uint32_t>(c);
    ASSERT_EQ(step.bytes, text.size());
    ASSERT_EQ(step.code_point, c);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const Utf8Step part = NextUtf8(std::string_view(text).substr(0, cut));
      ASSERT_EQ(part.kind, Utf8Kind::kIncomplete);
      ASSERT_EQ(part.bytes, cut);
    }
  }
}

TEST(Utf8, CutsTheExamplesOfChapterThreeAsItsTablesDo) {
  // Tables 3-8 to 3-11 of the Unicode Standard, U+FFFD written as "?".
  EXPECT_EQ(Replace("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), "????????A");
  EXPECT_EQ(Replace("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), "????????A");
  EXPECT_EQ(Replace("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), "?????A??B");
  EXPECT_EQ(Replace("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "????A");
}

TEST(Utf8, FindsTheFirstByteThatIsNoCharacter) {
  EXPECT_EQ(FindInvalidUtf8(""), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("wall \xC3\xA9"), std::nullopt);
  EXPECT_EQ(FindInvalidUtf8("wall \xC3"), 5u);
  EXPECT_EQ(FindInvalidUtf8("\xC3\xA9\xFF"), 2u);
}

TEST(Utf8, CountsCodePoints) { EXPECT_EQ(CountCodePoints("a\xC3\xA9\xF0\x9F\xA7\xB1"), 3u); }

}  // namespace
}  // namespace mortar
