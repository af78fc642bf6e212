// Goal: clients see whole characters and never a part of a stop string.
#include "edge/text_stream.h"

#include <gtest/gtest.h>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

class TextStreams : public testing::Test {
 protected:
  // Pushes letters; returns what each released, separated by '|'.
  std::string Push(TextStream& stream, const std::string& letters) {
    std::string out;
    for (const char c : letters) out += stream.Push(c - 'a') + "|";
    return out;
  }
  LetterTokenizer tokenizer_;
};

TEST_F(TextStreams, WithoutStopsTextLeavesAtOnce) {
  TextStream stream(tokenizer_, {});
  EXPECT_EQ(Push(stream, "abc"), "a|b|c|");
  EXPECT_EQ(stream.Finish(), "");
}

TEST_F(TextStreams, HoldsBackWhatMayBecomeAStop) {
  TextStream stream(tokenizer_, {"abc"});
  EXPECT_EQ(Push(stream, "xababd"), "x|||ab||abd|");
  EXPECT_FALSE(stream.stopped());
}

TEST_F(TextStreams, StopsBeforeTheStopString) {
  TextStream stream(tokenizer_, {"abc"});
  EXPECT_EQ(Push(stream, "xabc"), "x||||");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(Push(stream, "y"), "|");
  EXPECT_EQ(stream.Finish(), "");
}

TEST_F(TextStreams, GivesOutWhatWasHeldWhenTheGenerationEndsOtherwise) {
  TextStream stream(tokenizer_, {"abc"});
  EXPECT_EQ(Push(stream, "xab"), "x|||");
  EXPECT_EQ(stream.Finish(), "ab");
}

TEST_F(TextStreams, OfSeveralStopsTheFirstInTheTextCounts) {
  TextStream stream(tokenizer_, {"cd", "bcde"});
  EXPECT_EQ(Push(stream, "abc"), "a|||");
  EXPECT_EQ(Push(stream, "d"), "b|");
  EXPECT_TRUE(stream.stopped());
}

TEST_F(TextStreams, NeverGivesOutHalfACharacter) {
  TextStream stream(tokenizer_, {});
  EXPECT_EQ(stream.Push(26), "");
  EXPECT_EQ(stream.Push(27), "é");
  EXPECT_EQ(stream.Push(26), "");
  EXPECT_EQ(stream.Finish(), "\xef\xbf\xbd") << "an end that can never be whole";
}

TEST_F(TextStreams, AStopMayHoldCharactersOfSeveralBytes) {
  TextStream stream(tokenizer_, {"é!"});
  EXPECT_EQ(stream.Push(26), "");
  EXPECT_EQ(stream.Push(27), "") << "held: the stop may follow";
  EXPECT_EQ(stream.Push(0), "éa");
}

}  // namespace
}  // namespace mortar
