// Goal: what an edge sends of prompts while another of its sessions decodes is so little that a
// token waits for no more than kSharedRowBytesInFlightMax on a link, and one frame of each prompt;
// alone, a prompt has the whole of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

// Rows so wide that 64 KiB are twenty of them.
class EdgeShares : public EdgeTables {
 protected:
  static constexpr int kWide = 800;
  static constexpr int kRowBytes = kWide * static_cast<int>(sizeof(float));
  static constexpr int kSharedRows = static_cast<int>(kSharedFrameRowBytesMax) / kRowBytes;
  static constexpr int kWholeRows = static_cast<int>(kFrameRowBytesMax) / kRowBytes;

  EdgeShares() {
    EdgeOptions options = state_.options;
    options.model.n_embd = kWide;
    options.n_parallel = 3;
    options.context_max = 1024;
    options.kv_pages = 64;
    options.rows_max = 256;
    SetOptions(options);
  }
  // Positions of the chunks that are planned and sent until nothing more may leave.
  std::vector<int> SendAll() {
    std::vector<int> sizes;
    while (!PlanNow().front.empty()) {
      for (const Activation& frame : RunFront())
        sizes.push_back(static_cast<int>(frame.envelope.n));
    }
    return sizes;
  }
  // The session in slot 0 has its first token and its next one on the way.
  void Decode() {
    Submit(RequestOf(3, 100));
    Admit(0, 1);
    for (const Activation& frame : RunFront()) Answer(frame);
    RunBack(0);
    RunFront();
  }
  void Answer(const Activation& frame) {
    Activation answer = AnswerTo(frame);
    if (answer.envelope.n > 0) answer.rows = pool_.Take(static_cast<int>(answer.envelope.n), kWide);
    GiveFrom(kWorkerB, std::move(answer));
  }
};

TEST_F(EdgeShares, AloneAPromptHasTheWholeLink) {
  Submit(RequestOf(500));
  Admit(0, 1);
  EXPECT_THAT(SendAll(), testing::ElementsAre(kWholeRows, kWholeRows, kWholeRows, kWholeRows));
}

TEST_F(EdgeShares, BesideASessionThatDecodesItsChunksAreShortAndFew) {
  Decode();
  Submit(RequestOf(500));
  Admit(1, 2);
  const std::vector<int> sizes = SendAll();
  EXPECT_THAT(sizes, testing::ElementsAre(kSharedRows, kSharedRows, kSharedRows, kSharedRows));
  EXPECT_LE(Slot(1).bytes_in_flight, kSharedRowBytesInFlightMax);
}

TEST_F(EdgeShares, SeveralPromptsHaveThatMuchTogether) {
  Decode();
  Submit(RequestOf(300));
  Submit(RequestOf(300));
  Admit(1, 2);
  Admit(2, 3);
  EXPECT_EQ(SendAll().size(), 4u);
  EXPECT_LE(Slot(1).bytes_in_flight + Slot(2).bytes_in_flight, kSharedRowBytesInFlightMax);
  EXPECT_GT(Slot(1).bytes_in_flight, 0u);
  EXPECT_GT(Slot(2).bytes_in_flight, 0u);
}

TEST_F(EdgeShares, APromptThatIsNotAnsweredHoldsUpNoOther) {
  Decode();
  Submit(RequestOf(300));
  Admit(1, 2);
  EXPECT_EQ(SendAll().size(), 4u) << "the whole share, over a worker that is slow";
  Submit(RequestOf(300));
  Admit(2, 3);
  for (int i = 0; i < 3; ++i) {
    const std::vector<Activation> frames = RunFront();
    ASSERT_EQ(frames.size(), 1u) << "one frame at a time";
    EXPECT_EQ(frames[0].envelope.session, Session(3));
    EXPECT_TRUE(PlanNow().front.empty());
    Answer(frames[0]);
    RunBack();
  }
  EXPECT_EQ(Slot(2).answered, 3 * kSharedRows);
  EXPECT_EQ(Slot(1).in_flight.size(), 4u);
}

TEST_F(EdgeShares, AnAnswerIsTheCreditForTheNextChunk) {
  Decode();
  Submit(RequestOf(500));
  Admit(1, 2);
  const Activation first = RunFront().at(0);
  EXPECT_EQ(SendAll().size(), 3u);
  Answer(first);
  RunBack();
  EXPECT_EQ(SendAll().size(), 1u);
}

TEST_F(EdgeShares, TheWholeLinkIsItsOwnAgainWhenTheOtherHasEnded) {
  Decode();
  Submit(RequestOf(500));
  Admit(1, 2);
  Give(CancelRequested{Slot(0).request});
  EdgePlan plan = PlanNow();
  Give(EdgeReleaseStarted{});
  Give(EdgePagesReleased{&plan.release});
  state_.outbox.clear();
  EXPECT_EQ(PlanNow().front.at(0).n, kWholeRows);
}

TEST_F(EdgeShares, ATokensRowsAreNoPrompt) {
  Decode();
  Submit(RequestOf(kSharedRows * 8));
  Admit(1, 2);
  SendAll();
  // The chunks fill their share, and the next token leaves all the same.
  EXPECT_EQ(Slot(0).in_flight.size(), 1u);
  Slot(0).in_flight.clear();
  Slot(0).bytes_in_flight = 0;
  Slot(0).sent = Slot(0).answered;
  const EdgePlan plan = PlanNow();
  ASSERT_EQ(plan.front.size(), 1u);
  EXPECT_EQ(plan.front[0].slot, 0);
  EXPECT_TRUE(plan.prefill_waits == false) << "none of it may leave yet";
}

}  // namespace
}  // namespace mortar
