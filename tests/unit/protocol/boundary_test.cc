// Goal: what enters a node has the shape and the finite values that its envelope promises, and
// what does not is named.
#include "protocol/boundary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mortar {
namespace {

using testing::HasSubstr;

class Boundary : public testing::Test {
 protected:
  static constexpr int kWidth = 64;

  Activation Frame(int n) {
    Activation frame;
    frame.rows = pool_.Take(n, kWidth);
    for (int i = 0; i < n * kWidth; ++i) frame.rows.mutable_data()[i] = static_cast<float>(-i);
    frame.envelope.n = static_cast<uint32_t>(n);
    return frame;
  }
  static std::string Refusal(const Activation& frame) { return Message(CheckFrame(frame, kWidth)); }

  RowsPool pool_;
};

TEST_F(Boundary, TakesFramesUpToTheLargest) {
  EXPECT_TRUE(CheckFrame(Frame(1), kWidth).ok());
  EXPECT_TRUE(CheckFrame(Frame(FrameRowsMax(kWidth)), kWidth).ok());
}

TEST_F(Boundary, RefusesRowsBeyondTheFrameLimit) {
  EXPECT_THAT(Refusal(Frame(FrameRowsMax(kWidth) + 1)), HasSubstr("at most 1024 are allowed"));
}

TEST_F(Boundary, RefusesAFrameWithoutRowsAndAnAnswer) {
  Activation frame = Frame(1);
  frame.envelope.flags = kFlagAnswer;
  EXPECT_THAT(Refusal(frame), HasSubstr("an answer"));
  EXPECT_THAT(Refusal(Activation{}), HasSubstr("without rows"));
}

TEST_F(Boundary, RefusesRowsThatDoNotFitTheEnvelope) {
  Activation frame = Frame(3);
  frame.envelope.n = 2;
  EXPECT_THAT(Refusal(frame), HasSubstr("rows [3, 64], its envelope says [2, 64]"));
  frame.envelope.n = 3;
  EXPECT_THAT(Message(CheckFrame(frame, 32)), HasSubstr("its envelope says [3, 32]"));
}

TEST_F(Boundary, RefusesUnknownFlagsHopsAndWishes) {
  Activation frame = Frame(1);
  frame.envelope.flags = 0x80;
  EXPECT_THAT(Refusal(frame), HasSubstr("unknown flags"));
  frame = Frame(1);
  frame.envelope.n_hops = kHopsMax;
  EXPECT_THAT(Refusal(frame), HasSubstr("remaining hops"));
  frame = Frame(1);
  frame.envelope.rows_wanted = static_cast<RowsWanted>(9);
  EXPECT_THAT(Refusal(frame), HasSubstr("unknown kind"));
}

TEST_F(Boundary, RefusesPositionsThatOverflow) {
  Activation frame = Frame(2);
  frame.envelope.base = std::numeric_limits<int32_t>::max() - 1;
  EXPECT_THAT(Refusal(frame), HasSubstr("beyond 2^31"));
  frame.envelope.base = std::numeric_limits<uint32_t>::max();
  EXPECT_THAT(Refusal(frame), HasSubstr("beyond 2^31"));
}

TEST_F(Boundary, NamesTheRowAndColumnThatIsNotFinite) {
  for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
    Activation frame = Frame(5);
    frame.rows.mutable_data()[3 * kWidth + 17] = bad;
    EXPECT_EQ(Refusal(frame), "row 3, column 17 is not finite");
  }
  Activation frame = Frame(5);  // extreme, but finite
  frame.rows.mutable_data()[0] = std::numeric_limits<float>::max();
  frame.rows.mutable_data()[1] = std::numeric_limits<float>::denorm_min();
  EXPECT_TRUE(CheckFrame(frame, kWidth).ok());
}

TEST_F(Boundary, AnswersMayBeEmptyAndHaveNoHopsLeft) {
  Activation answer;
  answer.envelope.flags = kFlagAnswer;
  EXPECT_TRUE(CheckAnswer(answer, kWidth).ok());
  answer.envelope.n_hops = 1;
  EXPECT_THAT(Message(CheckAnswer(answer, kWidth)), HasSubstr("remaining hops"));
  EXPECT_THAT(Message(CheckAnswer(Frame(1), kWidth)), HasSubstr("a frame came to an edge"));
}

}  // namespace
}  // namespace mortar
