#include "protocol/local_transport.h"

#include <mutex>
#include <unordered_map>
#include <utility>

#include "common/check.h"
#include "common/ring_queue.h"

namespace mortar {
namespace {

// What waits in one inbox from one sender.
struct Waiting {
  NodeId from;
  size_t bytes = 0;
  size_t messages = 0;
};

struct Inbox {
  RingQueue<Incoming> messages;
  std::vector<Waiting> waiting;  // few senders: searched in order

  Waiting& From(NodeId node) {
    for (Waiting& w : waiting) {
      if (w.from == node) return w;
    }
    waiting.push_back({.from = node});
    return waiting.back();
  }
};

size_t FrameBytes(const Activation& frame) {
  return EncodedBytes(frame.envelope) + frame.rows.bytes();
}

// Bytes that a queued message holds. Those with neither rows nor bricks are bounded by their
// number.
size_t HeldBytes(const AnyMessage& message) {
  if (const auto* chunk = std::get_if<BrickChunk>(&message)) return chunk->bytes.size();
  const auto* frame = std::get_if<Activation>(&message);
  return frame == nullptr ? 0 : FrameBytes(*frame);
}

}  // namespace

struct LocalNetwork::State {
  LocalNetworkOptions options;
  std::mutex mutex;  // guards inboxes
  std::unordered_map<NodeId, Inbox, IdHash> inboxes;
};

namespace {

class LocalTransport final : public Transport {
 public:
  LocalTransport(NodeId self, std::shared_ptr<LocalNetwork::State> network)
      : self_(self), network_(std::move(network)) {}

  ~LocalTransport() override {
    std::lock_guard lock(network_->mutex);
    network_->inboxes.erase(self_);
  }

  NodeId self() const override { return self_; }

  absl::Status Send(NodeId to, AnyMessage message) override {
    const size_t bytes = HeldBytes(message);
    const auto* frame = std::get_if<Activation>(&message);
    const int rows = frame != nullptr ? frame->rows.n() : 0;
    const auto frame_bytes = frame != nullptr ? std::optional(bytes) : std::nullopt;
    absl::Status queued = Queue(to, bytes, std::move(message));
    links_.Count(to, queued.ok(), frame_bytes, rows);
    return queued;
  }

  std::optional<Incoming> Poll() override {
    std::lock_guard lock(network_->mutex);
    Inbox& inbox = network_->inboxes.at(self_);
    if (inbox.messages.empty()) return std::nullopt;
    Incoming incoming = inbox.messages.pop_front();
    Waiting& waiting = inbox.From(incoming.from);
    waiting.bytes -= HeldBytes(incoming.message);
    --waiting.messages;
    return incoming;
  }

  std::vector<LinkCounters> Links() const override { return links_.links(); }

  size_t BytesOf(const Activation& frame) const override { return FrameBytes(frame); }

  std::string endpoint() const override { return ""; }
  void Introduce(const Introduction&) override {}

 private:
  absl::Status Queue(NodeId to, size_t bytes, AnyMessage message) {
    std::lock_guard lock(network_->mutex);
    const auto found = network_->inboxes.find(to);
    if (found == network_->inboxes.end()) return NotFound("no node " + ToString(to));
    Waiting& waiting = found->second.From(self_);
    if (waiting.bytes + bytes > network_->options.queue_bytes_max ||
        waiting.messages >= network_->options.queue_messages_max) {
      return ResourceExhausted("queue to node " + ToString(to) +
                               " is full: " + std::to_string(waiting.messages) + " messages, " +
                               std::to_string(waiting.bytes) + " bytes");
    }
    waiting.bytes += bytes;
    ++waiting.messages;
    found->second.messages.push_back({.from = self_, .message = std::move(message)});
    return absl::OkStatus();
  }

  const NodeId self_;
  const std::shared_ptr<LocalNetwork::State> network_;
  LinkTable links_;
};

}  // namespace

LocalNetwork::LocalNetwork(LocalNetworkOptions options) : state_(std::make_shared<State>()) {
  state_->options = options;
}

LocalNetwork::~LocalNetwork() = default;

std::unique_ptr<Transport> LocalNetwork::Attach(NodeId self) {
  {
    std::lock_guard lock(state_->mutex);
    CHECK(state_->inboxes.try_emplace(self).second);
  }
  return std::make_unique<LocalTransport>(self, state_);
}

}  // namespace mortar
