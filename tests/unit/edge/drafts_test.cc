// Goal: guesses go with a frame and are forgotten with it; the log, and what every node has of it,
// is what it would be without them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Guesses the letters behind the last one: a b c ...
class AlphabetDrafter final : public Drafter {
 public:
  int Draft(std::span<const Token> log, std::span<Token> guesses) override {
    for (size_t i = 0; i < guesses.size(); ++i) {
      guesses[i] = (log.back() + 1 + static_cast<Token>(i)) % 26;
    }
    return static_cast<int>(guesses.size());
  }
};

class EdgeDrafts : public EdgeTables {
 protected:
  EdgeDrafts() { SetDraftMax(4); }
  void SetDraftMax(int max) {
    EdgeOptions options = state_.options;
    options.drafting = {.make = [](int) { return std::make_unique<AlphabetDrafter>(); },
                        .max = max};
    SetOptions(options);
  }
  // Admits a request of five positions and takes its first token.
  void Begin(GenerateRequest request, Token first = 0) {
    Submit(std::move(request));
    Admit(0, 1);
    for (const Activation& frame : RunFront()) GiveFrom(kWorkerB, AnswerTo(frame));
    RunBackDrawing({first});
  }
  // One step: its frame, and what it draws.
  Envelope Step(std::initializer_list<Token> drawn) {
    const Activation frame = RunFront().at(0);
    GiveFrom(kWorkerB, AnswerTo(frame));
    RunBackDrawing(drawn);
    return frame.envelope;
  }
  std::vector<Token> GuessesPlanned() {
    const EdgePlan plan = PlanNow();
    if (plan.front.empty()) return {};
    const auto guesses = plan.front[0].guesses.view();
    return {guesses.begin(), guesses.end()};
  }
};

TEST_F(EdgeDrafts, AStepCarriesTheNewestTokenAndItsGuesses) {
  Begin(RequestOf(5, 100));
  EXPECT_THAT(GuessesPlanned(), ElementsAre(1, 2, 3, 4));
  const Envelope e = RunFront().at(0).envelope;
  EXPECT_EQ(e.base, 5u);
  EXPECT_EQ(e.n, 5u);
  EXPECT_EQ(e.rows_wanted, RowsWanted::kAll);
  EXPECT_THAT(PlanNow().front, IsEmpty()) << "nothing follows guesses that are on their way";
}

TEST_F(EdgeDrafts, ThePromptCarriesNone) {
  Submit(RequestOf(5, 100));
  Admit(0, 1);
  EXPECT_THAT(GuessesPlanned(), IsEmpty());
}

TEST_F(EdgeDrafts, GuessesThatHoldAndTheTokenBehindThemJoinTheLog) {
  Begin(RequestOf(5, 100));
  Step({1, 2, 3, 4, 9});
  EXPECT_EQ(TextOut(), "abcdej");
  EXPECT_EQ(Slot(0).answered, 10);
  EXPECT_EQ(Slot(0).sent, 10);
  EXPECT_EQ(RunFront().at(0).envelope.base, 10u);
}

TEST_F(EdgeDrafts, TheNextFrameBeginsBehindTheLastGuessThatHeld) {
  Begin(RequestOf(5, 100));
  Step({1, 2, 7});
  EXPECT_EQ(TextOut(), "abch");
  EXPECT_EQ(Slot(0).answered, 8);
  const Envelope e = RunFront().at(0).envelope;
  EXPECT_EQ(e.base, 8u) << "every hop truncates to it";
  EXPECT_EQ(e.n, 1u + 3u) << "one more than held";
  EXPECT_EQ(e.epoch, 1u) << "guesses that fail are no retry";
}

TEST_F(EdgeDrafts, GuessesThatAllFailCostTheirRowsAlone) {
  Begin(RequestOf(5, 100));
  EXPECT_EQ(Step({9}).n, 5u);
  EXPECT_EQ(TextOut(), "aj");
  EXPECT_EQ(Step({9}).base, 6u);
  EXPECT_EQ(Slot(0).timings.guesses, 4 + 1);
  EXPECT_EQ(Slot(0).timings.guesses_held, 0);
  const Envelope e = RunFront().at(0).envelope;
  EXPECT_EQ(e.base, 7u);
  EXPECT_EQ(e.n, 1u) << "a pause";
}

TEST_F(EdgeDrafts, GuessesAreCountedWhenTheyCameBack) {
  Begin(RequestOf(5, 100));
  Step({1, 2, 7});
  EXPECT_EQ(Slot(0).timings.guesses, 4);
  EXPECT_EQ(Slot(0).timings.guesses_held, 2);
  EXPECT_EQ(Slot(0).timings.output_tokens, 4);
}

TEST_F(EdgeDrafts, NeverMoreThanTheAnswerHasRoomFor) {
  Begin(RequestOf(5, 4));
  EXPECT_THAT(GuessesPlanned(), ElementsAre(1, 2)) << "and a token behind them";
  Step({1, 9});
  EXPECT_THAT(GuessesPlanned(), IsEmpty());
  EXPECT_EQ(Step({5}).n, 1u);
  EXPECT_EQ(TextOut(), "abjf");
  EXPECT_EQ(finished_->reason, FinishReason::kLength);
}

TEST_F(EdgeDrafts, NeverMoreThanTheContextHolds) {
  GenerateRequest request = RequestOf(252, 100);
  request.chunk_rows = 128;
  Submit(request);
  Admit(0, 1);
  while (Slot(0).sent < 252) {
    for (const Activation& frame : RunFront()) GiveFrom(kWorkerB, AnswerTo(frame));
    RunBackDrawing({0});
  }
  EXPECT_THAT(GuessesPlanned(), ElementsAre(1, 2));
  const Envelope e = Step({1, 2, 3});
  EXPECT_LT(e.base + e.n, 256u);
  EXPECT_EQ(TextOut(), "abcd");
  EXPECT_EQ(finished_->reason, FinishReason::kLength);
}

TEST_F(EdgeDrafts, AnEndAmidTheGuessesIsTheEnd) {
  Begin(RequestOf(5, 100), 22);
  Step({23, 24, 25, 0, 1});
  EXPECT_EQ(TextOut(), "wxy");
  EXPECT_EQ(finished_->reason, FinishReason::kStop);
  EXPECT_EQ(finished_->timings.output_tokens, 3);
}

TEST_F(EdgeDrafts, AStopStringAmidTheGuessesIsTheEnd) {
  GenerateRequest request = RequestOf(5, 100);
  request.stops = {"cd"};
  Begin(request);
  Step({1, 2, 3, 4, 9});
  EXPECT_EQ(TextOut(), "ab");
  EXPECT_EQ(finished_->reason, FinishReason::kStop);
  EXPECT_EQ(finished_->timings.output_tokens, 4) << "the tokens that the stop string stands in";
}

TEST_F(EdgeDrafts, LogitsThatNameNoTokenEndItBehindWhatHeld) {
  Begin(RequestOf(5, 100));
  Step({1, 2, kNoToken});
  EXPECT_EQ(TextOut(), "abc");
  EXPECT_TRUE(absl::IsDataLoss(finished_->status));
}

TEST_F(EdgeDrafts, ARetrySendsTheLogAndNoGuesses) {
  Begin(RequestOf(5, 100));
  RunFront();
  Give(DeadlinePassed{0});
  const Envelope e = RunFront().at(0).envelope;
  EXPECT_EQ(e.base, 5u);
  EXPECT_EQ(e.n, 1u);
  EXPECT_EQ(e.epoch, 2u);
}

TEST_F(EdgeDrafts, AWorkerThatHasPositionsOfGuessesIsSentTheLogAgain) {
  Begin(RequestOf(5, 100));
  RunFront();
  GiveFrom(kWorkerB, NeedPrefix{.session = Session(1), .epoch = 1, .step = 2, .have = 10});
  const Activation frame = RunFront().at(0);
  EXPECT_EQ(frame.envelope.base, 5u) << "what it has beyond is of nothing";
  EXPECT_EQ(frame.envelope.n, 1u);
  GiveFrom(kWorkerB, AnswerTo(frame));
  RunBackDrawing({7});
  EXPECT_EQ(TextOut(), "ah");
  EXPECT_THAT(GuessesPlanned(), ElementsAre(8, 9, 10, 11)) << "and it goes on";
}

TEST_F(EdgeDrafts, AReplayThatEndsAtTheNewestTokenMayCarryNewGuesses) {
  Begin(RequestOf(5, 100));
  const Activation lost = RunFront().at(0);
  GiveFrom(kWorkerB, AnswerTo(lost));
  const EdgePlan plan = PlanNow();
  Give(BackStarted{&plan.back});
  GiveFrom(kWorkerA, NeedPrefix{.session = Session(1), .epoch = 1, .step = 2, .have = 0});
  for (const Token token : {1, 2, 7}) state_.running.at(0).drawn.Push(token);
  Give(BackDone{});
  EXPECT_EQ(TextOut(), "abch") << "true under any epoch";
  EXPECT_EQ(Slot(0).answered, 8);
  Slot(0).chunk_rows = 8;
  const Activation replay = RunFront().at(0);
  EXPECT_EQ(replay.envelope.base, 0u);
  EXPECT_EQ(replay.envelope.n, 8u);
  EXPECT_EQ(replay.envelope.rows_wanted, RowsWanted::kNone);
  GiveFrom(kWorkerB, AnswerTo(replay));
  const Envelope e = RunFront().at(0).envelope;
  EXPECT_EQ(e.base, 8u);
  EXPECT_EQ(e.n, 1u + 3u);
}

TEST_F(EdgeDrafts, ANewRouteGetsTheLogFromItsBeginning) {
  Begin(RequestOf(5, 100));
  RunFront();
  GiveFrom(kWorkerB, NeedRoute{.session = Session(1), .epoch = 1, .step = 2});
  state_.outbox.clear();
  GiveFrom(kCoordinatorNode, RouteFor(0, 2));
  const Envelope e = RunFront().at(0).envelope;
  EXPECT_EQ(e.base, 0u);
  EXPECT_EQ(e.n, 6u);
}

TEST_F(EdgeDrafts, AFrameThatIsRefusedWithItsGuessesGoesAgainWithoutThem) {
  for (const absl::Status& why :
       {ResourceExhausted("KV is full"), InvalidArgument("row 3 is not finite")}) {
    SetDraftMax(4);
    Begin(RequestOf(5, 100));
    RunFront();
    const auto refuse = [&] {
      GiveFrom(
          kWorkerB,
          Rejected{
              .session = Session(1), .epoch = Slot(0).epoch, .step = Slot(0).step, .status = why});
    };
    refuse();
    const Activation frame = RunFront().at(0);
    EXPECT_EQ(frame.envelope.n, 1u) << why;
    EXPECT_EQ(frame.envelope.epoch, 2u);
    GiveFrom(kWorkerB, AnswerTo(frame));
    RunBackDrawing({1});
    EXPECT_THAT(GuessesPlanned(), IsEmpty()) << "not for a while";
    RunFront();
    refuse();
    const bool waits = absl::IsResourceExhausted(why);
    EXPECT_EQ(Slot(0).phase, waits ? SlotPhase::kRunning : SlotPhase::kDone)
        << "the log itself was refused: " << why;
  }
}

TEST_F(EdgeDrafts, AnAnswerWithoutTheRowsOfItsGuessesIsTriedAgain) {
  Begin(RequestOf(5, 100));
  Activation answer = AnswerTo(RunFront().at(0));
  answer.envelope.n = 1;
  GiveFrom(kWorkerB, answer);
  EXPECT_EQ(state_.counters.broken_answers, 1u);
  EXPECT_EQ(RunFront().at(0).envelope.n, 1u);
}

TEST_F(EdgeDrafts, AFrameHasNoMoreGuessesThanTheRouteAllowsInFlight) {
  GiveFrom(kCoordinatorNode, Welcome{});
  Submit(RequestOf(2, 100));
  Give(Admitted{0});
  Route route = RouteFor(0, 1);
  route.grant.row_bytes_in_flight_max = 3 * kWidth * sizeof(float) + 1;
  GiveFrom(kCoordinatorNode, route);
  OneStep(0);
  EXPECT_EQ(RunFront().at(0).envelope.n, 3u);
}

TEST_F(EdgeDrafts, AChunkOfPrefillDoesNotBoundThem) {
  GenerateRequest request = RequestOf(1, 100);
  request.chunk_rows = 1;
  Begin(request);
  EXPECT_EQ(RunFront().at(0).envelope.n, 5u);
}

TEST_F(EdgeDrafts, SessionsGuessSideBySideInOneBatch) {
  Submit(RequestOf(5, 100));
  Submit(RequestOf(5, 100));
  Admit(0, 1);
  OneStep(0);
  Admit(1, 2);
  // The first session's step of five rows, and the other's prompt of as many.
  std::vector<Activation> frames = RunFront();
  ASSERT_EQ(frames.size(), 2u);
  for (const Activation& frame : frames) GiveFrom(kWorkerB, AnswerTo(frame));
  RunBack(9);
  frames = RunFront();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].envelope.n + frames[1].envelope.n, 2u + 5u)
      << "one guess after a failure, four at the beginning";
}

TEST_F(EdgeDrafts, WithAllLayersHereOrNoneBehindTheirRowsAllComeBack) {
  for (const int back : {3, 0}) {
    EdgeOptions o = state_.options;
    o.front_layers = 3;
    o.back_layers = back;
    o.show_tokens_to_cloud = true;
    SetOptions(o);
    GiveFrom(kCoordinatorNode, Welcome{});
    Submit(RequestOf(5, 100));
    Give(Admitted{0});
    Route route = RouteFor(0, 1);
    route.grant.hops.resize(back == 0 ? 1 : 0);
    if (back == 0) route.grant.hops[0].layers = {3, 6};
    GiveFrom(kCoordinatorNode, route);
    const auto run = [&](std::initializer_list<Token> drawn) {
      for (const Activation& frame : RunFront()) GiveFrom(kWorkerA, AnswerTo(frame));
      RunBackDrawing(drawn);
    };
    state_.outbox.clear();
    run({0});
    run({1, 2, 9});
    EXPECT_EQ(TextOut(), "abcj") << back;
    EXPECT_EQ(Slot(0).answered, 8);
    EXPECT_EQ(Slot(0).sent, 8);
  }
}

TEST_F(EdgeDrafts, MoreGuessesThanAFrameOrABatchHoldsAreRefused) {
  EdgeOptions o = state_.options;
  o.drafting.max = kDraftMax;
  EXPECT_TRUE(CheckEdgeOptions(o).ok());
  o.drafting.max = kDraftMax + 1;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("expected 0 to 15, got 16"));
  o.drafting.max = -1;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("expected 0 to 15, got -1"));
  o.drafting.max = kDraftMax;
  o.n_parallel = 8;
  EXPECT_TRUE(CheckEdgeOptions(o).ok()) << "128 rows";
  o.n_parallel = 9;
  EXPECT_THAT(Message(CheckEdgeOptions(o)), HasSubstr("do not fit a batch of 128 rows"));
  o.drafting.make = nullptr;
  EXPECT_TRUE(CheckEdgeOptions(o).ok()) << "nobody guesses";
}

}  // namespace
}  // namespace mortar
