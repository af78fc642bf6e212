#include "tests/simulation/sim_misdeeds.h"

#include "tests/integration/embedded_cluster.h"

namespace mortar {
namespace {

constexpr Duration kBurstInterval = std::chrono::milliseconds(250);

}  // namespace

void SimMisdeeds::Begin(const Fault& fault, const ModelId& model) {
  if (fault.kind == FaultKind::kClaim) {
    if (worker_ != nullptr) return;
    worker_transport_ = WithKey(network_.Attach(kLyingWorker), NewKeyPair().public_key);
    worker_ = std::make_unique<LyingWorker>(*worker_transport_, model);
    return worker_->Join();
  }
  if (fault.kind == FaultKind::kPretend) {
    pretender_transport_ = WithKey(network_.Attach(kPretender), NewKeyPair().public_key);
    pretender_ = std::make_unique<Pretender>(*pretender_transport_, model, s_);
    return;
  }
  BurstOf(fault.kind) = fault.factor;
  if (fault.kind == FaultKind::kRelayLies || edge_ != nullptr) return;
  edge_transport_ = WithKey(network_.Attach(kLyingEdge), keys_.public_key);
  edge_ = std::make_unique<LyingEdge>(*edge_transport_, view_, model, keys_, s_.whole, s_.seed);
  edge_->Join();
}

void SimMisdeeds::End(const Fault& fault, const std::vector<NodeId>& others) {
  if (fault.kind == FaultKind::kClaim) {
    worker_.reset();
    worker_transport_.reset();
    return network_.Kill(kLyingWorker, true, others);
  }
  if (fault.kind == FaultKind::kPretend) {
    pretender_.reset();
    pretender_transport_.reset();
    return network_.Kill(kPretender, true, others);
  }
  BurstOf(fault.kind) = 0;
  if (forge_ > 0 || flood_ > 0 || edge_ == nullptr) return;
  edge_.reset();
  edge_transport_.reset();
  network_.Kill(kLyingEdge, true, others);
}

void SimMisdeeds::Step(Time now, Duration elapsed) {
  if (worker_ != nullptr) worker_->Step(now);
  if (pretender_ != nullptr) pretender_->Step(now);
  if (edge_ != nullptr) edge_->Listen();
  if (elapsed - misbehaved_ < kBurstInterval) return;
  misbehaved_ = elapsed;
  relay_.Misbehave(relay_lies_);
  if (edge_ == nullptr) return;
  edge_->Forge(forge_);
  edge_->Flood(flood_);
}

void SimMisdeeds::Pass(NodeId from, NodeId to, const AnyMessage& message) {
  if (relay_lies_ > 0) relay_.Pass(from, to, message);
}

}  // namespace mortar
