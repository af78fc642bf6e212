// Goal: frames and tokens of a running session; one test for each row of the tables in
// edge/state.h and edge/plan.cc that speaks of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(EdgeTables, APromptLeavesInChunksWithTheRouteInItsEnvelope) {
  GenerateRequest request = RequestOf(10);
  request.chunk_rows = 4;
  Submit(request);
  Admit(0, 1);
  std::vector<Activation> frames;
  for (int i = 0; i < 3; ++i) frames.push_back(RunFront().at(0));
  EXPECT_THAT(PlanNow().front, IsEmpty());
  const Envelope& e = frames[1].envelope;
  EXPECT_EQ(e.session, Session(1));
  EXPECT_EQ(e.edge, kSelf);
  EXPECT_EQ(e.epoch, 1u);
  EXPECT_EQ(e.step, 2u);
  EXPECT_EQ(e.base, 4u);
  EXPECT_EQ(e.n, 4u);
  EXPECT_EQ(e.n_hops, 1);
  EXPECT_EQ(e.hops[0], kWorkerB);
  EXPECT_EQ(e.rows_wanted, RowsWanted::kAll) << "the back layers need every position";
  EXPECT_EQ(frames[2].envelope.n, 2u);
}

TEST_F(EdgeTables, AtMostFourFramesAreInFlight) {
  GenerateRequest request = RequestOf(10);
  request.chunk_rows = 1;
  Submit(request);
  Admit(0, 1);
  std::vector<Activation> frames;
  for (int i = 0; i < kFramesInFlightMax; ++i) frames.push_back(RunFront().at(0));
  EXPECT_THAT(PlanNow().front, IsEmpty());
  GiveFrom(kWorkerB, AnswerTo(frames[0]));
  RunBack();
  EXPECT_EQ(Slot(0).answered, 1);
  EXPECT_EQ(PlanNow().front.size(), 1u) << "the answer is the credit";
}

TEST_F(EdgeTables, AtMostOneMebibyteOfRowsIsInFlight) {
  EdgeOptions o = state_.options;
  o.model.n_embd = 16384;  // a frame holds four rows of 64 KiB
  o.model.n_layers = 6;
  SetOptions(o);
  Submit(RequestOf(30));
  Admit(0, 1);
  EXPECT_EQ(Slot(0).chunk_rows, 4);
  Slot(0).chunk_rows = 3;
  for (int i = 0; i < 4; ++i) RunFront();
  EXPECT_EQ(Slot(0).bytes_in_flight, 12u * 65536);
  Slot(0).in_flight.pop_front();  // as if only bytes counted
  Slot(0).chunk_rows = 5;
  EXPECT_THAT(PlanNow().front, IsEmpty()) << "17 rows would be more than 1 MiB";
  Slot(0).chunk_rows = 4;
  EXPECT_EQ(PlanNow().front.size(), 1u);
}

TEST_F(EdgeTables, ARouteThatAllowsLessInFlightIsKept) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(20));
  Give(Admitted{0});
  Route route = RouteFor(0, 1);
  route.grant.frames_in_flight_max = 2;
  route.grant.row_bytes_in_flight_max = 5 * kWidth * sizeof(float) + 1;
  GiveFrom(kCoordinatorNode, route);
  const Activation first = RunFront().at(0);
  EXPECT_EQ(first.envelope.n, 5u) << "a chunk fits what may be in flight";
  EXPECT_THAT(PlanNow().front, IsEmpty());
  Slot(0).chunk_rows = 1;
  GiveFrom(kWorkerB, AnswerTo(first));
  RunBack();
  for (int i = 0; i < 2; ++i) RunFront();
  EXPECT_THAT(PlanNow().front, IsEmpty()) << "two frames";
}

TEST_F(EdgeTables, WhatItsLayersTakeIsCountedAndNotTheWaitBetween) {
  Submit(RequestOf(5, 1));
  Admit(0, 1);
  const Activation frame = RunFront(milliseconds(2)).at(0);
  now_ += milliseconds(100);
  GiveFrom(kWorkerB, AnswerTo(frame));
  RunBack(7, milliseconds(3));
  TextOut();
  EXPECT_EQ(finished_->timings.compute, milliseconds(5));
  EXPECT_EQ(finished_->timings.ttft, milliseconds(100));
}

TEST_F(EdgeTables, DecodeIsOneRowAStepUntilTheLength) {
  Submit(RequestOf(5, 3));
  Admit(0, 1);
  OneStep(7);
  EXPECT_EQ(TextOut(), "h");
  const Activation frame = RunFront().at(0);
  EXPECT_EQ(frame.envelope.base, 5u);
  EXPECT_EQ(frame.envelope.n, 1u);
  GiveFrom(kWorkerB, AnswerTo(frame));
  RunBack(8);
  now_ += milliseconds(5);
  OneStep(9);
  EXPECT_EQ(TextOut(), "ij");
  ASSERT_TRUE(finished_.has_value());
  EXPECT_EQ(finished_->reason, FinishReason::kLength);
  EXPECT_EQ(finished_->timings.output_tokens, 3);
  EXPECT_EQ(finished_->timings.prompt_tokens, 5);
  EXPECT_EQ(finished_->timings.decode, milliseconds(5));
  EXPECT_EQ(finished_->timings.compute, Duration{});
  ASSERT_EQ(state_.outbox.size(), 2u);
  EXPECT_EQ(std::get<End>(state_.outbox[0].message).session, Session(1));
}

TEST_F(EdgeTables, AnEndOfGenerationTokenIsNoPartOfTheAnswer) {
  Submit(RequestOf(5));
  Admit(0, 1);
  OneStep(0);
  OneStep(25);
  EXPECT_EQ(TextOut(), "a");
  EXPECT_EQ(finished_->reason, FinishReason::kStop);
  EXPECT_EQ(finished_->timings.output_tokens, 1);
}

TEST_F(EdgeTables, LogitsThatNameNoTokenEndItWithTheReason) {
  Submit(RequestOf(5));
  Admit(0, 1);
  OneStep(1);
  OneStep(kNoToken);
  EXPECT_EQ(TextOut(), "b");
  EXPECT_EQ(finished_->reason, FinishReason::kError);
  EXPECT_TRUE(absl::IsDataLoss(finished_->status));
  EXPECT_THAT(Message(finished_->status), HasSubstr("not finite"));
}

TEST_F(EdgeTables, IgnoreEndGoesOn) {
  GenerateRequest request = RequestOf(5);
  request.ignore_end = true;
  Submit(request);
  Admit(0, 1);
  OneStep(25);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRunning);
  EXPECT_EQ(Slot(0).tokens.size(), 6u);
}

TEST_F(EdgeTables, AStopStringEndsItAndIsNotShown) {
  GenerateRequest request = RequestOf(5);
  request.stops = {"cd"};
  Submit(request);
  Admit(0, 1);
  for (const Token token : {1, 2, 3}) OneStep(token);
  EXPECT_EQ(TextOut(), "b");
  EXPECT_EQ(finished_->reason, FinishReason::kStop);
}

TEST_F(EdgeTables, AFullContextEndsWithLength) {
  Submit(RequestOf(254, 100));
  Admit(0, 1);
  while (Slot(0).sent < 254) {
    for (const Activation& frame : RunFront()) GiveFrom(kWorkerB, AnswerTo(frame));
    RunBack(0);
  }
  OneStep(1);
  EXPECT_EQ(TextOut(), "ab");
  EXPECT_EQ(finished_->reason, FinishReason::kLength);
}

TEST_F(EdgeTables, AnswersAreTakenInOrderHoweverTheyCome) {
  GenerateRequest request = RequestOf(8);
  request.chunk_rows = 4;
  Submit(request);
  Admit(0, 1);
  const Activation first = RunFront().at(0);
  const Activation second = RunFront().at(0);
  GiveFrom(kWorkerB, AnswerTo(second));
  EXPECT_THAT(PlanNow().back, IsEmpty());
  GiveFrom(kWorkerB, AnswerTo(first));
  RunBack();
  EXPECT_EQ(Slot(0).answered, 4);
  RunBack();
  EXPECT_EQ(Slot(0).answered, 8);
  EXPECT_EQ(Slot(0).tokens.size(), 9u);
}

TEST_F(EdgeTables, DuplicatesAndAnswersOfOlderEpochsAreDropped) {
  Submit(RequestOf(5));
  Admit(0, 1);
  const Activation frame = RunFront().at(0);
  GiveFrom(kWorkerB, AnswerTo(frame));
  GiveFrom(kWorkerB, AnswerTo(frame));
  EXPECT_EQ(state_.counters.old_answers, 1u);
  GiveFrom(kWorkerB, NeedPrefix{.session = Session(1), .epoch = 0, .step = 1, .have = 0});
  EXPECT_EQ(state_.counters.old_answers, 2u);
  EXPECT_EQ(Slot(0).epoch, 1u);
}

TEST_F(EdgeTables, OnlyTheLastHopAnswers) {
  Submit(RequestOf(5));
  Admit(0, 1);
  const Activation answer = AnswerTo(RunFront().at(0));
  GiveFrom(kWorkerA, answer);
  Give(AnswerBroken{kWorkerA, answer.envelope});
  EXPECT_EQ(state_.counters.unexpected, 2u);
  EXPECT_EQ(Slot(0).epoch, 1u);
  GiveFrom(kWorkerB, answer);
  EXPECT_TRUE(Slot(0).in_flight.front().arrived);
}

TEST_F(EdgeTables, AnAnswerFromOtherLayersNeedsAnotherRoute) {
  Submit(RequestOf(5));
  Admit(0, 1);
  Activation answer = AnswerTo(RunFront().at(0));
  answer.envelope.layer = 4;
  GiveFrom(kWorkerB, answer);
  EXPECT_EQ(Slot(0).phase, SlotPhase::kRouting);
  EXPECT_EQ(Slot(0).answered, 0);
}

TEST_F(EdgeTables, AnAnswerThatDoesNotFitIsTriedAgain) {
  Submit(RequestOf(5));
  Admit(0, 1);
  Activation answer = AnswerTo(RunFront().at(0));
  answer.envelope.base = 3;
  GiveFrom(kWorkerB, answer);
  EXPECT_EQ(state_.counters.broken_answers, 1u);
  EXPECT_EQ(Slot(0).epoch, 2u);
  Give(AnswerBroken{kWorkerB, RunFront().at(0).envelope});
  EXPECT_EQ(state_.counters.broken_answers, 2u);
  EXPECT_EQ(Slot(0).epoch, 3u);
}

TEST_F(EdgeTables, NeedPrefixResendsFromWhatTheWorkerHasUnderTheNextEpoch) {
  Submit(RequestOf(5));
  Admit(0, 1);
  OneStep(1);
  OneStep(2);
  RunFront();
  GiveFrom(kWorkerB, NeedPrefix{.session = Session(1), .epoch = 1, .step = 3, .have = 2});
  const Activation frame = RunFront().at(0);
  EXPECT_EQ(frame.envelope.epoch, 2u);
  EXPECT_EQ(frame.envelope.step, 4u) << "steps grow, resends included";
  EXPECT_EQ(frame.envelope.base, 2u);
  EXPECT_EQ(frame.envelope.n, 5u);
  GiveFrom(kWorkerB, AnswerTo(frame));
  RunBack(3);
  EXPECT_EQ(TextOut(), "bcd") << "nothing is sampled twice";
}

TEST_F(EdgeTables, NeedPrefixOfAHopThatHasMoreThanTheOthersResendsFromWhatAllHave) {
  GenerateRequest request = RequestOf(8);
  request.chunk_rows = 4;
  Submit(request);
  Admit(0, 1);
  for (int i = 0; i < 2; ++i) OneStep(1);
  RunFront();
  GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = 1, .step = 3, .have = 4});
  RunFront();
  // The second hop kept its eight.
  GiveFrom(kWorkerB, NeedPrefix{.session = Session(1), .epoch = 2, .step = 4, .have = 8});
  now_ = Slot(0).held_until;
  EXPECT_EQ(RunFront().at(0).envelope.base, 4u) << "the first one has no more";
}

TEST_F(EdgeTables, AReplayOfWhatTheBackLayersHaveWantsNoRows) {
  GenerateRequest request = RequestOf(8);
  request.chunk_rows = 4;
  Submit(request);
  Admit(0, 1);
  for (int i = 0; i < 2; ++i) OneStep(1);
  RunFront();
  GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = 1, .step = 3, .have = 0});
  const Activation first = RunFront().at(0);
  EXPECT_EQ(first.envelope.rows_wanted, RowsWanted::kNone);
  GiveFrom(kWorkerB, AnswerTo(first));
  EXPECT_THAT(PlanNow().back, IsEmpty());
  EXPECT_EQ(RunFront().at(0).envelope.rows_wanted, RowsWanted::kNone);
  EXPECT_EQ(RunFront().at(0).envelope.rows_wanted, RowsWanted::kAll);
}

TEST_F(EdgeTables, ARetryWhileTheFrontLayersRunSendsNothingOfTheOldEpoch) {
  GenerateRequest request = RequestOf(8);
  request.chunk_rows = 4;
  Submit(request);
  Admit(0, 1);
  RunFront();
  EdgePlan plan = PlanNow();
  Give(FrontStarted{&plan.front});
  GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = 1, .step = 1, .have = 0});
  for (EdgeItem& item : state_.running) item.rows_out = pool_.Take(item.n, kWidth);
  Give(FrontDone{});
  EXPECT_THAT(TakeFrames(), IsEmpty());
  EXPECT_EQ(RunFront().at(0).envelope.base, 0u);
}

TEST_F(EdgeTables, CancelWhileTheBackLayersRunGivesNoMoreTokens) {
  const RequestId request = Submit(RequestOf(5));
  Admit(0, 1);
  GiveFrom(kWorkerB, AnswerTo(RunFront().at(0)));
  const EdgePlan plan = PlanNow();
  Give(BackStarted{&plan.back});
  Give(CancelRequested{request});
  EXPECT_THAT(PlanNow().release, IsEmpty()) << "the engine is busy";
  Give(BackDone{});
  EXPECT_EQ(TextOut(), "");
  EXPECT_EQ(finished_->reason, FinishReason::kCancelled);
  EXPECT_THAT(PlanNow().release, ElementsAre(0));
}

TEST_F(EdgeTables, SessionsShareBatchesAndDecodeGoesFirst) {
  Submit(RequestOf(5));
  Submit(RequestOf(60));
  Admit(0, 1);
  OneStep(1);
  Admit(1, 2);
  EdgePlan plan = PlanNow();
  ASSERT_EQ(plan.front.size(), 1u);
  EXPECT_EQ(plan.front[0].slot, 0) << "one row before the prompt of sixty";
  const Activation decode = RunFront().at(0);
  const Activation prompt = RunFront().at(0);
  EXPECT_EQ(prompt.envelope.session, Session(2));
  GiveFrom(kWorkerB, AnswerTo(decode));
  GiveFrom(kWorkerB, AnswerTo(prompt));
  EXPECT_THAT(PlanNow().back, ElementsAre(0, 1));
  RunBack(2);
  plan = PlanNow();
  EXPECT_EQ(plan.front.size(), 2u) << "both decode in one batch";
}

TEST_F(EdgeTables, PrefillRunsAfterAStreakOfDecode) {
  Submit(RequestOf(5, 100));
  Admit(0, 1);
  OneStep(1);
  for (int i = 0; i < 2 * kDecodeStreakMax; ++i) OneStep(1);
  EXPECT_EQ(state_.decode_streak, 0) << "nobody waited";
  Submit(RequestOf(60));
  Admit(1, 2);
  for (int i = 0; i < kDecodeStreakMax; ++i) {
    const std::vector<Activation> frames = RunFront();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].envelope.session, Session(1)) << i;
    GiveFrom(kWorkerB, AnswerTo(frames[0]));
    RunBack(1);
  }
  const std::vector<Activation> frames = RunFront();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].envelope.session, Session(2));
  EXPECT_EQ(frames[1].envelope.session, Session(1)) << "decode fills what is left of the batch";
  EXPECT_EQ(state_.decode_streak, 0);
}

TEST_F(EdgeTables, WithAllLayersHereRowsAreTheirOwnAnswer) {
  EdgeOptions o = state_.options;
  o.front_layers = o.back_layers = 3;
  SetOptions(o);
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(5));
  Give(Admitted{0});
  Route route = RouteFor(0, 1);
  route.grant.hops.clear();
  GiveFrom(kCoordinatorNode, route);
  EXPECT_THAT(RunFront(), IsEmpty());
  RunBack(3);
  EXPECT_EQ(TextOut(), "d");
}

TEST_F(EdgeTables, WithoutBackLayersOnlyTheLastRowComesBack) {
  EdgeOptions o = state_.options;
  o.back_layers = 0;
  o.show_tokens_to_cloud = true;
  SetOptions(o);
  GiveFrom(kCoordinatorNode, Welcome{});
  GenerateRequest request = RequestOf(8);
  request.chunk_rows = 4;
  Submit(request);
  Give(Admitted{0});
  Route route = RouteFor(0, 1);
  route.grant.hops[1].layers = {3, 6};
  GiveFrom(kCoordinatorNode, route);
  const Activation first = RunFront().at(0);
  const Activation second = RunFront().at(0);
  EXPECT_EQ(first.envelope.rows_wanted, RowsWanted::kNone);
  EXPECT_EQ(second.envelope.rows_wanted, RowsWanted::kLast);
  GiveFrom(kWorkerB, AnswerTo(first));
  EXPECT_EQ(Slot(0).answered, 4);
  GiveFrom(kWorkerB, AnswerTo(second));
  const EdgePlan plan = PlanNow();
  Give(BackStarted{&plan.back});
  EXPECT_EQ(state_.running.at(0).base, 7);
  EXPECT_EQ(state_.running.at(0).n, 1);
  EXPECT_TRUE(state_.running.at(0).sample);
  state_.running.at(0).drawn.Push(0);
  Give(BackDone{});
}

}  // namespace
}  // namespace mortar
