// Goal: every byte keeps its trust through appending, slicing and replacing.
#include "engine/text/jinja/text.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace mortar::jinja {
namespace {

using Runs = std::vector<Text::Run>;

TEST(Text, NeighboursOfOneTrustAreOneRun) {
  Text text("ab", true);
  text.Append("c", true);
  text.Append("", false);
  text.Append("d", false);
  text.Append(Text("e", false));
  EXPECT_EQ(text.bytes(), "abcde");
  EXPECT_EQ(text.runs(), (Runs{{3, true}, {5, false}}));
  EXPECT_EQ(text.Slice(2, 4).runs(), (Runs{{1, true}, {2, false}}));
  EXPECT_EQ(text.Slice(3, 3).runs(), Runs{});
  EXPECT_EQ(text.Slice(5, 5).bytes(), "");
}

// Trusted bytes are upper case here, so that each shows what its run should say.
TEST(Text, RandomOperationsKeepTheTrustOfEachByte) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    uint8_t draw[90];
    random.Fill(draw, 90);
    Text text;
    for (int i = 0; i < 90; i += 3) {
      const bool trusted = draw[i] % 2 == 0;
      text.Append(std::string(draw[i + 1] % 4, trusted ? 'T' : 'u'), trusted);
      if (draw[i + 2] % 5 != 0 || text.size() == 0) continue;
      const size_t begin = draw[i] % text.size();
      Text turned = text.Slice(begin, text.size());
      turned.AppendSlice(text, 0, begin);
      text = turned;
    }
    size_t at = 0;
    for (const Text::Run& run : text.runs()) {
      ASSERT_LT(at, run.end);
      for (; at < run.end; ++at) ASSERT_EQ(text.bytes()[at] == 'T', run.trusted) << at;
    }
    ASSERT_EQ(at, text.size());
  }
}

TEST(Text, WhiteSpaceIsPythons) {
  EXPECT_EQ(LeadingSpaceBytes(" \t\n\x1C\u0085\u2003x "), 9u);
  EXPECT_EQ(TrailingSpaceBytes(" x\u3000\u00A0\r\n"), 7u);
  EXPECT_EQ(LeadingSpaceBytes("\u200B"), 0u);
  EXPECT_EQ(TrailingSpaceBytes("   "), 3u);
  EXPECT_EQ(TrailingSpaceBytes(""), 0u);
}

}  // namespace
}  // namespace mortar::jinja
