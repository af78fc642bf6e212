// One scenario from beginning to end: people ask, faults come and go, a checker looks on, and in
// the end every node must serve again and hold nothing of what is over.
#pragma once

#include <string>

#include "tests/simulation/scenario.h"
#include "tests/simulation/sim_network.h"
#include "tests/simulation/undisturbed.h"

namespace mortar {

// A request has ended, with its tokens or an error, so long after it was made or the last fault was
// over: a session without progress retries six times, each after a deadline of kSimStepDeadline, or
// on a new route, for which it waits kRouteGiveUp at most.
inline constexpr Duration kRequestEndsWithin = std::chrono::seconds(120);
// So long after the last fault a cluster serves as before: members that are gone were missed
// (kStatusAgeMax), layers loaded, and sessions that hold back go on.
inline constexpr Duration kHealedWithin = std::chrono::seconds(15);

// The same of a cluster with two coordinators: workers that obeyed different ones obey the same.
inline constexpr Duration kUnitedWithin = kHealedWithin + kObeyedMin + kCoordinatorSettled;

struct SimResult {
  std::string broken;  // the promise that was broken; empty: none
  SimCounters network;
  int whole = 0;      // requests that gave all their tokens
  int errors = 0;     // that ended in an error
  int alone = 0;      // with tokens that an edge computed with all layers
  int cancelled = 0;  // by whoever asked
  int left = 0;       // whose edge died
  int retries = 0;
  int guesses_held = 0;
  int moves = 0;     // workers that had sessions when they were told to host other layers
  int replicas = 0;  // routes of a placement in which several host the same layers
  int obeyed = 0;    // times that a worker began to obey another coordinator
  int second = 0;    // routes that the second coordinator granted
  Duration simulated{};

  // Its numbers, and what its network carried and lost, with those of other runs.
  void Add(const SimResult& run) {
    whole += run.whole;
    errors += run.errors;
    alone += run.alone;
    cancelled += run.cancelled;
    left += run.left;
    retries += run.retries;
    guesses_held += run.guesses_held;
    moves += run.moves;
    replicas += run.replicas;
    network.sent += run.network.sent;
    network.lost += run.network.lost;
    simulated += run.simulated;
  }
};

// `trace`: every message goes to stdout, with what became of it.
SimResult RunScenario(Undisturbed& undisturbed, const Scenario& scenario, bool trace);

}  // namespace mortar
