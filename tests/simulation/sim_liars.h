// Peers of bad will. They have keys and ids of their own and are let into the cluster; what they
// may know of others' sessions is more than anybody could: every session that a worker has.
#pragma once

#include <memory>
#include <random>

#include "protocol/seal.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/sim_checker.h"

namespace mortar {

inline constexpr NodeId kLyingEdge{900};
inline constexpr NodeId kLyingWorker{901};
inline constexpr NodeId kPretender{902};

// A worker's message with one thing wrong in it: an epoch, a step, a size, a number that is none,
// or the largest that a wire lets through. Rows that are wrong and look right are not among it: a
// hop that computes wrongly cannot be found out, and may spoil the sessions that lead over it.
void SpoilOne(std::mt19937_64& random, AnyMessage& message);

// An edge that says things of others' sessions, or sends what costs others most.
class LyingEdge {
 public:
  // All outlive it. `spares`: it says nothing that would end a session for one who knows its id,
  // which nobody can guess.
  LyingEdge(Transport& transport, const SimView& view, const ModelId& model, const KeyPair& keys,
            bool spares, uint64_t seed)
      : transport_(transport),
        view_(view),
        model_(model),
        keys_(keys),
        spares_(spares),
        random_(seed) {}

  void Join();
  void Forge(int burst);
  void Flood(int burst);
  void Listen();  // to nothing that it hears

 private:
  struct Known {
    NodeId worker;
    WorkerSession const* session;
  };
  std::optional<Known> AnySession();
  Activation AnyFrame(const SessionId& session, NodeId edge, uint32_t epoch, uint64_t step);
  void ForgeOne(const Known& known);
  RouteRequest AskForRoute();
  // That the hops of others do not answer.
  void Slander();
  // A session with a grant of its own making, and a frame of it.
  void OpenUngranted(NodeId worker);
  SessionId AnyId();
  void Send(NodeId to, AnyMessage message) { (void)transport_.Send(to, std::move(message)); }
  uint64_t Any(uint64_t below) { return random_() % below; }

  Transport& transport_;
  const SimView& view_;
  const ModelId& model_;
  const KeyPair& keys_;
  const bool spares_;
  std::mt19937_64 random_;
  RowsPool pool_;
  uint64_t asked_ = 0;
};

// A worker that says that it is faster than any and hosts whatever is placed at it, and answers no
// frame.
class LyingWorker {
 public:
  LyingWorker(Transport& transport, const ModelId& model) : transport_(transport), model_(model) {}
  void Join();
  // Takes what came, and says how well it is every half second.
  void Step(Time now);

 private:
  void Send(AnyMessage message) { (void)transport_.Send(kCoordinatorNode, std::move(message)); }

  Transport& transport_;
  const ModelId& model_;
  NodeStatus status_;
  std::optional<Time> said_;
};

// A worker that says to each coordinator that it obeys another one, and serves layers of that
// one's: for some statuses all between the edges', then some of them. It answers no frame either.
class Pretender {
 public:
  Pretender(Transport& transport, const ModelId& model, const Scenario& scenario)
      : transport_(transport), model_(model), s_(scenario), random_(scenario.seed) {}
  // Joins until it is a member, says every half second what it pretends, and hears nothing else.
  void Step(Time now);

 private:
  Transport& transport_;
  const ModelId& model_;
  const Scenario& s_;
  std::mt19937_64 random_;
  LayerRange hosted_;
  std::optional<Time> said_;
};

}  // namespace mortar
