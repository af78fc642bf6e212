// Goal: how many guesses a step carries follows what became of the last ones, row by row of the
// table in edge/draft_length.h.
#include "edge/draft_length.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace mortar {
namespace {

using testing::ElementsAre;

TEST(DraftLength, GuessesThatHoldDoubleItUpToTheMost) {
  DraftLength length(15);
  std::vector<int> carried;
  for (int i = 0; i < 4; ++i) {
    carried.push_back(length.Next());
    length.Stepped(length.Next(), length.Next());
  }
  EXPECT_THAT(carried, ElementsAre(4, 8, 15, 15));
}

TEST(DraftLength, SomeThatHoldGiveOneMoreThanThose) {
  DraftLength length(8);
  length.Stepped(4, 2);
  EXPECT_EQ(length.Next(), 3);
  length.Stepped(8, 7);
  EXPECT_EQ(length.Next(), 8);
}

TEST(DraftLength, NeverMoreThanTheMost) {
  EXPECT_EQ(DraftLength(0).Next(), 0);
  EXPECT_EQ(DraftLength(2).Next(), 2);
  DraftLength length(1);
  length.Stepped(1, 1);
  EXPECT_EQ(length.Next(), 1);
  length.Refused();
  for (int i = 0; i < DraftLength::kPauseMax; ++i) length.Stepped(0, 0);
  EXPECT_EQ(length.Next(), 1);
  DraftLength none(0);
  none.Stepped(0, 0);
  none.Refused();
  for (int i = 0; i <= DraftLength::kPauseMax; ++i) none.Stepped(0, 0);
  EXPECT_EQ(none.Next(), 0);
}

// The steps without a guess before each one that carried guesses, which fail.
std::vector<int> PausesOf(DraftLength& length, int guesses) {
  std::vector<int> pauses;
  for (int i = 0; i < guesses; ++i) {
    pauses.push_back(0);
    for (; length.Next() == 0; ++pauses.back()) length.Stepped(0, 0);
    length.Stepped(length.Next(), 0);
  }
  return pauses;
}

TEST(DraftLength, GuessesThatFailAgainAndAgainArePausedForLongerEachTime) {
  DraftLength length(15);
  EXPECT_THAT(PausesOf(length, 8), ElementsAre(0, 0, 2, 4, 8, 16, 32, 32));
}

TEST(DraftLength, AfterAFailureItIsOneGuessUntilOneHolds) {
  DraftLength length(15);
  length.Stepped(4, 0);
  EXPECT_EQ(length.Next(), 1);
  length.Stepped(1, 1);
  EXPECT_EQ(length.Next(), 2);
  EXPECT_THAT(PausesOf(length, 3), ElementsAre(0, 0, 2)) << "failures before are forgotten";
}

TEST(DraftLength, AStepForWhichThereWereNoGuessesChangesNothing) {
  DraftLength length(15);
  length.Stepped(4, 4);
  length.Stepped(0, 0);
  EXPECT_EQ(length.Next(), 8);
}

TEST(DraftLength, ARefusalPausesItForAsLongAsFailuresCan) {
  DraftLength length(15);
  length.Refused();
  int pause = 0;
  for (; length.Next() == 0; ++pause) length.Stepped(0, 0);
  EXPECT_EQ(pause, DraftLength::kPauseMax);
  EXPECT_EQ(length.Next(), 1);
}

}  // namespace
}  // namespace mortar
