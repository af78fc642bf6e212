// Goal: a rank that has not come in time, or has gone, is named, and a rank 0 that stood still
// itself blames nobody for it.
#include "cli/rank_watch.h"

#include <gtest/gtest.h>

#include <set>

namespace mortar {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RankWatchTest : public testing::Test {
 protected:
  std::optional<MissingRank> Look() {
    return watch_.Look(now_, [this](int rank) { return members_.contains(rank); });
  }
  // Looks ten times a second for so long, or until somebody is missing.
  std::optional<MissingRank> LookFor(Duration time) {
    for (const Time end = now_ + time; now_ < end;) {
      now_ += milliseconds(100);
      if (const auto missing = Look()) return missing;
    }
    return std::nullopt;
  }

  Time now_{};
  std::set<int> members_;
  RankWatch watch_{3, seconds(10)};
};

TEST_F(RankWatchTest, RanksThatJoinInTimeAreNotMissing) {
  EXPECT_EQ(LookFor(seconds(9)), std::nullopt);
  members_ = {1, 2, 3};
  EXPECT_EQ(LookFor(seconds(60)), std::nullopt);
}

TEST_F(RankWatchTest, TheLowestThatHasNotJoinedInTimeIsMissing) {
  members_ = {1};
  EXPECT_EQ(LookFor(seconds(60)), (MissingRank{.rank = 2, .had_joined = false}));
  EXPECT_NEAR(Seconds(now_.time_since_epoch()), 10, 0.5);
}

TEST_F(RankWatchTest, ARankThatGoesIsMissingAtOnce) {
  members_ = {1, 2, 3};
  EXPECT_EQ(LookFor(seconds(1)), std::nullopt);
  members_ = {1, 2};
  EXPECT_EQ(Look(), (MissingRank{.rank = 3, .had_joined = true}));
}

TEST_F(RankWatchTest, TimeInWhichItStoodStillItselfCountsAsOneSecond) {
  EXPECT_EQ(LookFor(seconds(5)), std::nullopt);
  now_ += hours(1);
  EXPECT_EQ(LookFor(seconds(3)), std::nullopt);
  EXPECT_EQ(LookFor(seconds(3)), (MissingRank{.rank = 1, .had_joined = false}));
}

}  // namespace
}  // namespace mortar
