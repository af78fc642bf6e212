// What no network, fault or liar may bring about, looked at whenever a node sends or asks for its
// next message: tokens alone would not show it, since whatever goes wrong is tried again in the
// end.
//
//   rule                                      | looked for when
//   ------------------------------------------+----------------------------------------------------
//   no hop runs an old step, or a frame of an | a node sends a frame
//   epoch lower than one that it adopted      |
//   what a hop has is what the newest frame   | a worker sends a frame, or has taken a message
//   that it accepted ends with                |
//   an edge heeds its newest epoch alone      | an edge has taken an answer
//   an edge begins again where its hops are   | an edge sends the first frame of an epoch
//   known to be, and not behind that          |
//   a grant leads over nodes alone that the   | a coordinator sends a route
//   coordinator heard of in time              |
//   no request gets a hop that it says was    | a coordinator sends a route
//   missed, before that was heard of again;   |
//   nobody gets it when it stays silent       |
//   where nodes have keys, hops serve nobody  | a worker has taken a message
//   but the edge of a route that was granted, |
//   and no more positions                     |
//   nobody seals two frames under one number  | a node sends a frame
//   neither text nor tokens cross             | anybody sends anything
//   queues and tables are within their limits | anybody sends anything
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "coordinator/state.h"
#include "edge/state.h"
#include "protocol/transport.h"
#include "protocol/wire.h"
#include "worker/state.h"

namespace mortar {

// The states of the honest processes that live. Liars are not in it.
struct SimView {
  std::map<NodeId, const CoordinatorState*> coordinators;
  std::map<NodeId, const EdgeState*> edges;
  std::map<NodeId, const WorkerState*> workers;
  bool Has(NodeId node) const {
    return edges.contains(node) || workers.contains(node) || coordinators.contains(node);
  }
};

class SimChecker {
 public:
  // Both outlive it.
  SimChecker(const SimView& view, const Clock& clock) : view_(view), clock_(clock) {}

  void Sent(NodeId from, const AnyMessage& message);
  void Polled(NodeId node, const Incoming* next);
  // A process of this id begins or ends: what was known of it is no more.
  void Forget(NodeId node);
  // All that are over must have left nothing behind.
  void Over(int worker_pages);
  // The first promise that was broken is kept.
  void Broken(const std::string& what);
  const std::string& broken() const { return broken_; }  // empty: none
  int obeyed() const { return obeyed_; }  // times that a worker began to obey another coordinator

 private:
  // What is known of one session at one node.
  struct Seen {
    std::optional<uint64_t> step;  // newest that it sent on
    uint32_t epoch = 0;            // newest that it adopted
    uint64_t step_started = 0;     // newest that it had begun to run then
  };
  // An edge's session while it takes an answer of another epoch.
  struct Stale {
    size_t slot = 0;
    uint32_t epoch = 0;
    size_t arrived = 0;
  };
  // What the hops of an edge's session may have.
  struct AtHops {
    uint32_t epoch = 0;  // newest that the edge sent
    int have = 0;        // as answers and hops said
  };
  // A hop that edges told the coordinator they had missed.
  struct Missed {
    Time since{};
    std::set<std::pair<NodeId, uint64_t>> by;  // edges with their requests
  };
  // What one coordinator heard and granted.
  struct AtCoordinator {
    std::map<NodeId, Time> heard;                     // of each node
    std::map<NodeId, Missed> missed;                  // of which it heard nothing since
    std::map<NodeId, Time> asked;                     // hops, when they were missed last
    std::map<NodeId, std::set<NodeId>> granted_over;  // by edges: the hops that it may miss
    Time turned{};
  };
  // Whom a worker obeys, and what it was to host last.
  struct Obeying {
    int coordinator = 0;
    std::optional<Time> since;
    uint64_t wanted = 0;
  };
  void TurnCoordinator(NodeId node, const Incoming* next);
  void CheckObeys(NodeId node, const WorkerState& s);
  void Ran(NodeId node, const Envelope& e);
  void CheckNumber(NodeId node, const Envelope& e);
  void CheckGranted(NodeId node, const WorkerSession& session);
  void Began(NodeId edge, const Envelope& e);
  void NoteAtHops(NodeId edge, const AnyMessage& answer);
  void NoteMissed(NodeId coordinator, const Incoming& next);
  void CheckHave(NodeId node, const WorkerState& s);
  void CheckStale(NodeId node, const EdgeState& s);
  void NoteStale(NodeId node, const EdgeState& s, const AnyMessage& answer);
  void CheckGrant(NodeId coordinator, const Route& route);
  void CheckPrivate(NodeId from, const AnyMessage& message);
  void CheckLimits(const WorkerState& s);
  void CheckLimits(const EdgeState& s);
  void CheckLimits(const CoordinatorState& s);

  const SimView& view_;
  const Clock& clock_;
  std::map<NodeId, std::map<SessionId, Seen>> seen_;
  std::map<NodeId, std::optional<Stale>> stale_;
  std::map<NodeId, int> polled_in_a_row_;
  std::map<NodeId, std::map<SessionId, AtHops>> at_hops_;
  std::map<NodeId, std::map<std::pair<SessionId, uint64_t>, SealTag>> sealed_;  // of each step
  std::map<SessionId, RouteGrant> granted_;
  std::map<NodeId, AtCoordinator> at_coordinator_;
  std::map<NodeId, Obeying> obeying_;
  WireWriter writer_;
  std::string broken_;
  int obeyed_ = 0;
};

}  // namespace mortar
