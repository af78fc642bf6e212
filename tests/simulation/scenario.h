// What happens in one run of the simulation, drawn from a seed, as a value that can be printed:
// the cluster, what people ask of it, how bad its network is, and which faults befall whom when.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/clock.h"
#include "protocol/ids.h"

namespace mortar {

enum class FaultKind : uint8_t {
  kPartition,  // nodes of `side` and the others do not hear one another; one_way: those of it are
               // heard, and hear nothing
  kKill,       // the process is gone, its state with it; it comes back when the fault is over
  kSlow,       // its jobs take `factor` times as long
  kStall,      // its loop stands still, as by SIGSTOP; what is sent to it waits
  kRelayGone,  // nothing passes the relay, and what was on its way through it is lost
  kClockJump,  // all clocks jump forward by `lasts` while nobody runs
  kLie,        // a worker says wrong things of what it does: steps, epochs, sizes, no numbers
  kForge,      // an edge of bad will says things of others' sessions; `factor`: messages a burst
  kFlood,      // the same one sends what costs most: requests for routes, frames of new sessions
  kClaim,      // a worker of bad will says that it hosts layers, and answers nothing
  kRelayLies,  // the relay brings again what passed it, and words of its own; `factor`: a burst
  kPretend,    // a worker of bad will says to each coordinator that it obeys another one and serves
               // layers, other ones by turns, and answers nothing
};
inline constexpr FaultKind kLastFaultKind = FaultKind::kPretend;
const char* Name(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kKill;
  Duration at{};         // from the beginning
  Duration lasts{};      // kClockJump: how far
  int node = 0;          // whom it befalls: 0 the coordinator, then the edges, then the workers,
                         // then the second coordinator
  uint32_t side = 0;     // kPartition: a bit for each node, in that order
  bool one_way = false;  // kPartition
  bool said = true;      // kKill: the others hear that its connections went
  bool new_id = true;    // kKill: it comes back under another id
  int factor = 1;        // kSlow, kForge, kFlood, kRelayLies
};

// From then on a worker says another speed of itself.
struct SpeedChange {
  Duration at{};
  int worker = 0;  // of them, from 0
  double ns_per_byte = 0;
};

struct ScenarioRequest {
  Duration at{};
  int edge = 0;
  int kind = 0;  // which of kRequestKinds (undisturbed.h)
  int n_predict = 1;
  Duration cancel_after{};  // zero: never
};

struct Scenario {
  uint64_t seed = 0;
  int n_edges = 1;
  int n_workers = 3;  // one of them is a spare
  int n_coordinators = 1;
  int front = 2;  // layers of an edge, out of six
  int back = 2;
  int n_parallel = 2;
  int worker_kv_positions = 2048;
  // Of a byte of weights, as each worker says it; empty: nobody says any, and layers lie evenly.
  std::vector<double> ns_per_byte{};
  std::vector<SpeedChange> speed_changes{};  // in the order of time
  int layers_that_fit = 0;  // in the memory that each worker says it has, where speeds are said
  int guesses = 0;          // at most so many a step
  bool sealed = false;      // nodes have keys
  bool takes_over = false;  // edges go on alone where no route comes
  bool relayed = false;     // links between edges and workers lead through a relay
  bool relay_is_coordinator = false;
  double loss = 0;
  double duplicates = 0;
  double link_losses = 0;
  Duration delay_max{};
  Duration job_max{};
  // Faults come one by one, each with time to recover and a node to take over: every answer must
  // be whole. Otherwise a request may end in an error.
  bool whole = true;
  std::vector<ScenarioRequest> requests{};
  std::vector<Fault> faults{};

  bool measured() const { return !ns_per_byte.empty(); }
  int n_nodes() const { return n_coordinators + n_edges + n_workers; }
  int second_coordinator() const { return 1 + n_edges + n_workers; }  // if there is one
  bool is_coordinator(int node) const { return node == 0 || node == second_coordinator(); }
  Duration quiet() const;  // when the last fault is over
};

inline constexpr int kScenarioLayers = 6;

Scenario DrawScenario(uint64_t seed);
// The same people and nodes with two coordinators, over some minutes, and other faults. `alone`:
// one at a time befalls one of the coordinators, and every answer must be whole. Else these come
// besides those of DrawScenario.
Scenario DrawTwoCoordinators(uint64_t seed, bool alone);
// Every field, over several lines.
std::string ToString(const Scenario& scenario);
// "coordinator", "edge-1", "worker-2".
std::string NodeName(const Scenario& scenario, int node);

}  // namespace mortar
