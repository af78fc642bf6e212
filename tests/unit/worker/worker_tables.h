// A worker's state under test: joins, loads, takes frames, and runs what is planned.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <utility>
#include <vector>

#include "worker/state.h"

namespace mortar {

inline constexpr NodeId kEdge{50};
inline constexpr NodeId kOtherEdge{51};
inline constexpr NodeId kNextHop{70};
inline constexpr int kWidth = 32;
inline constexpr int kPage = 64;  // positions
inline constexpr int kPages = 8;

inline SessionId Session(uint8_t number) {
  SessionId id;
  id.bytes[0] = number;
  return id;
}

class WorkerTables : public testing::Test {
 protected:
  WorkerTables() {
    WorkerOptions options;
    options.name = "w";
    options.model = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = kWidth};
    for (int i = 0; i < 6; ++i) options.bricks.push_back({.layers = {i, i + 1}, .digest = {}});
    options.sessions_max = 4;
    options.rows_max = 128;
    state_ = NewWorkerState(options);
  }

  void Give(WorkerEvent event) { Apply(state_, now_, std::move(event)); }
  void GiveFrom(NodeId from, AnyMessage message) { Give(WorkerReceived{from, std::move(message)}); }
  void Join() { GiveFrom(kCoordinatorNode, Welcome{}); }
  Placement PlacementOf(uint64_t id, LayerRange layers) {
    Placement placement{.id = id, .model = state_.options.model, .layers = layers, .bricks = {}};
    for (const LayerBrick& brick : state_.options.bricks) {
      if (layers.Contains(brick.layers.begin)) placement.bricks.push_back(brick);
    }
    return placement;
  }
  void Load() {
    Join();
    GiveFrom(kCoordinatorNode, PlacementOf(1, {1, 5}));
    Give(LoadStarted{});
    Give(LoadDone{.status = {}, .layers = {1, 5}, .pages = kPages, .positions_max = 500});
    state_.outbox.clear();
  }
  Activation Frame(uint8_t session, uint32_t epoch, uint64_t step, int base, int n) {
    Activation frame;
    frame.envelope.session = Session(session);
    frame.envelope.edge = kEdge;
    frame.envelope.epoch = epoch;
    frame.envelope.step = step;
    frame.envelope.base = static_cast<uint32_t>(base);
    frame.envelope.n = static_cast<uint32_t>(n);
    frame.envelope.layer = 1;
    frame.rows = pool_.Take(n, kWidth);
    return frame;
  }
  void GiveFrame(Activation frame) { GiveFrom(kEdge, std::move(frame)); }
  const WorkerSession& SessionState(uint8_t number) {
    return state_.places.at(static_cast<size_t>(state_.place_of.at(Session(number))));
  }
  WorkerPlan PlanNow() {
    WorkerPlan plan;
    Plan(state_, now_, plan);
    return plan;
  }
  // Runs the batch that is planned, as the loop does, with rows out as the envelopes want.
  std::vector<int> RunBatch(Duration time = {}) {
    const WorkerPlan plan = PlanNow();
    Give(BatchStarted{&plan.batch, &plan.rows});
    for (RunningFrame& frame : state_.running) frame.rows_out = frame.rows_in;
    Give(BatchDone{time});
    return plan.batch;
  }
  void Release() {
    const WorkerPlan plan = PlanNow();
    ASSERT_FALSE(plan.release.empty());
    Give(ReleaseStarted{});
    Give(PagesReleased{&plan.release});
  }
  template <typename T>
  T TakeOwed() {
    EXPECT_EQ(state_.outbox.size(), 1u);
    T message = std::get<T>(std::move(state_.outbox.at(0).message));
    state_.outbox.clear();
    return message;
  }

  RowsPool pool_;
  WorkerState state_;
  Time now_{std::chrono::seconds(100)};
};

}  // namespace mortar
