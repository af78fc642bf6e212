// Goal: sessions that are back soon share each reading of the weights, the others take turns in
// halves; nobody waits for long, nor for who will not come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>

#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::IsEmpty;
using testing::SizeIs;

// Four sessions, whose last tokens have just left together.
class WorkerGathers : public WorkerTables {
 protected:
  static constexpr Duration kWeights = milliseconds(8);
  static constexpr Duration kSoon = milliseconds(4), kLong = milliseconds(20);  // turns
  static constexpr Duration kGap = GatherGap(kWeights);

  WorkerGathers() {
    Load();
    state_.decode_time.Add(1, kWeights);
    state_.decode_time.Add(4, kWeights);
    for (const uint8_t session : {1, 2, 3, 4}) GiveToken(session);
    EXPECT_THAT(RunBatch(kWeights), SizeIs(4)) << "of which nobody knows how long they are away";
    left_ = now_;
    state_.outbox.clear();
  }
  void GiveToken(uint8_t session) {
    const auto position = positions_[session]++;
    GiveFrame(Frame(session, 1, static_cast<uint64_t>(position) + 1, position, 1));
  }
  void SetTurns(std::initializer_list<uint8_t> sessions, Duration turn) {
    for (const uint8_t session : sessions) {
      state_.places.at(static_cast<size_t>(state_.place_of.at(Session(session)))).turn = turn;
    }
  }
  // As Give, without its token: the session is over.
  void End(uint8_t session) {
    GiveFrom(kEdge, mortar::End{Session(session)});
    Release();
  }

  Time left_;
  int positions_[5] = {};
};

TEST_F(WorkerGathers, WhoIsBackSoonGoesWithTheOthers) {
  SetTurns({1, 2, 3, 4}, kSoon);
  now_ = left_ + kSoon / 2;
  GiveToken(1);
  EXPECT_THAT(PlanNow().batch, IsEmpty());
  EXPECT_EQ(PlanNow().gathers_until, left_ + kSoon + kSoon / 4);
  for (const uint8_t session : {2, 3, 4}) GiveToken(session);
  EXPECT_THAT(PlanNow().batch, SizeIs(4)) << "all are here";
  EXPECT_FALSE(PlanNow().gathers_until);
}

TEST_F(WorkerGathers, WhoIsLateIsNotWaitedFor) {
  SetTurns({1, 2, 3, 4}, kSoon);
  now_ = left_ + kSoon;
  GiveToken(1);
  GiveToken(2);
  EXPECT_THAT(PlanNow().batch, IsEmpty());
  now_ = left_ + kSoon + kSoon / 4;
  EXPECT_THAT(PlanNow().batch, SizeIs(2));
  EXPECT_FALSE(PlanNow().gathers_until);
}

TEST_F(WorkerGathers, SessionsThatAreAwayForLongerThanATokenGoInHalves) {
  SetTurns({1, 2, 3, 4}, kLong);
  now_ = left_ + kLong;
  for (const uint8_t session : {1, 2, 3, 4}) GiveToken(session);
  const std::vector<int> first = RunBatch(kWeights);
  EXPECT_THAT(first, SizeIs(2));
  const std::vector<int> second = RunBatch(kWeights);
  EXPECT_THAT(second, SizeIs(2));
  EXPECT_NE(first[0], second[0]);
}

TEST_F(WorkerGathers, AHalfWaitsForThoseThatComeBehindItsFirstFrame) {
  SetTurns({1, 2, 3, 4}, kLong);
  now_ = left_ + kLong;
  GiveToken(1);
  EXPECT_THAT(PlanNow().batch, IsEmpty());
  EXPECT_EQ(PlanNow().gathers_until, now_ + kGap);
  now_ += kGap / 2;
  GiveToken(3);
  EXPECT_THAT(PlanNow().batch, SizeIs(2)) << "it is whole";
}

TEST_F(WorkerGathers, AHalfWaitsNoLongerThanTheGapBetweenTwoFrames) {
  SetTurns({1, 2, 3, 4}, kLong);
  now_ = left_ + kLong;
  GiveToken(1);
  now_ += kGap;
  EXPECT_THAT(PlanNow().batch, SizeIs(1));
}

TEST_F(WorkerGathers, WhoeverDribblesHoldsUpNobodyForLongerThanAPartOfABatch) {
  SetTurns({1, 2, 3, 4}, kLong);
  now_ = left_ + kLong;
  GiveToken(1);
  const Time first = now_;
  now_ = first + kWeights / kGatherPart - microseconds(1);
  state_.decode_heard = now_;
  EXPECT_EQ(PlanNow().gathers_until, first + kWeights / kGatherPart);
  now_ += microseconds(1);
  state_.decode_heard = now_;
  EXPECT_THAT(PlanNow().batch, SizeIs(1));
}

TEST_F(WorkerGathers, TheSoonGoWithHalfOfTheOthers) {
  SetTurns({1, 2}, kSoon);
  SetTurns({3, 4}, kLong);
  now_ = left_ + kSoon;
  for (const uint8_t session : {1, 2, 3, 4}) GiveToken(session);
  EXPECT_THAT(PlanNow().batch, SizeIs(3));
}

TEST_F(WorkerGathers, ASessionAloneWaitsForNobody) {
  SetTurns({1, 2, 3, 4}, kSoon);
  for (const uint8_t session : {2, 3, 4}) End(session);
  GiveToken(1);
  EXPECT_THAT(PlanNow().batch, SizeIs(1));
}

TEST_F(WorkerGathers, NobodyWaitsForOneThatHasBeenSilent) {
  SetTurns({1, 2, 3, 4}, kLong);
  now_ += kDecodeRecent;
  GiveToken(1);
  EXPECT_THAT(PlanNow().batch, SizeIs(1));
}

TEST_F(WorkerGathers, APromptWaitsForNobody) {
  SetTurns({1, 2, 3, 4}, kSoon);
  End(4);
  GiveFrame(Frame(3, 1, 2, 1, 50));
  EXPECT_THAT(PlanNow().batch, SizeIs(1)) << "sessions that decode are away";
}

TEST_F(WorkerGathers, NoPromptWaitsWhileDecodeWouldWait) {
  SetTurns({1, 2, 3, 4}, kSoon);
  End(4);
  GiveFrame(Frame(3, 1, 2, 1, 50));
  GiveToken(1);
  EXPECT_FALSE(PlanNow().gathers_until) << "though 2 is back soon";
  EXPECT_THAT(PlanNow().batch, testing::Not(IsEmpty()));
}

TEST_F(WorkerGathers, UntilItKnowsWhatTheWeightsTakeItRunsWhatIsHere) {
  state_.decode_time = {};
  SetTurns({1, 2, 3, 4}, kLong);
  for (const uint8_t session : {1, 2, 3}) GiveToken(session);
  EXPECT_THAT(PlanNow().batch, SizeIs(3));
}

TEST_F(WorkerGathers, ATurnIsTheTimeBetweenItsRowsAndItsNextToken) {
  now_ = left_ + kLong;
  GiveToken(1);
  EXPECT_EQ(SessionState(1).turn, kLong);
  RunBatch(kWeights);
  now_ += 5 * kLong;
  GiveToken(1);
  EXPECT_EQ(SessionState(1).turn, 2 * kLong) << "a quarter of what it changes";
}

// Of a frame that came while a batch ran it is known that it was not here when that began.
TEST_F(WorkerGathers, ATurnThatEndedUnseenIsBetweenTheLooksBeforeAndAfterIt) {
  SetTurns({2}, kSoon);
  SetTurns({3}, 3 * kLong);
  now_ = left_ + kLong;
  GiveToken(1);
  now_ += kGap;
  const WorkerPlan plan = PlanNow();
  const Time began = now_;
  Give(BatchStarted{&plan.batch, &plan.rows});
  now_ += kWeights;
  GiveToken(2);
  GiveToken(3);
  EXPECT_EQ(SessionState(2).turn, began - left_) << "it was away for longer than was thought";
  EXPECT_EQ(SessionState(3).turn, now_ - left_) << "and it for less";
}

TEST(DecodeTime, OfTwoSizesItTellsTheWeightsFromTheRows) {
  DecodeTime time;
  EXPECT_EQ(time.weights(), Duration{});
  time.Add(4, milliseconds(14));
  time.Add(7, milliseconds(17));
  EXPECT_EQ(time.weights(), Duration{}) << "too close to each other";
  time.Add(8, milliseconds(18));
  EXPECT_EQ(time.weights(), milliseconds(10));
  time.Add(2, milliseconds(13));
  EXPECT_EQ(time.weights(), milliseconds(13) - 2 * (Duration(milliseconds(5)) / 6));
  time.Add(2, milliseconds(12));
  EXPECT_EQ(time.weights(), milliseconds(10)) << "the shorter of two";
  time.Add(2, milliseconds(100));
  EXPECT_EQ(time.weights(), milliseconds(10)) << "something else had the core";
}

TEST(DecodeTime, IsNeverNegative) {
  DecodeTime time;
  time.Add(1, milliseconds(1));
  time.Add(16, milliseconds(100));
  EXPECT_EQ(time.weights(), Duration{});
}

}  // namespace
}  // namespace mortar
