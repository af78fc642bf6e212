// Goal: frames and batches: one test for each row of the tables in worker/state.h and
// worker/plan.cc that speaks of them. The step rules of the protocol are here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- Frames: the step rules ---

TEST_F(WorkerTables, AFrameThatBrokeABoundIsRejected) {
  Load();
  Give(
      FrameBroken{Frame(1, 1, 1, 0, 1).envelope, InvalidArgument("row 0, column 3 is not finite")});
  EXPECT_EQ(state_.outbox.at(0).to, kEdge);
  EXPECT_EQ(Message(TakeOwed<Rejected>().status), "row 0, column 3 is not finite");
}

TEST_F(WorkerTables, WithoutLayersItAnswersNeedRoute) {
  Join();
  GiveFrame(Frame(1, 3, 9, 0, 1));
  const NeedRoute need = TakeOwed<NeedRoute>();
  EXPECT_EQ(need.session, Session(1));
  EXPECT_EQ(need.epoch, 3u);
  EXPECT_EQ(need.step, 9u);
}

TEST_F(WorkerTables, AFrameForOtherLayersNeedsARoute) {
  Load();  // layers [1, 5)
  Activation frame = Frame(1, 1, 1, 0, 4);
  frame.envelope.layer = 2;
  GiveFrame(std::move(frame));
  EXPECT_EQ(state_.counters.need_route, 1u);
  ASSERT_EQ(state_.outbox.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<NeedRoute>(state_.outbox[0].message));
  EXPECT_TRUE(state_.place_of.empty());
}

TEST_F(WorkerTables, AFrameThatDoesNotSayItsLayerIsTaken) {
  Load();
  Activation frame = Frame(1, 1, 1, 0, 4);
  frame.envelope.layer.reset();
  GiveFrame(std::move(frame));
  EXPECT_EQ(state_.counters.need_route, 0u);
  EXPECT_EQ(state_.place_of.size(), 1u);
}

TEST_F(WorkerTables, AcceptsFramesThatFollowOneAnother) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 20));
  GiveFrame(Frame(1, 1, 2, 20, 20));
  EXPECT_EQ(SessionState(1).have, 40);
  EXPECT_EQ(SessionState(1).frames.size(), 2u);
  EXPECT_TRUE(state_.outbox.empty());
}

TEST_F(WorkerTables, DropsAndCountsALowerEpoch) {
  Load();
  GiveFrame(Frame(1, 2, 5, 0, 4));
  GiveFrame(Frame(1, 1, 6, 4, 4));
  EXPECT_EQ(state_.counters.old_epoch, 1u);
  EXPECT_EQ(SessionState(1).have, 4);
  EXPECT_TRUE(state_.outbox.empty());
}

TEST_F(WorkerTables, DropsAndCountsAnOldStep) {
  Load();
  GiveFrame(Frame(1, 1, 5, 0, 4));
  GiveFrame(Frame(1, 1, 5, 0, 4));  // a duplicate
  GiveFrame(Frame(1, 1, 4, 0, 4));  // overtaken
  EXPECT_EQ(state_.counters.old_step, 2u);
  EXPECT_EQ(state_.frames_queued, 1);
}

TEST_F(WorkerTables, AHigherEpochKeepsTheKvAndDropsWhatWasQueued) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 8));
  RunBatch();
  GiveFrame(Frame(1, 1, 2, 8, 8));  // queued, not applied
  GiveFrame(Frame(1, 2, 3, 8, 1));
  EXPECT_EQ(SessionState(1).epoch, 2u);
  EXPECT_EQ(SessionState(1).have, 9);
  ASSERT_EQ(SessionState(1).frames.size(), 1u);
  EXPECT_EQ(SessionState(1).frames.front().envelope.step, 3u);
  EXPECT_EQ(state_.frames_queued, 1);
}

TEST_F(WorkerTables, AHigherEpochBeyondWhatWasAppliedNeedsThePrefix) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 8));
  RunBatch();
  state_.outbox.clear();
  GiveFrame(Frame(1, 1, 2, 8, 8));
  GiveFrame(Frame(1, 2, 3, 16, 1));  // its edge thinks that 8 to 16 were applied
  EXPECT_EQ(TakeOwed<NeedPrefix>().have, 8);
  EXPECT_EQ(SessionState(1).epoch, 2u);
}

TEST_F(WorkerTables, BaseBeyondWhatItHasNeedsThePrefixAndAppliesNothing) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 8));
  GiveFrame(Frame(1, 1, 3, 16, 8));
  const NeedPrefix need = TakeOwed<NeedPrefix>();
  EXPECT_EQ(need.have, 8);
  EXPECT_EQ(need.step, 3u);
  EXPECT_EQ(SessionState(1).have, 8);
  GiveFrame(Frame(1, 1, 2, 8, 8));  // the step between is not old: nothing newer was applied
  EXPECT_EQ(SessionState(1).have, 16);
}

TEST_F(WorkerTables, AnUnknownSessionThatDoesNotBeginAtZeroNeedsThePrefix) {
  Load();
  GiveFrame(Frame(1, 1, 7, 5, 1));
  EXPECT_EQ(TakeOwed<NeedPrefix>().have, 0);
  EXPECT_TRUE(state_.place_of.empty());
}

TEST_F(WorkerTables, ALowerBaseTruncatesAndAppends) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 20));
  RunBatch();
  GiveFrame(Frame(1, 1, 2, 10, 2));
  EXPECT_EQ(SessionState(1).have, 12);
  RunBatch();
  EXPECT_EQ(SessionState(1).applied_have, 12);
}

TEST_F(WorkerTables, AnotherEdgeCannotWriteIntoASession) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  Activation frame = Frame(1, 9, 9, 0, 4);
  frame.envelope.edge = kOtherEdge;
  GiveFrame(std::move(frame));
  EXPECT_EQ(state_.counters.foreign_edge, 1u);
  EXPECT_EQ(SessionState(1).epoch, 1u);
}

TEST_F(WorkerTables, ANodeThatNamesTheEdgeOfASessionCannotWriteIntoIt) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  const Time heard = SessionState(1).heard;
  now_ += std::chrono::seconds(1);
  GiveFrom(kOtherEdge, Frame(1, 9, 9, 0, 4));
  EXPECT_EQ(state_.counters.foreign_edge, 1u);
  EXPECT_EQ(SessionState(1).epoch, 1u);
  EXPECT_EQ(SessionState(1).heard, heard) << "nor keep it alive";
  GiveFrame(Frame(1, 1, 2, 4, 4));
  EXPECT_EQ(SessionState(1).have, 8);
}

TEST_F(WorkerTables, FramesOfTheWorkerBeforeAreTakenFromItAlone) {
  Load();
  const NodeId before{71};
  GiveFrom(before, Frame(1, 1, 1, 0, 4));
  GiveFrom(before, Frame(1, 2, 2, 4, 4));
  EXPECT_EQ(SessionState(1).epoch, 2u);
  GiveFrame(Frame(1, 3, 3, 8, 4));  // the edge sends to the first hop
  EXPECT_EQ(state_.counters.foreign_edge, 1u);
  EXPECT_EQ(SessionState(1).epoch, 2u);
}

TEST_F(WorkerTables, AnotherEdgeCannotEndASession) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  GiveFrom(kOtherEdge, End{Session(1)});
  GiveFrom(kOtherEdge, Cancel{Session(1)});
  EXPECT_EQ(state_.counters.foreign_edge, 2u);
  GiveFrame(Frame(1, 1, 2, 4, 4));
  EXPECT_EQ(SessionState(1).have, 8);
}

// --- Limits ---

TEST_F(WorkerTables, AFullQueueOfASessionIsRejectedAndItGoesOnAfterwards) {
  Load();
  for (uint64_t i = 0; i < 4; ++i) GiveFrame(Frame(1, 1, i + 1, static_cast<int>(i), 1));
  GiveFrame(Frame(1, 1, 5, 4, 1));
  EXPECT_TRUE(absl::IsResourceExhausted(TakeOwed<Rejected>().status));
  EXPECT_EQ(SessionState(1).have, 4);
  RunBatch();
  state_.outbox.clear();
  GiveFrame(Frame(1, 1, 5, 4, 1));
  EXPECT_EQ(SessionState(1).have, 5);
}

TEST_F(WorkerTables, PagesAreTakenWhenAFrameIsAcceptedAndRejectedWhenTheyAreOut) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 100));
  EXPECT_EQ(state_.pages_free, kPages - 2);
  GiveFrame(Frame(1, 1, 2, 100, 28));
  EXPECT_EQ(state_.pages_free, kPages - 2) << "the second page had room";
  for (uint8_t i = 2; i <= 4; ++i) GiveFrame(Frame(i, 1, 1, 0, 128));
  EXPECT_EQ(state_.pages_free, 0);
  RunBatch();
  state_.outbox.clear();
  GiveFrame(Frame(1, 1, 3, 128, 1));
  EXPECT_THAT(Message(TakeOwed<Rejected>().status), HasSubstr("64 positions wanted, 0 free"));
}

TEST_F(WorkerTables, SessionsBeyondItsPlacesAreRejected) {
  Load();
  for (uint8_t i = 1; i <= 4; ++i) GiveFrame(Frame(i, 1, 1, 0, 1));
  GiveFrame(Frame(5, 1, 1, 0, 1));
  EXPECT_THAT(Message(TakeOwed<Rejected>().status), HasSubstr("4 sessions already"));
}

TEST_F(WorkerTables, AFrameBeyondTheContextIsRejected) {
  Load();
  for (int i = 0; i < 4; ++i) {
    GiveFrame(Frame(1, 1, static_cast<uint64_t>(i) + 1, 100 * i, 100));
    RunBatch();
    state_.outbox.clear();
  }
  GiveFrame(Frame(1, 1, 5, 400, 101));
  EXPECT_THAT(Message(TakeOwed<Rejected>().status), HasSubstr("position 501 is beyond"));
}

TEST_F(WorkerTables, AFrameOfMoreRowsThanABatchIsRejected) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 129));
  EXPECT_THAT(Message(TakeOwed<Rejected>().status), HasSubstr("129 rows, this worker runs 128"));
}

// --- Batches ---

TEST_F(WorkerTables, RowsGoToTheNextHopWithOneHopLess) {
  Load();
  Activation frame = Frame(1, 1, 1, 0, 3);
  frame.envelope.n_hops = 2;
  frame.envelope.hops[0] = kNextHop;
  frame.envelope.hops[1] = NodeId{71};
  GiveFrame(std::move(frame));
  RunBatch();
  EXPECT_EQ(state_.outbox.at(0).to, kNextHop);
  const Activation out = TakeOwed<Activation>();
  EXPECT_EQ(out.envelope.n_hops, 1);
  EXPECT_EQ(out.envelope.hops[0], NodeId{71});
  EXPECT_EQ(out.envelope.hops[1], kNoNode);
  EXPECT_FALSE(out.envelope.is_answer());
  EXPECT_EQ(out.envelope.n, 3u);
}

TEST_F(WorkerTables, TheLastHopAnswersTheRowsThatAreWanted) {
  Load();
  for (const int wanted : {0, 1, 3}) {
    const uint64_t step = static_cast<uint64_t>(wanted) + 1;
    GiveFrame(Frame(1, 1, step, 5 * (wanted > 0 ? 1 : 0), 5));
    const WorkerPlan plan = PlanNow();
    Give(BatchStarted{&plan.batch});
    const uint32_t base = state_.running[0].envelope.base;
    if (wanted > 0) state_.running[0].rows_out = pool_.Take(wanted, kWidth);
    Give(BatchDone{});
    EXPECT_EQ(state_.outbox.at(0).to, kEdge);
    const Activation answer = TakeOwed<Activation>();
    EXPECT_TRUE(answer.envelope.is_answer());
    EXPECT_EQ(answer.envelope.step, step);
    EXPECT_EQ(answer.envelope.n, static_cast<uint32_t>(wanted));
    EXPECT_EQ(answer.envelope.base, base + 5 - static_cast<uint32_t>(wanted));
  }
}

TEST_F(WorkerTables, MergesFramesOfSeveralSessionsOneEach) {
  Load();
  for (uint8_t i = 1; i <= 3; ++i) {
    GiveFrame(Frame(i, 1, 1, 0, 1));
    GiveFrame(Frame(i, 1, 2, 1, 1));
  }
  EXPECT_EQ(RunBatch().size(), 3u);
  EXPECT_EQ(state_.outbox.size(), 3u);
  EXPECT_EQ(RunBatch().size(), 3u);
  EXPECT_EQ(state_.frames_queued, 0);
}

TEST_F(WorkerTables, DecodeGoesBeforePrefill) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 60));
  GiveFrame(Frame(2, 1, 1, 0, 1));
  const int decode = state_.place_of.at(Session(2));
  EXPECT_THAT(RunBatch(), ElementsAre(decode));
  EXPECT_THAT(RunBatch(), ElementsAre(state_.place_of.at(Session(1))));
}

TEST_F(WorkerTables, PrefillRunsAfterAStreakOfDecode) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 60));
  const int prefill = state_.place_of.at(Session(1));
  for (int i = 0; i < kDecodeStreakMax; ++i) {
    GiveFrame(Frame(2, 1, static_cast<uint64_t>(i) + 1, i, 1));
    EXPECT_THAT(RunBatch(), testing::Not(testing::Contains(prefill)));
  }
  GiveFrame(Frame(2, 1, 100, kDecodeStreakMax, 1));
  EXPECT_THAT(RunBatch(), ElementsAre(prefill, state_.place_of.at(Session(2))));
  EXPECT_EQ(state_.decode_streak, 0);
}

TEST_F(WorkerTables, DecodeWithoutPrefillIsNoStreak) {
  Load();
  for (int i = 0; i < 2 * kDecodeStreakMax; ++i) {
    GiveFrame(Frame(1, 1, static_cast<uint64_t>(i) + 1, i, 1));
    RunBatch();
    EXPECT_EQ(state_.decode_streak, 0);
  }
  // So a prompt that comes now waits its turn like any other.
  GiveFrame(Frame(2, 1, 1, 0, 60));
  GiveFrame(Frame(1, 1, 100, 2 * kDecodeStreakMax, 1));
  EXPECT_THAT(RunBatch(), ElementsAre(state_.place_of.at(Session(1))));
  EXPECT_EQ(state_.decode_streak, 1);
}

TEST_F(WorkerTables, ABatchHoldsAtMostRowsMaxAndTakesTurns) {
  Load();
  for (uint8_t i = 1; i <= 3; ++i) GiveFrame(Frame(i, 1, 1, 0, 60));
  const auto place = [&](uint8_t i) { return state_.place_of.at(Session(i)); };
  EXPECT_THAT(RunBatch(), ElementsAre(place(1), place(2)));
  GiveFrame(Frame(1, 1, 2, 60, 60));
  EXPECT_THAT(RunBatch(), ElementsAre(place(3), place(1)));
}

TEST_F(WorkerTables, NothingIsPlannedWhileAJobHasTheEngine) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 1));
  const WorkerPlan plan = PlanNow();
  Give(BatchStarted{&plan.batch});
  GiveFrame(Frame(2, 1, 1, 0, 1));
  GiveFrom(kEdge, End{Session(1)});
  const WorkerPlan busy = PlanNow();
  EXPECT_THAT(busy.batch, IsEmpty());
  EXPECT_THAT(busy.release, IsEmpty());
  EXPECT_FALSE(busy.load);
}

TEST_F(WorkerTables, TheEndOfASessionIsAnsweredWithWhatWasDoneForIt) {
  Load();
  for (const uint64_t step : {1, 2}) {
    GiveFrame(Frame(1, 1, step, step == 1 ? 0 : 5, 5));
    RunBatch(std::chrono::milliseconds(3));
  }
  state_.outbox.clear();
  Give(FrameSent{.session = Session(1), .bytes = 700, .rows = 5});
  Give(FrameSent{.session = Session(1), .bytes = 200, .rows = 1});
  Give(FrameSent{.session = Session(2), .bytes = 9, .rows = 9});  // unknown: nobody's
  GiveFrom(kEdge, End{Session(1)});
  EXPECT_EQ(TakeOwed<Ended>(), (Ended{Session(1), 2, 900, 6, 6'000'000}));
  GiveFrom(kEdge, End{Session(1)});
  EXPECT_TRUE(state_.outbox.empty()) << "once";
}

}  // namespace
}  // namespace mortar
