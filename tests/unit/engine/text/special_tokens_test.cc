// Goal: the leftmost special token is found, and where several begin, the longest.
#include "engine/text/special_tokens.h"

#include <gtest/gtest.h>

namespace mortar {
namespace {

TEST(SpecialTokens, TakesTheLeftmostAndThenTheLongest) {
  const SpecialTokens specials({{"<a>", 1}, {"<a><b>", 2}, {"b>", 3}, {"<", 4}, {"<abc", 5}});
  const auto find = [&](std::string_view text, size_t from) {
    const SpecialTokens::Found found = specials.Find(text, from);
    return std::vector<int64_t>{static_cast<int64_t>(found.at), static_cast<int64_t>(found.bytes),
                                found.token};
  };
  EXPECT_EQ(find("x<a>", 0), (std::vector<int64_t>{1, 3, 1}));
  EXPECT_EQ(find("x<a><b>", 0), (std::vector<int64_t>{1, 6, 2}));
  EXPECT_EQ(find("x<a><c>", 0), (std::vector<int64_t>{1, 3, 1}));
  EXPECT_EQ(find("x<a><c>", 2), (std::vector<int64_t>{4, 1, 4}));
  EXPECT_EQ(find("<ab", 0), (std::vector<int64_t>{0, 1, 4}));
  EXPECT_EQ(find("<abc", 0), (std::vector<int64_t>{0, 4, 5}));
  EXPECT_EQ(find("none", 0), (std::vector<int64_t>{0, 0, -1}));
  EXPECT_EQ(find("", 0), (std::vector<int64_t>{0, 0, -1}));
}

TEST(SpecialTokens, FindsBytesAbove127) {
  const SpecialTokens specials({{"\xEF\xBD\x9C", 7}, {"\xEF\xBD\x9C\xEF\xBD\x9D", 8}});
  EXPECT_EQ(specials.Find("a\xEF\xBD\x9C\xEF\xBD\x9D", 0).token, 8);
  EXPECT_EQ(specials.Find("a\xEF\xBD\x9C\xEF\xBD", 0).token, 7);
}

TEST(SpecialTokens, AVocabularyMayHaveNone) {
  EXPECT_EQ(SpecialTokens({}).Find("<a>", 0).bytes, 0u);
}

}  // namespace
}  // namespace mortar
