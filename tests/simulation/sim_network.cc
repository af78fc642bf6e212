#include "tests/simulation/sim_network.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

constexpr Duration kCalmDelayMax = std::chrono::milliseconds(20);

// Bytes that a queued message holds. Those without rows are bounded by their number.
size_t HeldBytes(const AnyMessage& message) {
  const auto* frame = std::get_if<Activation>(&message);
  return frame == nullptr ? 0 : EncodedBytes(frame->envelope) + frame->rows.bytes();
}

}  // namespace

class SimNetwork::Node final : public Transport {
 public:
  Node(NodeId self, SimNetwork& network) : self_(self), network_(network) {}
  ~Node() override { network_.places_[self_].attached = false; }

  NodeId self() const override { return self_; }
  absl::Status Send(NodeId to, AnyMessage message) override {
    return network_.Send(self_, to, std::move(message));
  }
  std::optional<Incoming> Poll() override {
    std::optional<Incoming> next = network_.Receive(self_);
    if (network_.options_.polled) network_.options_.polled(self_, next ? &*next : nullptr);
    return next;
  }
  std::vector<LinkCounters> Links() const override { return {}; }
  size_t BytesOf(const Activation& frame) const override {
    return EncodedBytes(frame.envelope) + frame.rows.bytes();
  }
  std::string endpoint() const override { return ""; }
  void Introduce(const Introduction&) override {}

 private:
  const NodeId self_;
  SimNetwork& network_;
};

std::unique_ptr<Transport> SimNetwork::Attach(NodeId self) {
  Place& place = places_[self];
  CHECK(!place.attached);
  place.attached = true;
  return std::make_unique<Node>(self, *this);
}

// A job runs when its time is over: until then nobody sees what it does.
class SimNetwork::Jobs final : public JobQueue {
 public:
  Jobs(NodeId node, SimNetwork& network) : network_(network), place_(network.places_[node]) {}
  ~Jobs() override { Drain(); }

  void Submit(Job* job) override {
    const Time begin = waiting_.empty() ? network_.clock_.Now() : waiting_.back().end;
    std::uniform_int_distribution<int64_t> length(0, network_.options_.job_max.count());
    const auto drawn = static_cast<double>(length(network_.random_));
    waiting_.push_back({job, begin + Duration(static_cast<int64_t>(drawn * place_.slowness))});
    place_.jobs_end.insert(waiting_.back().end);
  }
  Job* PollDone() override {
    if (waiting_.empty() || waiting_.front().end > network_.clock_.Now()) return nullptr;
    Job* job = waiting_.front().job;
    Forget();
    job->Run();
    return job;
  }
  void Drain() override {
    while (!waiting_.empty()) Forget();
  }

 private:
  struct Running {
    Job* job = nullptr;
    Time end{};
  };
  void Forget() {
    place_.jobs_end.erase(place_.jobs_end.find(waiting_.front().end));
    waiting_.pop_front();
  }

  SimNetwork& network_;
  Place& place_;
  RingQueue<Running> waiting_;
};

std::unique_ptr<JobQueue> SimNetwork::NewJobs(NodeId node) {
  return std::make_unique<Jobs>(node, *this);
}

// With rows of its own, as over a wire: whoever gets them may change them.
AnyMessage SimNetwork::CopyOf(const AnyMessage& message) {
  const auto* frame = std::get_if<Activation>(&message);
  if (frame == nullptr || frame->rows.empty()) return message;
  return Activation{.envelope = frame->envelope,
                    .rows = pool_.Copy(frame->rows, 0, frame->rows.n())};
}

bool SimNetwork::IsRelayed(NodeId from, NodeId to) const {
  return options_.relayed && !IsCoordinator(from) && !IsCoordinator(to);
}

void SimNetwork::Lose(NodeId from, NodeId to, const AnyMessage& message, const char* why) {
  ++counters_.lost;
  if (options_.trace) options_.trace(why, from, to, message);
}

absl::Status SimNetwork::Send(NodeId from, NodeId to, AnyMessage message) {
  if (options_.tamper) options_.tamper(from, to, message);
  ++counters_.sent;
  Link& link = links_[{from, to}];
  if (link.waiting >= kQueueMessagesPerPeerMax ||
      link.waiting_bytes + HeldBytes(message) > kQueueBytesPerPeerMax) {
    ++counters_.refused;
    return ResourceExhausted("queue to node " + ToString(to) + " is full");
  }
  const Time now = clock_.Now();
  if (Chance() < options_.loss) {
    Lose(from, to, message, "lost");
    return absl::OkStatus();
  }
  if (options_.link_losses > 0 && Chance() < options_.link_losses) {
    Lose(from, to, message, "link lost");
    --counters_.lost;  // counted as a link
    LoseLink(from, to);
    return absl::OkStatus();
  }
  const auto place = places_.find(to);
  if (place == places_.end() || !place->second.attached) {
    Lose(from, to, message, "nobody there");
    return absl::OkStatus();
  }
  if (now < link.blocked_until) {
    Lose(from, to, message, "cut off");
    return absl::OkStatus();
  }
  const bool relayed = IsRelayed(from, to);
  if (relayed && now < relay_gone_until_) {
    Lose(from, to, message, "no relay");
    return absl::OkStatus();
  }
  const int copies = Chance() < options_.duplicates ? options_.copies : 1;
  counters_.doubled += static_cast<uint64_t>(copies - 1);
  const uint64_t number = ++link.sent;
  if (options_.trace) options_.trace(copies > 1 ? "sent, doubled" : "sent", from, to, message);
  for (int i = 0; i < copies; ++i) {
    const int64_t span = (options_.delay_max - options_.delay_min).count();
    Duration delay{};
    for (int way = 0; way < (relayed ? 2 : 1); ++way) {
      delay +=
          options_.delay_min + Duration(static_cast<int64_t>(Chance() * static_cast<double>(span)));
    }
    Queue(from, to, number, CopyOf(message), delay);
  }
  return absl::OkStatus();
}

void SimNetwork::Queue(NodeId from, NodeId to, uint64_t number, AnyMessage message,
                       Duration delay) {
  Link& link = links_[{from, to}];
  ++link.waiting;
  link.waiting_bytes += HeldBytes(message);
  places_[to].inbox.emplace(clock_.Now() + delay,
                            OnItsWay{from, number, IsRelayed(from, to), std::move(message)});
}

// --- Faults ---

void SimNetwork::LoseWhat(const std::function<bool(const OnItsWay&, NodeId to)>& lost) {
  for (auto& [node, place] : places_) {
    std::erase_if(place.inbox, [&, to = node](const auto& entry) {
      const OnItsWay& m = entry.second;
      if (!lost(m, to)) return false;
      Link& link = links_[{m.from, to}];
      --link.waiting;
      link.waiting_bytes -= HeldBytes(m.message);
      return true;
    });
  }
}

void SimNetwork::Bring(NodeId from, NodeId to, const AnyMessage& message) {
  const Link& link = links_[{from, to}];
  const Time now = clock_.Now();
  const auto place = places_.find(to);
  if (place == places_.end() || !place->second.attached || now < link.blocked_until ||
      now < relay_gone_until_ || link.waiting >= kQueueMessagesPerPeerMax ||
      link.waiting_bytes + HeldBytes(message) > kQueueBytesPerPeerMax) {
    return;
  }
  if (options_.trace) options_.trace("brought", from, to, message);
  Queue(from, to, ++links_[{from, to}].sent, CopyOf(message), options_.delay_min);
}

void SimNetwork::SayGone(NodeId gone, NodeId to) {
  const auto place = places_.find(to);
  if (place == places_.end() || !place->second.attached) return;
  Queue(gone, to, ++links_[{gone, to}].sent, Goodbye{Unavailable("its connection is gone")},
        Duration::zero());
}

void SimNetwork::LoseLink(NodeId a, NodeId b) {
  ++counters_.links_lost;
  LoseWhat([&](const OnItsWay& m, NodeId to) {
    return (m.from == a && to == b) || (m.from == b && to == a);
  });
  SayGone(a, b);
  SayGone(b, a);
}

void SimNetwork::Block(NodeId from, NodeId to, Time until) {
  Time& blocked = links_[{from, to}].blocked_until;
  blocked = std::max(blocked, until);
}

void SimNetwork::Kill(NodeId node, bool said, const std::vector<NodeId>& others) {
  LoseWhat([&](const OnItsWay& m, NodeId to) { return to == node || (said && m.from == node); });
  if (!said) return;
  for (const NodeId other : others) SayGone(node, other);
}

void SimNetwork::RelayGone(Time until) {
  relay_gone_until_ = std::max(relay_gone_until_, until);
  LoseWhat([](const OnItsWay& m, NodeId) { return m.relayed; });
}

void SimNetwork::Calm() {
  options_.loss = options_.duplicates = options_.link_losses = 0;
  options_.delay_max = std::min<Duration>(options_.delay_max, kCalmDelayMax);
  relay_gone_until_ = {};
  for (auto& [ends, link] : links_) link.blocked_until = {};
  for (auto& [node, place] : places_) place.slowness = 1;
}

// --- Delivery ---

namespace {

void ForgetKeys(RouteGrant& grant) {
  grant.edge_key = {};
  for (Hop& hop : grant.hops) hop.key = {};
  if (grant.signature) grant.signature = Signature{};
}

// Without what keys made, which are drawn from the kernel: that a message was sealed or signed
// stays.
AnyMessage WithoutKeys(AnyMessage message) {
  std::visit(
      [](auto& m) {
        if constexpr (requires { m.seal; }) {
          if (m.seal) m.seal = SealTag{};
        }
        if constexpr (requires { m.grant; }) ForgetKeys(m.grant);
        if constexpr (requires { m.key; }) m.key = {};
        if constexpr (requires { m.signer; }) m.signer = {};
      },
      message);
  if (auto* frame = std::get_if<Activation>(&message)) frame->envelope.seal = {};
  if (auto* placement = std::get_if<Placement>(&message)) {
    placement->next_key = {};
    for (Introduction& other : placement->next_others) other.key = {};
  }
  return message;
}

}  // namespace

void SimNetwork::Record(const Incoming& delivered, NodeId to) {
  const auto add = [&](uint64_t value) {  // FNV-1a, a word at a time
    counters_.history = (counters_.history ^ value) * 0x100000001b3;
  };
  add(static_cast<uint64_t>(clock_.Now().time_since_epoch().count()));
  const AnyMessage message = WithoutKeys(delivered.message);
  for (const uint64_t word : writer_.Write(delivered.from, to, message)) add(word);
  const auto* frame = std::get_if<Activation>(&delivered.message);
  if (frame == nullptr || frame->envelope.is_sealed()) return;
  const size_t n_floats = frame->rows.bytes() / sizeof(float);
  for (size_t i = 0; i < n_floats; ++i) add(std::bit_cast<uint32_t>(frame->rows.data()[i]));
}

std::optional<Incoming> SimNetwork::Receive(NodeId to) {
  auto& inbox = places_.at(to).inbox;
  if (inbox.empty() || inbox.begin()->first > clock_.Now()) return std::nullopt;
  OnItsWay arrived = std::move(inbox.begin()->second);
  inbox.erase(inbox.begin());
  Link& link = links_[{arrived.from, to}];
  --link.waiting;
  link.waiting_bytes -= HeldBytes(arrived.message);
  if (arrived.number < link.newest_delivered) ++counters_.overtaken;
  link.newest_delivered = std::max(link.newest_delivered, arrived.number);
  Incoming incoming{.from = arrived.from, .message = std::move(arrived.message)};
  Record(incoming, to);
  if (options_.trace) options_.trace("arrived", incoming.from, to, incoming.message);
  return incoming;
}

std::optional<Duration> SimNetwork::UntilNext() const {
  std::optional<Time> next;
  const auto earlier = [&](Time at) { next = std::min(next.value_or(Time::max()), at); };
  for (const auto& [node, place] : places_) {
    if (place.stalled) continue;
    if (!place.inbox.empty()) earlier(place.inbox.begin()->first);
    if (!place.jobs_end.empty()) earlier(*place.jobs_end.begin());
  }
  if (!next) return std::nullopt;
  return std::max(Duration::zero(), *next - clock_.Now());
}

// --- Words ---

namespace {

std::string Of(const SessionId& session, uint32_t epoch, uint64_t step) {
  char id[5];
  std::snprintf(id, sizeof id, "%02x%02x", session.bytes[0], session.bytes[1]);
  return std::string(id) + " epoch " + std::to_string(epoch) + " step " + std::to_string(step);
}

std::string Words(const Hello& m) { return std::string("Hello ") + Name(m.role) + " " + m.name; }
std::string Words(const Welcome&) { return "Welcome"; }
std::string Words(const NodeStatus& m) {
  return "NodeStatus placement " + std::to_string(m.placement) + " phase " +
         std::to_string(static_cast<int>(m.phase)) + " sessions " + std::to_string(m.sessions);
}
std::string Words(const Placement& m) {
  return "Placement " + std::to_string(m.id) + " layers " + ToString(m.layers);
}
std::string Words(const RouteRequest& m) { return "RouteRequest " + std::to_string(m.request); }
std::string Words(const Route& m) {
  std::string words = "Route " + std::to_string(m.request) + " " + Of(m.grant.session, 0, 0);
  if (!m.status.ok()) words += " refused: " + Message(m.status);
  for (const Hop& hop : m.grant.hops) words += " " + hop.name + " " + ToString(hop.layers);
  return words;
}
std::string Words(const Activation& m) {
  const Envelope& e = m.envelope;
  return std::string(e.is_answer() ? "answer " : "frame ") + Of(e.session, e.epoch, e.step) +
         " base " + std::to_string(e.base) + " n " + std::to_string(e.n);
}
std::string Words(const NeedPrefix& m) {
  return "NeedPrefix " + Of(m.session, m.epoch, m.step) + " have " + std::to_string(m.have);
}
std::string Words(const NeedRoute& m) { return "NeedRoute " + Of(m.session, m.epoch, m.step); }
std::string Words(const Rejected& m) {
  return "Rejected " + Of(m.session, m.epoch, m.step) + ": " + Message(m.status);
}
std::string Words(const End& m) { return "End " + Of(m.session, 0, 0); }
std::string Words(const Cancel& m) { return "Cancel " + Of(m.session, 0, 0); }
std::string Words(const Ended& m) { return "Ended " + Of(m.session, 0, 0); }
std::string Words(const Goodbye& m) { return "Goodbye: " + Message(m.status); }
std::string Words(const Open& m) { return "Open " + Of(m.session, 0, 0); }
std::string Words(const Alive&) { return "Alive"; }
std::string Words(const Echo&) { return "Echo"; }
std::string Words(const SourcesRequest&) { return "SourcesRequest"; }
std::string Words(const Sources& m) { return "Sources: " + std::to_string(m.nodes.size()); }
std::string Words(const BrickRequest& m) {
  return "BrickRequest at " + std::to_string(m.offset) + " for " + std::to_string(m.length);
}
std::string Words(const Doors& m) { return "Doors: " + std::to_string(m.doors.size()); }
std::string Words(const BrickChunk& m) {
  return "BrickChunk at " + std::to_string(m.offset) + " of " + std::to_string(m.bytes.size());
}

}  // namespace

std::string Describe(const AnyMessage& message) {
  return std::visit([](const auto& m) { return Words(m); }, message);
}

}  // namespace mortar
