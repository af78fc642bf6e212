// A network under a seed: messages are lost, doubled, delayed and so reordered, and links are lost
// and come back, on a clock that the test moves. The same seed gives the same run, message for
// message.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>

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
  // Sees each message before it is sent, and may change it; empty: none.
  std::function<void(NodeId from, NodeId to, AnyMessage& message)> tamper{};
};

struct SimCounters {
  uint64_t sent = 0;
  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t overtaken = 0;  // delivered before an older one of the same two ends
  uint64_t links_lost = 0;
  uint64_t history = 0;  // a hash over all that was delivered: when, between whom, every byte
};

// Used by one thread. The clock outlives it.
class SimNetwork {
 public:
  SimNetwork(SimOptions options, const Clock& clock) : options_(options), clock_(clock) {
    random_.seed(options.seed);
  }

  std::unique_ptr<Transport> Attach(NodeId self);
  // Jobs that end at simulated times, so that frames come while others run.
  std::unique_ptr<JobQueue> NewJobs();
  // How long until the next message arrives or the next job ends; absent when there is none.
  std::optional<Duration> UntilNext() const;
  const SimCounters& counters() const { return counters_; }

 private:
  class Node;
  class Jobs;
  struct OnItsWay {
    NodeId from;
    NodeId to;
    uint64_t number;  // of its two ends, in the order of sending
    AnyMessage message;
  };
  void Send(NodeId from, NodeId to, AnyMessage message);
  AnyMessage CopyOf(const AnyMessage& message);
  void LoseLink(NodeId a, NodeId b);
  void Record(const Incoming& delivered, NodeId to);
  std::optional<Incoming> Receive(NodeId to);

  const SimOptions options_;
  const Clock& clock_;
  std::mt19937_64 random_;
  // Equal times are kept in the order of sending.
  std::multimap<Time, OnItsWay> on_their_way_;
  std::multiset<Time> jobs_end_;
  std::map<std::pair<NodeId, NodeId>, uint64_t> sent_;
  std::map<std::pair<NodeId, NodeId>, uint64_t> newest_delivered_;
  WireWriter writer_;
  RowsPool pool_;
  SimCounters counters_;
};

}  // namespace mortar
