// Goal: what ends a session other than its edge, and what its grant allows: silence and the
// time of a grant, also while no coordinator is there; positions, frames and bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/worker/worker_tables.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::IsEmpty;

KeyOpened OpenedWith(SessionQuota quota) {
  const SessionSeal seal{.session = NewSessionKey(), .own = NewSessionKey()};
  return {.edge = kEdge, .session = Session(1), .seal = seal, .quota = quota};
}

TEST_F(WorkerTables, ASilentSessionExpires) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  RunBatch();
  now_ += kSessionIdleMax + seconds(1);
  const WorkerPlan plan = PlanNow();
  ASSERT_EQ(plan.expired.size(), 1u);
  Give(Expired{plan.expired[0]});
  Release();
  EXPECT_EQ(state_.counters.expired, 1u);
  EXPECT_EQ(state_.pages_free, kPages);
}

TEST_F(WorkerTables, ASilentSessionExpiresAlsoWhileNoCoordinatorIsThere) {
  Load();
  GiveFrame(Frame(1, 1, 1, 0, 4));
  RunBatch();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("the connection was lost")});
  now_ += kSessionIdleMax;
  EXPECT_THAT(PlanNow().expired, IsEmpty());
  Give(HelloSent{});
  now_ += milliseconds(1);
  EXPECT_THAT(PlanNow().expired, IsEmpty()) << "looked for with the next Hello";
  now_ += kHelloInterval;
  const WorkerPlan plan = PlanNow();
  ASSERT_EQ(plan.expired.size(), 1u);
  Give(Expired{plan.expired[0]});
  Release();
  EXPECT_EQ(state_.pages_free, kPages);
}

TEST_F(WorkerTables, ASessionWhoseGrantIsOverIsEndedAlsoWhileItSpeaks) {
  Load();
  Give(OpenedWith({.until = now_ + seconds(10)}));
  GiveFrame(Frame(1, 1, 1, 0, 4));
  RunBatch();
  state_.outbox.clear();
  now_ += seconds(9);
  EXPECT_TRUE(PlanNow().expired.empty());
  now_ += seconds(2);
  GiveFrame(Frame(1, 1, 2, 4, 1));
  const WorkerPlan plan = PlanNow();
  ASSERT_EQ(plan.expired.size(), 1u);
  EXPECT_THAT(plan.batch, IsEmpty()) << "its queue goes with it";
  Give(Expired{plan.expired[0]});
  ASSERT_EQ(state_.outbox.size(), 1u);
  EXPECT_TRUE(state_.outbox[0].seal.has_value());
  EXPECT_EQ(TakeOwed<NeedRoute>().step, 2u);
  EXPECT_FALSE(state_.place_of.contains(Session(1)));
  Release();
  GiveFrame(Frame(2, 1, 1, 0, 4));
  EXPECT_EQ(RunBatch().size(), 1u) << "others go on";
}

TEST_F(WorkerTables, ASessionWhoseGrantIsOverIsEndedAlsoWhileNoCoordinatorIsThere) {
  Load();
  Give(OpenedWith({.until = now_ + seconds(10)}));
  GiveFrame(Frame(1, 1, 1, 0, 4));
  RunBatch();
  GiveFrom(kCoordinatorNode, Goodbye{Unavailable("the connection was lost")});
  now_ += seconds(10);
  EXPECT_THAT(PlanNow().expired, IsEmpty());
  now_ += milliseconds(1);
  EXPECT_EQ(PlanNow().expired.size(), 1u);
}

TEST_F(WorkerTables, ASessionHasWhatItsGrantSaysAndNoMore) {
  Load();
  Give(OpenedWith({.positions_max = 10, .frames_max = 1}));
  GiveFrame(Frame(1, 1, 1, 0, 11));
  EXPECT_TRUE(absl::IsOutOfRange(TakeOwed<Rejected>().status));
  GiveFrame(Frame(1, 1, 2, 0, 5));
  EXPECT_TRUE(state_.outbox.empty());
  GiveFrame(Frame(1, 1, 3, 5, 5));
  EXPECT_TRUE(absl::IsResourceExhausted(TakeOwed<Rejected>().status)) << "one frame at a time";
  RunBatch();
  state_.outbox.clear();
  GiveFrame(Frame(1, 1, 4, 5, 5));
  EXPECT_TRUE(state_.outbox.empty());
  RunBatch();
  state_.outbox.clear();
  GiveFrame(Frame(1, 1, 5, 10, 1));
  EXPECT_TRUE(absl::IsOutOfRange(TakeOwed<Rejected>().status));
}

TEST_F(WorkerTables, ASessionQueuesAsManyBytesOfRowsAsItsGrantSays) {
  Load();
  Give(OpenedWith({.row_bytes_max = 5 * kWidth * sizeof(float)}));
  GiveFrame(Frame(1, 1, 1, 0, 6));
  EXPECT_TRUE(absl::IsResourceExhausted(TakeOwed<Rejected>().status));
  GiveFrame(Frame(1, 1, 2, 0, 3));
  EXPECT_TRUE(state_.outbox.empty());
  GiveFrame(Frame(1, 1, 3, 3, 3));
  EXPECT_TRUE(absl::IsResourceExhausted(TakeOwed<Rejected>().status)) << "with what is queued";
  GiveFrame(Frame(1, 1, 4, 3, 2));
  EXPECT_TRUE(state_.outbox.empty());
}

}  // namespace
}  // namespace mortar
