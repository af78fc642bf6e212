// A coordinator's state, with nodes that join it and say what real ones would.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <utility>
#include <vector>

#include "coordinator/state.h"

namespace mortar {

inline constexpr NodeId kEdge{50};
inline constexpr NodeId kOtherEdge{51};
inline constexpr NodeId kWorkerA{60};
inline constexpr NodeId kWorkerB{61};

class CoordinatorTables : public testing::Test {
 protected:
  CoordinatorTables() {
    model_ = {.name = "m", .digest = {}, .n_layers = 6, .n_embd = 32};
    state_.options.cut = LayerCut{1, 1};
  }

  void Give(NodeId from, AnyMessage message, SessionId fresh = {}) {
    Apply(state_, now_, Received{from, std::move(message), fresh});
  }
  Hello HelloOf(NodeId node, Role role) {
    return {.role = role, .name = "n" + std::to_string(node.value), .model = model_};
  }
  NodeStatus WorkerStatus(uint64_t placement = 0, LoadPhase phase = LoadPhase::kNone) {
    NodeStatus status;
    for (int i = 0; i < 6; ++i) {
      status.bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = 10});
    }
    status.placement = placement;
    status.phase = phase;
    return status;
  }
  // Of a worker that could not load what is placed now, for a reason that does not pass.
  NodeStatus FailedStatus() {
    NodeStatus status = WorkerStatus(state_.placement_id, LoadPhase::kFailed);
    status.load_status = NotFound("blk.3.attn_q.weight is missing");
    return status;
  }
  NodeStatus EdgeStatus() {
    NodeStatus status;
    status.role = Role::kEdge;
    status.front_layers = status.back_layers = 1;
    return status;
  }
  RouteRequest Request(uint64_t number = 7) {
    return {.request = number,
            .model = model_,
            .front_layers = 1,
            .back_layers = 1,
            .positions_max = 100};
  }
  void Join(NodeId node, Role role) {
    Give(node, HelloOf(node, role));
    Give(node, role == Role::kWorker ? WorkerStatus() : EdgeStatus());
    state_.outbox.clear();
  }
  // Executes the plan as the loop does; returns what was sent.
  std::vector<Outgoing> RunPlan() {
    std::vector<Outgoing> sent;
    for (CoordinatorAction& action : Plan(state_, now_)) {
      if (action.send) sent.push_back(std::move(*action.send));
      Apply(state_, now_, std::move(action.then));
    }
    return sent;
  }
  void JoinAllAndLoad() {
    Join(kEdge, Role::kEdge);
    Join(kWorkerA, Role::kWorker);
    RunPlan();  // places
    Give(kWorkerA, WorkerStatus(state_.placement_id, LoadPhase::kReady));
  }
  template <typename T>
  const T& Owed() {
    EXPECT_EQ(state_.outbox.size(), 1u);
    return std::get<T>(state_.outbox.at(0).message);
  }

  ModelId model_;
  CoordinatorState state_;
  Time now_{std::chrono::seconds(100)};
};

}  // namespace mortar
