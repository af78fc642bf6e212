// Goal: answers that leave a worker together run in one batch of the back layers, since that reads
// their weights once; nobody waits for long, nor for answers that prompts get.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/edge/edge_tables.h"

namespace mortar {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// Two sessions that have a token each, and the next ones at a worker.
class EdgeGathers : public EdgeTables {
 protected:
  static constexpr Duration kBatch = std::chrono::milliseconds(8);
  static constexpr Duration kGap = GatherGap(kBatch);

  EdgeGathers() {
    for (int slot = 0; slot < 2; ++slot) {
      Submit(RequestOf(3, 100));
      Admit(slot, static_cast<uint8_t>(slot + 1));
    }
    for (const Activation& frame : RunFront()) Answer(frame);
    RunBack(0, kBatch);
    sent_ = RunFront();
    now_ += kBatch;
  }
  void Answer(const Activation& frame) { GiveFrom(kWorkerB, AnswerTo(frame)); }

  std::vector<Activation> sent_;
};

TEST_F(EdgeGathers, AnAnswerWaitsForTheOneThatComesBehindIt) {
  ASSERT_EQ(sent_.size(), 2u);
  Answer(sent_[0]);
  EXPECT_THAT(PlanNow().back, IsEmpty());
  EXPECT_EQ(PlanNow().gathers_until, now_ + kGap);
  now_ += kGap / 2;
  Answer(sent_[1]);
  EXPECT_THAT(PlanNow().back, SizeIs(2)) << "all are here";
  EXPECT_FALSE(PlanNow().gathers_until);
}

TEST_F(EdgeGathers, NotLongerThanTheGapBetweenTwo) {
  Answer(sent_[0]);
  now_ += kGap;
  EXPECT_THAT(PlanNow().back, SizeIs(1));
  EXPECT_FALSE(PlanNow().gathers_until);
}

TEST_F(EdgeGathers, ASessionAloneWaitsForNobody) {
  Give(CancelRequested{Slot(1).request});
  const EdgePlan plan = PlanNow();
  Give(EdgeReleaseStarted{});
  Give(EdgePagesReleased{&plan.release});
  Answer(sent_[0]);
  EXPECT_THAT(PlanNow().back, SizeIs(1));
}

TEST_F(EdgeGathers, AnAnswerOfAPromptWaitsForNobodyAndIsNotWaitedFor) {
  Slot(1).timings.output_tokens = 0;
  Answer(sent_[0]);
  EXPECT_THAT(PlanNow().back, SizeIs(1));
}

TEST_F(EdgeGathers, BatchesTooShortToMatterWaitForNobody) {
  state_.back_time = {};
  Answer(sent_[0]);
  EXPECT_THAT(PlanNow().back, SizeIs(1));
}

}  // namespace
}  // namespace mortar
