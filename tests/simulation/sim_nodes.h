// The processes of a simulated cluster: they begin, die and come back with nothing of what they
// knew.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/random.h"
#include "coordinator/loop.h"
#include "edge/loop.h"
#include "engine/batch/engine.h"
#include "engine/text/tokenizer.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/sim_checker.h"
#include "tests/simulation/sim_network.h"
#include "worker/loop.h"

namespace mortar {

// What a layer weighs here, as nodes say it: together with speeds of a microsecond a byte and more,
// computing takes as long as ways do.
inline constexpr uint64_t kSimLayerBytes = 1000;
std::vector<LayerBrick> SimBricksOf(const ModelId& model);

inline constexpr Duration kSimStepDeadline = std::chrono::seconds(2);

class SimNodes {
 public:
  // All outlive it. `view` is kept true.
  struct Parts {
    const Scenario& scenario;
    const std::shared_ptr<GgufFile>& file;
    SimNetwork& network;
    const Clock& clock;
    SimChecker& checker;
    SimView& view;
    Drafting drafting;  // of the edges
  };
  explicit SimNodes(Parts parts);
  ~SimNodes();

  // Nodes are numbered as in a scenario. A node that lives already is left alone.
  void Start(int node, bool new_id);
  void Kill(int node, bool said);
  bool lives(int node) const { return At(node).loop != nullptr; }
  NodeId id(int node) const { return At(node).id; }
  Edge* edge(int node) { return At(node).edge.get(); }
  void SetStalled(int node, bool stalled);
  std::vector<NodeId> ids() const;  // of those that live
  const ModelId& model() const { return model_; }
  // Every loop once, but for those that stand still. Returns whether anything was done.
  bool Step();

 private:
  // The order of fields is that in which they are needed: the loop goes first.
  struct Process {
    NodeId id;
    int starts = 0;
    bool stalled = false;
    KeyPair keys;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<JobQueue> jobs;
    std::unique_ptr<JobQueue> loading;  // of an edge that takes over
    std::unique_ptr<ThreadPool> pool;
    std::unique_ptr<Engine> engine;  // an edge's
    std::unique_ptr<Coordinator> coordinator;
    std::unique_ptr<Edge> edge;
    std::unique_ptr<Worker> worker;
    Loop* loop = nullptr;  // one of the three; null: it is dead
  };
  Process& At(int node) { return processes_[static_cast<size_t>(node)]; }
  const Process& At(int node) const { return processes_[static_cast<size_t>(node)]; }
  void StartCoordinator(Process& process);
  void StartEdge(Process& process, int node);
  void StartWorker(Process& process, int node);

  const Parts parts_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<Tokenizer> tokenizer_;
  ModelId model_;
  SeededRandom random_;
  Logger log_{LogLevel::kOff, LogFormat::kText};
  std::vector<Process> processes_;
};

}  // namespace mortar
