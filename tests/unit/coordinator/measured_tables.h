// A coordinator that places by measure, with workers that say speeds and sizes.
#pragma once

#include <vector>

#include "coordinator/replan.h"
#include "tests/unit/coordinator/coordinator_tables.h"

namespace mortar {

inline constexpr NodeId kWorkerC{62};
inline constexpr double kMs = 1e6;
inline constexpr uint64_t kLayer = 1'000'000;  // bytes: at 1 ns each a layer takes 1 ms

class MeasuredTables : public CoordinatorTables {
 protected:
  MeasuredTables() {
    model_.n_layers = 12;
    state_.options.cut = LayerCut{2, 2};
    state_.options.measured = true;
  }

  NodeStatus Measured(double ns_per_byte, int layers_that_fit = 8) {
    NodeStatus status;
    for (int i = 0; i < model_.n_layers; ++i) {
      status.bricks.push_back({.layers = {i, i + 1}, .digest = {}, .weight_bytes = kLayer});
    }
    status.ns_per_byte = ns_per_byte;
    status.round_trip_ns = 500'000;
    status.kv_bytes_per_layer = kLayer;
    status.memory_bytes = 2 * kLayer * static_cast<uint64_t>(layers_that_fit);
    return status;
  }
  // Says it, of what is placed now and loaded.
  void Say(NodeId worker, NodeStatus status, int sessions = 0) {
    status.placement = state_.placement_id;
    status.phase = LoadPhase::kReady;
    status.sessions = sessions;
    Give(worker, status);
    state_.outbox.clear();
  }
  void JoinMeasured(NodeId worker, const NodeStatus& status) {
    Give(worker, HelloOf(worker, Role::kWorker));
    Give(worker, status);
    state_.outbox.clear();
  }
  // An edge, and workers A and B that say `status`, host what they were given, and serve.
  void ServeWithTwo(const NodeStatus& status) {
    state_.options.workers_expected = 2;
    JoinEdge();
    for (const NodeId worker : {kWorkerA, kWorkerB}) JoinMeasured(worker, status);
    RunPlan();
    RunPlan();
    for (const NodeId worker : {kWorkerA, kWorkerB}) Say(worker, status);
  }
  void JoinEdge() {
    Give(kEdge, HelloOf(kEdge, Role::kEdge));
    Give(kEdge, StatusOfTheEdge());
    state_.outbox.clear();
  }
  NodeStatus StatusOfTheEdge() {
    NodeStatus status;
    status.role = Role::kEdge;
    status.front_layers = status.back_layers = 2;
    return status;
  }
  // Time goes on, and the edge with it.
  void Pass(Duration time) {
    now_ += time;
    for (Member& member : state_.members) member.heard = now_;
  }
  RouteRequest Ask(uint64_t number) {
    return {.request = number,
            .model = model_,
            .front_layers = 2,
            .back_layers = 2,
            .positions_max = 100};
  }
  // The nodes of the route that is granted now.
  std::vector<NodeId> Route1() {
    Give(kEdge, Ask(++asked_));
    for (const Outgoing& outgoing : RunPlan()) {
      const auto* route = std::get_if<Route>(&outgoing.message);
      if (route == nullptr) continue;
      EXPECT_TRUE(route->status.ok()) << route->status;
      std::vector<NodeId> nodes;
      for (const Hop& hop : route->grant.hops) nodes.push_back(hop.node);
      return nodes;
    }
    ADD_FAILURE() << "no route: " << RouteStatus(state_, Ask(asked_));
    return {};
  }
  const PlacedHop& HopAt(size_t i) { return state_.placement->hops.at(i); }
  std::vector<NodeId> HostsAt(size_t i) {
    std::vector<NodeId> nodes;
    for (const PlacedHost& host : HostsOf(HopAt(i))) nodes.push_back(host.node);
    return nodes;
  }

  uint64_t asked_ = 0;
};

}  // namespace mortar
