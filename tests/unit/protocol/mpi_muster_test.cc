// Goal: ranks get what all ranks said, however long one of them reads; a rank that stands still is
// named in a bounded time, and nobody is blamed by a rank that stood still itself.
#include "protocol/mpi_muster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/local_mpi.h"

namespace mortar {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

// A job of three ranks in one process.
class MpiMusterTest : public testing::Test {
 protected:
  MpiMusterTest() {
    for (int rank = 0; rank < 3; ++rank) {
      ranks_.push_back(
          std::make_unique<MpiMuster>(mpi_.functions(), mpi_.job(rank), rank, 3, clock_));
    }
  }

  void Say(int rank, const std::string& text, bool last = false) {
    ranks_[static_cast<size_t>(rank)]->Say(std::as_bytes(std::span(text)), last);
  }
  MpiMuster& rank(int index) { return *ranks_[static_cast<size_t>(index)]; }
  std::string All(int index) {
    std::string text;
    for (const std::byte b : rank(index).all()) text += static_cast<char>(b);
    return text;
  }
  // All ranks but `still` look, ten times a second for so long.
  void TurnFor(Duration time, int still = -1) {
    for (const Time end = clock_.Now() + time; clock_.Now() < end;) {
      clock_.Advance(milliseconds(100));
      for (int i = 0; i < 3; ++i) {
        if (i != still) rank(i).Turn();
      }
    }
  }
  void FinishRound(const std::string& texts, bool last) {
    for (int i = 0; i < 3; ++i) Say(i, texts.substr(static_cast<size_t>(i), 1), last);
    TurnFor(seconds(1));
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(rank(i).failure().ok()) << rank(i).failure();
      EXPECT_TRUE(rank(i).complete()) << i;
      EXPECT_EQ(All(i), texts);
    }
  }
  // Messages that rank `to` has not taken from `from`.
  int Left(int from, int to) {
    int n = 0;
    MpiArrival arrival;
    while (mpi_.functions().probe(mpi_.job(to), from, &arrival) == 0 && arrival.message) ++n;
    return n;
  }

  ManualClock clock_;
  LocalMpi mpi_{3};
  std::vector<std::unique_ptr<MpiMuster>> ranks_;
};

// --- Good rounds ---

TEST_F(MpiMusterTest, EveryRankGetsWhatAllSaidInTheOrderOfRanks) {
  FinishRound("abc", false);
  FinishRound("xyz", true);
}

TEST_F(MpiMusterTest, AfterTheLastRoundNothingIsLeftInMpi) {
  TurnFor(seconds(5));
  FinishRound("abc", true);
  TurnFor(seconds(5));  // no sign of life any more
  for (int from = 0; from < 3; ++from) {
    for (int to = 0; to < 3; ++to) EXPECT_EQ(Left(from, to), 0) << from << " to " << to;
  }
}

TEST_F(MpiMusterTest, RanksMayBeARoundAheadOfRankZero) {
  Say(1, "b");
  Say(2, "c");
  TurnFor(seconds(1));
  EXPECT_FALSE(rank(1).complete());
  Say(0, "a");
  rank(0).Turn();
  rank(1).Turn();
  Say(1, "y", true);
  rank(0).Turn();
  rank(2).Turn();
  Say(2, "z", true);
  Say(0, "x", true);
  TurnFor(seconds(1));
  EXPECT_EQ(All(0), "xyz");
  EXPECT_TRUE(rank(0).complete() && rank(1).complete() && rank(2).complete());
}

TEST_F(MpiMusterTest, AJobOfOneRankAgreesWithItself) {
  LocalMpi mpi(1);
  MpiMuster alone(mpi.functions(), mpi.job(0), 0, 1, clock_);
  const std::byte mine{7};
  alone.Say(std::span(&mine, 1), true);
  alone.Turn();
  EXPECT_TRUE(alone.complete());
  EXPECT_EQ(alone.all(), std::vector{mine});
}

TEST_F(MpiMusterTest, ASignOfLifeOnItsWayHoldsNoRoundUp) {
  mpi_.Hold();
  TurnFor(seconds(5));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rank(i).complete()) << i;
  for (int i = 0; i < 3; ++i) Say(i, "x");
  mpi_.LetGo();
  TurnFor(milliseconds(200));
  mpi_.Hold();
  TurnFor(seconds(5));  // signs of life between two rounds
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rank(i).complete()) << i;
  for (int i = 0; i < 3; ++i) Say(i, "y", true);
  mpi_.LetGo();
  TurnFor(seconds(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(All(i), "yyy");
}

TEST_F(MpiMusterTest, TheLastRoundIsCompleteWhenAllThatItSentHasLeft) {
  for (int i = 0; i < 3; ++i) Say(i, "x", true);
  rank(0).Turn();  // hands on what all said
  mpi_.Hold();
  TurnFor(seconds(5));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(rank(i).complete()) << i;
  mpi_.LetGo();
  TurnFor(seconds(1));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(rank(i).complete()) << i;
}

// --- Waiting ---

TEST_F(MpiMusterTest, RankZeroMayReadItsPromptForHours) {
  Say(1, "b", true);
  Say(2, "c", true);
  TurnFor(hours(2));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rank(i).absent(), std::nullopt);
  Say(0, "a", true);
  TurnFor(seconds(1));
  EXPECT_EQ(All(2), "abc");
}

TEST_F(MpiMusterTest, ARankThatReadsItsModelForNineMinutesIsWaitedFor) {
  Say(0, "a");
  Say(1, "b");
  TurnFor(minutes(9));
  EXPECT_EQ(rank(0).absent(), std::nullopt);
  Say(2, "c");
  TurnFor(seconds(1));
  EXPECT_EQ(All(0), "abc");
}

TEST_F(MpiMusterTest, ARankThatReadsForTenMinutesIsMissingAlthoughItLives) {
  Say(0, "a");
  Say(1, "b");
  TurnFor(kMusterReadyMax + seconds(1));
  EXPECT_EQ(rank(0).absent(), (AbsentRank{.rank = 2, .silent = false}));
}

// --- Standing still ---

TEST_F(MpiMusterTest, RankZeroNamesARankThatStandsStillAfterTenSeconds) {
  TurnFor(seconds(30));
  TurnFor(seconds(9), 2);
  EXPECT_EQ(rank(0).absent(), std::nullopt);
  TurnFor(seconds(2), 2);
  EXPECT_EQ(rank(0).absent(), (AbsentRank{.rank = 2, .silent = true}));
  EXPECT_EQ(rank(1).absent(), std::nullopt);  // it speaks with rank 0 alone
}

TEST_F(MpiMusterTest, ARankThatStandsStillAfterItHasSaidItsPartIsMissingToo) {
  Say(2, "c", true);
  TurnFor(seconds(11), 2);
  EXPECT_EQ(rank(0).absent(), (AbsentRank{.rank = 2, .silent = true}));
}

TEST_F(MpiMusterTest, ARankThatStandsStillBeforeItsLastWordIsMissing) {
  for (int i = 0; i < 3; ++i) Say(i, "x", true);
  TurnFor(seconds(11), 2);
  EXPECT_FALSE(rank(0).complete());
  EXPECT_EQ(rank(0).absent(), (AbsentRank{.rank = 2, .silent = true}));
  EXPECT_TRUE(rank(1).complete());
}

TEST_F(MpiMusterTest, ARankThatGoesOnInTimeIsNoLongerMissing) {
  TurnFor(seconds(11), 2);
  EXPECT_NE(rank(0).absent(), std::nullopt);
  TurnFor(seconds(1));
  EXPECT_EQ(rank(0).absent(), std::nullopt);
  FinishRound("abc", true);
}

TEST_F(MpiMusterTest, RankOneMissesRankZeroFirstAndTheNextASecondLater) {
  TurnFor(milliseconds(kMusterSilenceMax / milliseconds(1)) + milliseconds(500), 0);
  EXPECT_EQ(rank(1).absent(), (AbsentRank{.rank = 0, .silent = true}));
  EXPECT_EQ(rank(2).absent(), std::nullopt);
  TurnFor(seconds(1), 0);
  EXPECT_EQ(rank(2).absent(), (AbsentRank{.rank = 0, .silent = true}));
}

TEST_F(MpiMusterTest, AJobThatWasSuspendedAsAWholeGoesOn) {
  Say(0, "a");
  TurnFor(seconds(5));
  clock_.Advance(hours(10));
  TurnFor(seconds(5));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rank(i).absent(), std::nullopt);
}

// --- What no rank of ours sends ---

TEST_F(MpiMusterTest, WhateverBreaksTheProtocolIsAFailureThatNamesTheRank) {
  struct Case {
    int from, to, tag;
    std::string bytes;
  };
  const std::vector<Case> cases = {
      {2, 0, 1, "a head of the transport"},
      {2, 0, kMusterLife, "x"},
      {2, 0, kMusterAll, "x"},
      {2, 0, kMusterDone, ""},
      {0, 2, kMusterSaid, "x"},
      {0, 2, kMusterAll, "abc"},
      {2, 0, kMusterSaid, std::string(kMusterBytesMax * 3 + 1, 'x')},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.tag);
    MpiMuster muster(mpi_.functions(), mpi_.job(c.to), c.to, 3, clock_);
    mpi_.Put(c.from, c.to, c.tag, c.bytes);
    muster.Turn();
    EXPECT_THAT(muster.failure().message(), HasSubstr("rank " + std::to_string(c.from) + " sent"));
  }
}

TEST_F(MpiMusterTest, RanksThatSayUnequallyManyBytesAreAFailure) {
  Say(0, "a");
  Say(1, "b");
  Say(2, "cc");
  TurnFor(seconds(1));
  EXPECT_THAT(rank(0).failure().message(), HasSubstr("rank 2 said 2 bytes, expected 1"));
}

TEST_F(MpiMusterTest, AnErrorOfMpiIsAFailure) {
  mpi_.FailSends(17);
  rank(1).Turn();
  EXPECT_THAT(rank(1).failure().message(), HasSubstr("error 17"));
}

}  // namespace
}  // namespace mortar
