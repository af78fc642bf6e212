// Whoever is of bad will in one run: each lies from the beginning of its fault to its end.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tests/simulation/scenario.h"
#include "tests/simulation/sim_liars.h"
#include "tests/simulation/sim_network.h"
#include "tests/simulation/sim_relay.h"

namespace mortar {

class SimMisdeeds {
 public:
  // All outlive it.
  SimMisdeeds(const Scenario& scenario, SimNetwork& network, const SimView& view)
      : s_(scenario), network_(network), view_(view), relay_(network, view, scenario.seed) {}

  // Of kForge, kFlood, kClaim, kPretend and kRelayLies.
  void Begin(const Fault& fault, const ModelId& model);
  // `others` hear that its connections went.
  void End(const Fault& fault, const std::vector<NodeId>& others);
  // What it is time for. `elapsed`: from the beginning.
  void Step(Time now, Duration elapsed);
  // The relay sees what is sent.
  void Pass(NodeId from, NodeId to, const AnyMessage& message);

 private:
  int& BurstOf(FaultKind kind) {
    return kind == FaultKind::kForge ? forge_ : kind == FaultKind::kFlood ? flood_ : relay_lies_;
  }

  const Scenario& s_;
  SimNetwork& network_;
  const SimView& view_;
  const KeyPair keys_ = NewKeyPair();  // of the edge
  LyingRelay relay_;
  std::unique_ptr<Transport> edge_transport_;
  std::unique_ptr<LyingEdge> edge_;
  std::unique_ptr<Transport> worker_transport_;
  std::unique_ptr<LyingWorker> worker_;
  std::unique_ptr<Transport> pretender_transport_;
  std::unique_ptr<Pretender> pretender_;
  int forge_ = 0;  // messages a burst, while it lasts
  int flood_ = 0;
  int relay_lies_ = 0;
  Duration misbehaved_{};
};

}  // namespace mortar
