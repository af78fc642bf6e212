// A cluster of programs with keys that is hit while it answers: a worker killed or stopped, a link
// cut, a relay or the coordinator restarted. Each hit is drawn from a number, so that it can be
// made again.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/cluster_programs.h"
#include "tests/integration/streamed_answer.h"
#include "tests/support/link_proxy.h"

namespace mortar {

enum class HitKind { kWorker, kLink, kRelay, kCoordinator, kSilence };
const char* Name(HitKind kind);  // "killed workers", "cut links", …

// What is asked, and how the answer's tokens are made.
enum class Asked { kGreedy, kSampled, kDrafted, kPrefill };
const char* Name(Asked asked);

struct RecoveryModel {
  std::string path;
  Arguments cut;                             // --front and --back
  std::string prompt;                        // of a few tokens
  std::string long_prompt;                   // whose prefill is hit
  std::chrono::milliseconds prefill_max{0};  // a hit of the prefill comes so soon after its route
};
inline constexpr int kRecoveryTokens = 128;  // of an answer

// What a hit did to an answer.
struct HitResult {
  Asked asked = Asked::kGreedy;
  std::string what;       // was hit, and how
  int token = 0;          // tokens that had come when it was hit
  bool too_late = false;  // the answer was over by then
  bool ended = false;     // well, with all of its tokens
  int lost = 0;           // tokens of the undisturbed answer that did not come
  int repeated = 0;       // tokens that came and are none of the undisturbed answer, or came twice
  std::chrono::milliseconds pause{
      0};  // longest between two tokens; before the first: since the hit
  int routes = 0;
  std::string errors;  // of the edge, when it did not end well
};

class RecoveryCluster {
 public:
  RecoveryCluster(RecoveryModel model, HitKind kind);
  ~RecoveryCluster();

  // The `number`-th hit. All nodes are there again when it returns, or come back by themselves.
  HitResult Hit(uint64_t number);
  std::string Said() const;  // by the nodes that live, for a failure

 private:
  struct WorkerNode {
    std::unique_ptr<NodeProgram> program;
    std::unique_ptr<LinkProxy> link;  // in front of it; null: none
  };

  void MakeKeys();
  Arguments Dials(const std::string& name) const;
  Arguments Listens(const std::string& name) const;
  void StartCoordinator(const std::string& listen);
  void StartRelay(const std::string& listen);
  void StartWorker();
  // A worker of the route goes, killed or stopped.
  std::string StrikeWorker(const std::string& name);
  Arguments EdgeArguments(Asked asked, uint64_t number) const;
  const std::vector<int>& Undisturbed(Asked asked, uint64_t number);
  // What is hit of a route's workers, and what is to be done about it afterwards.
  std::string Strike(uint64_t number, const std::vector<std::string>& route);
  void Mend();

  const RecoveryModel model_;
  const HitKind kind_;
  TestFolder folder_;
  std::map<std::string, std::string> public_;  // keys by name
  std::string endpoint_;
  std::string relay_endpoint_;
  std::unique_ptr<NodeProgram> coordinator_;
  std::unique_ptr<NodeProgram> relay_;
  std::map<std::string, WorkerNode> workers_;  // by name
  int workers_started_ = 0;
  std::map<std::string, std::vector<int>> undisturbed_;
  std::string cut_link_;  // whose worker's is to be mended
  std::vector<WorkerNode> stopped_;
};

// How many tokens of `expected` are not in `came`, in their order, and how many of `came` are too
// many: what is left of both beside their longest common subsequence.
struct TokenDifference {
  int lost = 0;
  int repeated = 0;
};
TokenDifference CompareTokens(const std::vector<int>& expected, const std::vector<int>& came);

}  // namespace mortar
