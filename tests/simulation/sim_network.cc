#include "tests/simulation/sim_network.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace mortar {

class SimNetwork::Node final : public Transport {
 public:
  Node(NodeId self, SimNetwork& network) : self_(self), network_(network) {}

  NodeId self() const override { return self_; }
  absl::Status Send(NodeId to, AnyMessage message) override {
    network_.Send(self_, to, std::move(message));
    return absl::OkStatus();
  }
  std::optional<Incoming> Poll() override { return network_.Receive(self_); }
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
  return std::make_unique<Node>(self, *this);
}

// A job runs when its time is over: until then nobody sees what it does.
class SimNetwork::Jobs final : public JobQueue {
 public:
  explicit Jobs(SimNetwork& network) : network_(network) {}
  ~Jobs() override { Drain(); }

  void Submit(Job* job) override {
    const Time begin = waiting_.empty() ? network_.clock_.Now() : waiting_.back().end;
    std::uniform_int_distribution<int64_t> length(0, network_.options_.job_max.count());
    waiting_.push_back({job, begin + Duration(length(network_.random_))});
    network_.jobs_end_.insert(waiting_.back().end);
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
    network_.jobs_end_.erase(network_.jobs_end_.find(waiting_.front().end));
    waiting_.pop_front();
  }

  SimNetwork& network_;
  RingQueue<Running> waiting_;
};

std::unique_ptr<JobQueue> SimNetwork::NewJobs() { return std::make_unique<Jobs>(*this); }

// With rows of its own, as over a wire: whoever gets them may change them.
AnyMessage SimNetwork::CopyOf(const AnyMessage& message) {
  const auto* frame = std::get_if<Activation>(&message);
  if (frame == nullptr || frame->rows.empty()) return message;
  return Activation{.envelope = frame->envelope,
                    .rows = pool_.Copy(frame->rows, 0, frame->rows.n())};
}

void SimNetwork::Send(NodeId from, NodeId to, AnyMessage message) {
  if (options_.tamper) options_.tamper(from, to, message);
  const auto chance = [&] { return std::uniform_real_distribution<double>(0, 1)(random_); };
  ++counters_.sent;
  if (chance() < options_.loss) {
    ++counters_.lost;
    return;
  }
  if (options_.link_losses > 0 && chance() < options_.link_losses) return LoseLink(from, to);
  const int copies = chance() < options_.duplicates ? options_.copies : 1;
  counters_.doubled += static_cast<uint64_t>(copies - 1);
  const uint64_t number = ++sent_[{from, to}];
  for (int i = 0; i < copies; ++i) {
    const int64_t span = (options_.delay_max - options_.delay_min).count();
    const Duration delay =
        options_.delay_min + Duration(static_cast<int64_t>(chance() * static_cast<double>(span)));
    on_their_way_.emplace(clock_.Now() + delay, OnItsWay{from, to, number, CopyOf(message)});
  }
}

void SimNetwork::LoseLink(NodeId a, NodeId b) {
  ++counters_.links_lost;
  std::erase_if(on_their_way_, [&](const auto& entry) {
    const OnItsWay& m = entry.second;
    return (m.from == a && m.to == b) || (m.from == b && m.to == a);
  });
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    const Goodbye gone{Unavailable("its connection is gone")};
    on_their_way_.emplace(clock_.Now(), OnItsWay{from, to, ++sent_[{from, to}], gone});
  }
}

void SimNetwork::Record(const Incoming& delivered, NodeId to) {
  const auto add = [&](uint64_t value) {  // FNV-1a, a word at a time
    counters_.history = (counters_.history ^ value) * 0x100000001b3;
  };
  add(static_cast<uint64_t>(clock_.Now().time_since_epoch().count()));
  for (const uint64_t word : writer_.Write(delivered.from, to, delivered.message)) add(word);
  const auto* frame = std::get_if<Activation>(&delivered.message);
  if (frame == nullptr) return;
  const size_t n_floats = frame->rows.bytes() / sizeof(float);
  for (size_t i = 0; i < n_floats; ++i) add(std::bit_cast<uint32_t>(frame->rows.data()[i]));
}

std::optional<Incoming> SimNetwork::Receive(NodeId to) {
  const auto end = on_their_way_.upper_bound(clock_.Now());
  const auto found = std::find_if(on_their_way_.begin(), end,
                                  [&](const auto& entry) { return entry.second.to == to; });
  if (found == end) return std::nullopt;
  OnItsWay arrived = std::move(found->second);
  on_their_way_.erase(found);
  uint64_t& newest = newest_delivered_[{arrived.from, to}];
  if (arrived.number < newest) ++counters_.overtaken;
  newest = std::max(newest, arrived.number);
  Incoming incoming{.from = arrived.from, .message = std::move(arrived.message)};
  Record(incoming, to);
  return incoming;
}

std::optional<Duration> SimNetwork::UntilNext() const {
  std::optional<Time> next;
  if (!on_their_way_.empty()) next = on_their_way_.begin()->first;
  if (!jobs_end_.empty()) next = std::min(next.value_or(Time::max()), *jobs_end_.begin());
  if (!next) return std::nullopt;
  return std::max(Duration::zero(), *next - clock_.Now());
}

}  // namespace mortar
