#include "cli/cluster_gate.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "cli/console.h"
#include "cli/node_keys.h"
#include "cli/node_process.h"

namespace mortar {

absl::Status CheckGateFlags(const Settings& settings) {
  if (settings.Has("listen")) return absl::OkStatus();
  for (const char* flag : {"keys", "allow-list", "insecure", "parallel"}) {
    // A variable is exported for all commands of a person, and speaks of those that heed it.
    const FlagSource source = settings.Source(flag);
    if (source != FlagSource::kCommandLine && source != FlagSource::kFile) continue;
    return UsageError(settings.Where(flag) +
                      " is for nodes outside the job; add --listen URL, where they find it");
  }
  return absl::OkStatus();
}

// The nodes of the job, for the transport of those outside.
class ClusterGate::Ranks final : public NodesBehind {
 public:
  void Join(MpiNetwork& network) { network_ = &network; }
  bool Owns(NodeId node) const override { return network_ != nullptr && network_->Owns(node); }
  absl::Status Forward(NodeId from, NodeId to, AnyMessage message) override {
    return network_->Forward(from, to, std::move(message));
  }

 private:
  MpiNetwork* network_ = nullptr;
};

// The other way.
class ClusterGate::Outside final : public NodesBehind {
 public:
  Outside(ZmqTransport& transport, const MpiNetwork& network)
      : transport_(transport), network_(network) {}
  bool Owns(NodeId node) const override { return !network_.Owns(node); }
  absl::Status Forward(NodeId from, NodeId to, AnyMessage message) override {
    return transport_.Forward(from, to, message);
  }

 private:
  ZmqTransport& transport_;
  const MpiNetwork& network_;
};

class ClusterGate::BothWays final : public Transport {
 public:
  BothWays(Transport& inside, const MpiNetwork& network, const ClusterGate& gate)
      : inside_(inside), network_(network), gate_(gate) {}

  NodeId self() const override { return inside_.self(); }
  absl::Status Send(NodeId to, AnyMessage message) override {
    Transport& way = network_.Owns(to) ? inside_ : *gate_.outside_;
    return way.Send(to, std::move(message));
  }
  // Ranks first: what nodes outside send in one round is bounded, and theirs does not wait for it.
  std::optional<Incoming> Poll() override {
    auto incoming = inside_.Poll();
    if (incoming || !gate_.joined_) return incoming;
    return gate_.outside_->Poll();
  }
  std::vector<LinkCounters> Links() const override {
    std::vector<LinkCounters> all = inside_.Links();
    const std::vector<LinkCounters> others = gate_.outside_->Links();
    all.insert(all.end(), others.begin(), others.end());
    return all;
  }
  size_t BytesOf(const Activation& frame) const override { return inside_.BytesOf(frame); }
  std::string endpoint() const override { return gate_.outside_->endpoint(); }
  void Introduce(const Introduction&) override {}

 private:
  Transport& inside_;
  const MpiNetwork& network_;
  const ClusterGate& gate_;
};

ClusterGate::ClusterGate(const CommandContext& context, std::optional<KeyPair> keys,
                         std::unique_ptr<Ranks> ranks, std::unique_ptr<ZmqTransport> outside)
    : context_(context),
      keys_(std::move(keys)),
      ranks_(std::move(ranks)),
      outside_(std::move(outside)) {
  refusals_.emplace(context.log, context.clock, [this] { return Refusals(); });
}

ClusterGate::~ClusterGate() {
  LogTraffic(*outside_, context_.log);
  refusals_->End();
}

absl::StatusOr<std::unique_ptr<ClusterGate>> ClusterGate::Open(const CommandContext& context,
                                                               const ModelId& model,
                                                               RowsPool& pool) {
  // The card's model is how wide rows for the ranks are; nobody is shown the card.
  ZmqOptions link{.self = kCoordinatorNode,
                  .card = {.role = Role::kCoordinator, .name = "coordinator", .model = model},
                  .forwards = true,
                  .members = true};
  ASSIGN_OR_RETURN(link.listen, ReadEndpoint(context, "listen", EndpointUse::kListen));
  RETURN_IF_ERROR(ReadNodeKeys(context, link));
  RETURN_IF_ERROR(AllowManyLinks());
  auto ranks = std::make_unique<Ranks>();
  ASSIGN_OR_RETURN(auto outside,
                   ZmqTransport::Create(link, {context.clock, context.log, pool, ranks.get()}));
  return std::unique_ptr<ClusterGate>(
      new ClusterGate(context, link.keys, std::move(ranks), std::move(outside)));
}

std::unique_ptr<Transport> ClusterGate::Around(Transport& inside, MpiNetwork& network) {
  ranks_->Join(network);
  return std::make_unique<BothWays>(inside, network, *this);
}

void ClusterGate::Join(MpiNetwork& network) {
  others_ = std::make_unique<Outside>(*outside_, network);
  network.Open(*others_);
  joined_ = true;
}

Idling ClusterGate::Idle(MpiNetwork& network, Duration awake_max) {
  const auto nap = [this](Duration longest) {
    if (!joined_) {
      std::this_thread::sleep_for(longest);
      return false;
    }
    // ZeroMQ waits for whole milliseconds.
    if (longest >= std::chrono::milliseconds(1)) return outside_->Wait(longest);
    std::this_thread::sleep_for(longest);
    return outside_->Wait(Duration::zero());
  };
  return {.sleep = [&network, nap](Duration longest) { network.Wait(longest, nap); },
          .awake_max = awake_max};
}

Counts ClusterGate::Refusals() const {
  return Joined(RefusalsOf(outside_->counters()), {{"not_joined", not_joined_}});
}

void ClusterGate::Tick(const CoordinatorState& coordinator) {
  not_joined_ = coordinator.refused;
  refusals_->Tick();
}

void ClusterGate::SayEnd(const CoordinatorState& coordinator, const std::string& why) {
  if (!joined_) return;
  const Goodbye goodbye{FailedPrecondition(why)};
  for (const Member& member : coordinator.members) {
    if (member.role != Role::kEdge || ranks_->Owns(member.node)) continue;
    (void)outside_->Send(member.node, goodbye);  // whoever misses it loses its link
  }
}

}  // namespace mortar
