// A coordinator, workers and an edge in one process over local queues, with a tiny model: what
// the embedded program is made of, on a clock that stands still unless nothing else can be done.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/pump.h"
#include "coordinator/loop.h"
#include "edge/loop.h"
#include "engine/batch/engine.h"
#include "engine/text/tokenizer.h"
#include "protocol/local_transport.h"
#include "tests/simulation/sim_network.h"
#include "tests/support/tiny_model.h"
#include "worker/loop.h"

namespace mortar {

// A tiny model as a file in memory.
std::shared_ptr<GgufFile> TinyFile(const TinyModelOptions& options);

// What its nodes run it with.
inline constexpr int kTinyContext = 256;
inline constexpr int kTinyRowsMax = 128;  // of a batch
EngineOptions TinyEngineOptions(int kv_positions, int logit_rows);
// A brick for each layer, with a digest of its own.
std::vector<LayerBrick> TinyBricksOf(const ModelId& model);

// Says in each Hello the key of its node, as a transport with keys does.
std::unique_ptr<Transport> WithKey(std::unique_ptr<Transport> transport, const PublicKey& key);

inline constexpr NodeId kEdgeNode{100};
inline constexpr NodeId WorkerNode(int i) { return {static_cast<uint64_t>(200 + i)}; }

struct ClusterOptions {
  int n_workers = 1;
  int workers_expected = 0;  // 0: all; fewer leaves spares
  std::vector<int> sizes{};  // layers per worker; empty: even
  int front = 2;
  int back = 2;
  bool show_tokens_to_cloud = false;
  int n_threads = 1;
  int n_parallel = 1;
  int worker_kv_positions = 2048;
  int bad_worker = -1;  // this one cannot load
  // What each worker says of its speed, in ns a byte; empty: nothing, and layers are placed evenly.
  std::vector<double> ns_per_byte{};
  int layers_that_fit = 0;  // what each says of its memory, where it says its speed; 0: nothing
  Duration step_deadline = std::chrono::seconds(30);
  std::optional<SimOptions> sim{};  // a network under a seed instead of local queues
  Drafting drafting{};
  bool takes_over = false;  // the edge, where no route comes
  bool sealed = false;      // nodes have keys: routes are signed, rows and words sealed end to end
};

struct Answer {
  std::vector<Token> tokens;
  std::string text;
  std::vector<Hop> hops;
  Finished finished;
};

class EmbeddedCluster {
 public:
  EmbeddedCluster(std::shared_ptr<GgufFile> file, const ClusterOptions& options);
  ~EmbeddedCluster();

  // Pumps until the request has ended.
  Answer Run(GenerateRequest request);
  // Submits all of them at once and pumps until the last has ended.
  std::vector<Answer> RunAll(std::vector<GenerateRequest> requests);
  // Pumps until `done()`, at most so many rounds.
  void PumpUntil(const std::function<bool()>& done);

  Edge& edge() { return *edge_; }
  Pump& pump() { return pump_; }
  const WorkerState& worker(int i) const { return nodes_[static_cast<size_t>(i)].worker->state(); }
  // The loop's own, as it is now.
  const CoordinatorState& coordinator() const { return coordinator_->state(); }
  // From now on this worker neither hears nor says anything.
  void Kill(int worker);
  const SimNetwork* sim() const { return sim_.get(); }
  // What was sent from one node to another.
  LinkCounters Sent(NodeId from, NodeId to) const;

 private:
  struct Node {
    KeyPair keys = NewKeyPair();
    std::unique_ptr<Transport> transport;
    std::unique_ptr<JobQueue> jobs;
    std::unique_ptr<Worker> worker;
  };
  // A loop that can be switched off, as a process that died.
  struct Switched final : Loop {
    Loop* loop = nullptr;
    Node* dead = nullptr;  // set: what still comes for it is lost, what it computed too
    bool Step() override {
      if (dead == nullptr) return loop->Step();
      while (dead->transport->Poll()) {
      }
      while (dead->jobs->PollDone() != nullptr) {
      }
      return false;
    }
  };
  std::unique_ptr<Transport> Attach(NodeId node);
  void AttachNode(Node& node, NodeId id);
  std::unique_ptr<JobQueue> NewJobs();
  void Drive(Loop* loop, JobQueue* jobs);
  void AddWorker(int i);
  void AddEdge();
  absl::StatusOr<std::unique_ptr<Engine>> LoadParts(std::vector<PartSpec> parts,
                                                    int kv_positions) const;

  const ClusterOptions options_;
  const std::shared_ptr<GgufFile> file_;
  const KernelTable* kernels_ = nullptr;
  ModelId model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  mutable std::vector<std::unique_ptr<ThreadPool>> pools_;  // one for each engine
  ManualClock clock_;
  SeededRandom random_{1};
  Logger log_{LogLevel::kOff, LogFormat::kText};
  LocalNetwork network_;
  std::unique_ptr<SimNetwork> sim_;  // instead of network_, when asked for; outlives all jobs
  std::unique_ptr<Transport> coordinator_transport_;
  const KeyPair coordinator_keys_ = NewKeyPair();
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<Node> nodes_;
  Node edge_node_;  // its worker is null
  struct : Loop {
    bool Step() override { return false; }
  } loading_loop_;                     // only the jobs of its queue are to be run
  std::unique_ptr<JobQueue> loading_;  // of the edge, where it takes over
  std::unique_ptr<Engine> edge_engine_;
  std::unique_ptr<Edge> edge_;
  std::vector<std::unique_ptr<Switched>> switches_;
  Pump pump_;
};

// The plainest decoding: the whole model as one part, the prompt in one step, then token by
// token with the same sampler. What every cluster must equal.
// `after_first` is called after the first token.
std::vector<Token> DecodeAlone(
    const GgufFile& file, const GenerateRequest& request,
    const std::function<void()>& after_first = [] {});

}  // namespace mortar
