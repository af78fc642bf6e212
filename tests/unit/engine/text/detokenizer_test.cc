// Goal: text leaves in whole characters only, however tokens cut it, and bytes that are none
// become U+FFFD, one for each maximal subpart.
#include <gtest/gtest.h>

#include "common/random.h"
#include "tests/unit/engine/text/small_vocabulary.h"

namespace mortar {
namespace {

Token ByteToken(char c) { return static_cast<uint8_t>(c); }

class DetokenizerTest : public testing::Test {
 protected:
  DetokenizerTest() {
    vocabulary_.Add("<|im_end|>", 3);
    vocabulary_.Add("<think>", 4);
    tokenizer_ = *vocabulary_.Make();
  }
  // The text of single bytes, pushed one by one; each push must give whole characters.
  std::string Text(std::string_view bytes) {
    Detokenizer detokenizer(*tokenizer_);
    std::string out;
    for (const char c : bytes) {
      const std::string pushed = detokenizer.Push(ByteToken(c));
      EXPECT_EQ(FindInvalidUtf8(pushed), std::nullopt);
      out += pushed;
    }
    return out + detokenizer.Finish();
  }
  SmallVocabulary vocabulary_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(DetokenizerTest, ACharacterLeavesWithItsLastByte) {
  Detokenizer detokenizer(*tokenizer_);
  EXPECT_EQ(detokenizer.Push(ByteToken('a')), "a");
  EXPECT_EQ(detokenizer.Push(ByteToken('\xF0')), "");
  EXPECT_EQ(detokenizer.Push(ByteToken('\x9F')), "");
  EXPECT_EQ(detokenizer.Push(ByteToken('\xA7')), "");
  EXPECT_EQ(detokenizer.Push(ByteToken('\xB1')), "\xF0\x9F\xA7\xB1");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST_F(DetokenizerTest, ImpossibleBytesBecomeOneReplacementForEachMaximalSubpart) {
  EXPECT_EQ(Text("\xFFz"), "\uFFFDz");
  EXPECT_EQ(Text("\xE1\x80z"), "\uFFFDz");
  EXPECT_EQ(Text("\xE0\x80z"), "\uFFFD\uFFFDz");
  EXPECT_EQ(Text("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFDA");
}

TEST_F(DetokenizerTest, WhatIsIncompleteAtTheEndIsOneReplacement) {
  EXPECT_EQ(Text("a\xF0\x9F\xA7"), "a\uFFFD");
  Detokenizer detokenizer(*tokenizer_);
  EXPECT_EQ(detokenizer.Push(ByteToken('\xC3')), "");
  EXPECT_EQ(detokenizer.Finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.Finish(), "");
  EXPECT_EQ(detokenizer.Push(ByteToken('b')), "b");
}

TEST_F(DetokenizerTest, ControlTokensAreSilentAndUserDefinedOnesAreNot) {
  Detokenizer detokenizer(*tokenizer_);
  EXPECT_EQ(detokenizer.Push(256), "");
  EXPECT_EQ(detokenizer.Push(257), "<think>");
  EXPECT_EQ(detokenizer.Push(-1), "");
  EXPECT_EQ(detokenizer.Push(1 << 30), "");
}

TEST_F(DetokenizerTest, RandomBytesAlwaysGiveValidText) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    std::string bytes(64, 0);
    random.Fill(reinterpret_cast<uint8_t*>(bytes.data()), 64);
    EXPECT_EQ(FindInvalidUtf8(Text(bytes)), std::nullopt);
  }
}

}  // namespace
}  // namespace mortar
