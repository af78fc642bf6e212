// Goal: a worker uses no step of a sealed session twice, also when the session ended there and is
// opened again; what it remembers for that is bounded, and forgetting lets nothing through.
#include "worker/spent_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

using std::chrono::minutes;
using testing::Optional;

SessionId Id(uint32_t n) {
  SessionId id;
  std::memcpy(id.bytes.data(), &n, sizeof n);
  return id;
}
CalendarTime At(int64_t minute) { return CalendarTime{minutes(minute)}; }

TEST(SpentSteps, WhatIsNewMayUseAllAndWhatEndedOnlyLaterOnes) {
  SpentSteps spent;
  EXPECT_THAT(spent.Find(Id(1), At(60)), Optional(0u));
  spent.Add(Id(1), 7, At(60));
  EXPECT_THAT(spent.Find(Id(1), At(60)), Optional(7u));
  EXPECT_THAT(spent.Find(Id(2), At(60)), Optional(0u));
  spent.Add(Id(1), 5, At(60));
  EXPECT_THAT(spent.Find(Id(1), At(60)), Optional(7u)) << "never fewer";
  spent.Add(Id(1), 9, At(60));
  EXPECT_THAT(spent.Find(Id(1), At(60)), Optional(9u));
}

TEST(SpentSteps, WhatIsForgottenIsRefusedWithAllThatEndsAsEarly) {
  SpentSteps spent;
  const auto n = static_cast<uint32_t>(kSpentStepsMax);
  for (uint32_t i = 0; i < n; ++i) spent.Add(Id(i), i + 1, At(1000 - int64_t{i}));
  EXPECT_THAT(spent.Find(Id(n - 1), At(1001 - int64_t{n})), Optional(n));
  EXPECT_THAT(spent.Find(Id(9999), At(-9999)), Optional(0u)) << "nothing was forgotten yet";
  spent.Add(Id(n), 3, At(2000));
  EXPECT_EQ(spent.size(), kSpentStepsMax);
  EXPECT_EQ(spent.Find(Id(n - 1), At(1001 - int64_t{n})), std::nullopt) << "its grant ends first";
  EXPECT_EQ(spent.Find(Id(9999), At(-9999)), std::nullopt);
  EXPECT_THAT(spent.Find(Id(9999), At(1002 - int64_t{n})), Optional(0u)) << "a later grant";
  EXPECT_THAT(spent.Find(Id(0), At(1000)), Optional(1u)) << "what is remembered is still served";
}

TEST(SpentSteps, NewGrantsAreTakenHoweverManyEnd) {
  SpentSteps spent;
  for (uint32_t i = 0; i < 3 * kSpentStepsMax; ++i) {
    ASSERT_THAT(spent.Find(Id(i), At(i)), Optional(0u));
    spent.Add(Id(i), 1, At(i));
  }
  EXPECT_EQ(spent.size(), kSpentStepsMax);
}

class WorkerReopens : public WorkerTables {
 protected:
  WorkerReopens() {
    Load();
    Open();
    GiveFrame(Frame(1, 1, 1, 0, 5));
    GiveFrame(Frame(1, 1, 2, 5, 1));
    RunBatch();
    RunBatch();
    state_.outbox.clear();
  }
  void Open() {
    Give(KeyOpened{.edge = kEdge,
                   .session = Session(1),
                   .seal = seal_,
                   .quota = {.expires = At(60)},
                   .epoch = 2});
  }
  void ExpectNoStepTwice(const char* what) {
    SCOPED_TRACE(what);
    ASSERT_FALSE(state_.place_of.contains(Session(1)));
    Release();
    state_.outbox.clear();
    const uint64_t old_steps = state_.counters.old_step;
    Open();
    GiveFrame(Frame(1, 1, 1, 0, 5));
    GiveFrame(Frame(1, 9, 2, 0, 1));
    EXPECT_EQ(state_.counters.old_step, old_steps + 2);
    EXPECT_TRUE(PlanNow().batch.empty());
    // Its edge comes back under higher steps; a higher epoch brings the lower ones back neither.
    GiveFrame(Frame(1, 9, 3, 0, 6));
    GiveFrame(Frame(1, 10, 2, 0, 5));
    EXPECT_EQ(state_.counters.old_step, old_steps + 3);
    EXPECT_EQ(state_.frames_queued, 0) << "of the older epoch it went";
    GiveFrame(Frame(1, 10, 4, 0, 6));
    EXPECT_EQ(RunBatch().size(), 1u);
    EXPECT_EQ(TakeOwed<Activation>().envelope.step, 4u);
  }

  const SessionSeal seal_{.session = NewSessionKey(), .own = NewSessionKey()};
};

TEST_F(WorkerReopens, AfterAGoodbyeInItsEdgesName) {
  GiveFrom(kEdge, Goodbye{Unavailable("gone")});
  ExpectNoStepTwice("Goodbye");
}

TEST_F(WorkerReopens, AfterItsLayersWerePlacedAnew) {
  GiveFrom(kCoordinatorNode, PlacementOf(2, {1, 3}));
  Release();
  GiveFrom(kCoordinatorNode, PlacementOf(3, {1, 5}));
  EXPECT_EQ(StatusOf(state_).phase, LoadPhase::kReady);
  Open();
  GiveFrame(Frame(1, 1, 2, 0, 1));
  EXPECT_EQ(state_.counters.old_step, 1u);
  GiveFrame(Frame(1, 1, 3, 0, 1));
  EXPECT_EQ(RunBatch().size(), 1u);
}

TEST_F(WorkerReopens, AfterItWasSilent) {
  now_ += kSessionIdleMax + std::chrono::seconds(1);
  const WorkerPlan plan = PlanNow();
  ASSERT_EQ(plan.expired.size(), 1u);
  Give(Expired{plan.expired[0]});
  ExpectNoStepTwice("silence");
}

TEST_F(WorkerReopens, WhatWasForgottenIsSentToAnotherRoute) {
  GiveFrom(kEdge, Goodbye{Unavailable("gone")});
  Release();
  state_.outbox.clear();
  for (uint32_t i = 0; i < kSpentStepsMax; ++i) state_.spent.Add(Id(1000 + i), 1, At(61 + i));
  Open();
  ASSERT_EQ(state_.outbox.size(), 1u);
  EXPECT_TRUE(state_.outbox[0].seal.has_value());
  EXPECT_EQ(TakeOwed<NeedRoute>().epoch, 2u);
  EXPECT_EQ(state_.opened.size(), 0u);
}

}  // namespace
}  // namespace mortar
