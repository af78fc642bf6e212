// A network under a seed: messages are lost, doubled, delayed and so reordered, links are lost and
// come back, nodes are cut off, die and stand still, on a clock that the test moves. The same seed
// gives the same run, message for message.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "common/clock.h"
#include "common/job_queue.h"
#include "protocol/transport.h"
#include "protocol/wire.h"

namespace mortar {

struct SimOptions {
  uint64_t seed = 1;
  double loss = 0.03;        // of messages, each by itself
  double duplicates = 0.05;  // of those that are not lost
  int copies = 2;            // of a message that is doubled, each with a delay of its own
  Duration delay_min = std::chrono::milliseconds(1);
  Duration delay_max = std::chrono::milliseconds(20);  // even between the two: later ones overtake
  // Chance that a message finds its link lost: it goes, with all that is on its way between the two
  // ends, and each hears the other's Goodbye, as a transport says it. The link is back at once.
  double link_losses = 0;
  Duration job_max = std::chrono::milliseconds(15);  // a job takes from nothing to this
  bool relayed = false;  // what is between nodes other than the coordinator goes the way twice
  // Sees each message before it is sent, and may change it; empty: none.
  std::function<void(NodeId from, NodeId to, AnyMessage& message)> tamper{};
  // Is called when a node asks for its next message: with that, or with null; empty: nobody.
  std::function<void(NodeId node, const Incoming* next)> polled{};
  // Sees what became of each message, in words; empty: nobody.
  std::function<void(const char* what, NodeId from, NodeId to, const AnyMessage& message)> trace{};
};

struct SimCounters {
  uint64_t sent = 0;
  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t overtaken = 0;  // delivered before an older one of the same two ends
  uint64_t links_lost = 0;
  uint64_t refused = 0;  // the queue between the two ends was full
  // A hash over all that was delivered: when, between whom, every byte but what keys made of it,
  // which no seed repeats.
  uint64_t history = 0;
};

// Used by one thread. The clock outlives it.
class SimNetwork {
 public:
  SimNetwork(SimOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {
    random_.seed(options_.seed);
  }

  std::unique_ptr<Transport> Attach(NodeId self);
  // Jobs that end at simulated times, so that frames come while others run.
  std::unique_ptr<JobQueue> NewJobs(NodeId node = kNoNode);
  // How long until the next message arrives or the next job ends, at nodes that do not stand still;
  // absent when there is none.
  std::optional<Duration> UntilNext() const;
  const SimCounters& counters() const { return counters_; }

  // --- Faults ---
  // Nothing that `from` sends to `to` arrives before `until`.
  void Block(NodeId from, NodeId to, Time until);
  // The process is gone, and what was on its way to it. With `said`, all others hear its Goodbye,
  // and what it had sent is lost; else it is silent, and what it had sent arrives.
  void Kill(NodeId node, bool said, const std::vector<NodeId>& others);
  // Nothing passes the relay before `until`, and what was on its way through it is lost.
  void RelayGone(Time until);
  void SetStalled(NodeId node, bool stalled) { places_[node].stalled = stalled; }
  // Nothing is lost, doubled, cut off or long on its way from now on.
  void Calm();
  // A message that a relay has from nobody comes in the name of `from`, if anything does.
  void Bring(NodeId from, NodeId to, const AnyMessage& message);
  // Its jobs take so many times as long, from the next one on.
  void SetSlowness(NodeId node, double factor) { places_[node].slowness = factor; }

 private:
  class Node;
  class Jobs;
  struct OnItsWay {
    NodeId from;
    uint64_t number;  // of its two ends, in the order of sending
    bool relayed = false;
    AnyMessage message;
  };
  // What waits for one node, and how it fares.
  struct Place {
    std::multimap<Time, OnItsWay> inbox;  // equal times are kept in the order of sending
    std::multiset<Time> jobs_end;
    bool attached = false;
    bool stalled = false;
    double slowness = 1;
  };
  // Of one direction between two nodes.
  struct Link {
    uint64_t sent = 0;
    uint64_t newest_delivered = 0;
    size_t waiting = 0;
    size_t waiting_bytes = 0;
    Time blocked_until{};
  };
  using Ends = std::pair<NodeId, NodeId>;  // from, to

  absl::Status Send(NodeId from, NodeId to, AnyMessage message);
  void Queue(NodeId from, NodeId to, uint64_t number, AnyMessage message, Duration delay);
  AnyMessage CopyOf(const AnyMessage& message);
  void LoseLink(NodeId a, NodeId b);
  void LoseWhat(const std::function<bool(const OnItsWay&, NodeId to)>& lost);
  void SayGone(NodeId gone, NodeId to);
  bool IsRelayed(NodeId from, NodeId to) const;
  void Lose(NodeId from, NodeId to, const AnyMessage& message, const char* why);
  void Record(const Incoming& delivered, NodeId to);
  std::optional<Incoming> Receive(NodeId to);
  double Chance() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  SimOptions options_;
  const Clock& clock_;
  std::mt19937_64 random_;
  std::map<NodeId, Place> places_;
  std::map<Ends, Link> links_;
  Time relay_gone_until_{};
  WireWriter writer_;
  RowsPool pool_;
  SimCounters counters_;
};

// One line for people: "Activation 3f… epoch 1 step 4 base 0 n 5".
std::string Describe(const AnyMessage& message);

}  // namespace mortar
