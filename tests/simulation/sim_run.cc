#include "tests/simulation/sim_run.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "tests/integration/embedded_cluster.h"
#include "tests/simulation/sim_liars.h"
#include "tests/simulation/sim_misdeeds.h"
#include "tests/simulation/sim_nodes.h"
#include "tests/support/known_drafter.h"

namespace mortar {
namespace {

constexpr int kManyPositions = 1024;  // of KV: enough for all sessions of a scenario

// A request and what became of it.
struct Asked {
  ScenarioRequest what;
  bool probe = false;  // made when all is over: it must be whole whatever was before
  bool submitted = false;
  bool ended = false;
  bool gone = false;  // the process that it was made to: ids mean nothing any more
  bool left = false;  // by it, before it had ended
  bool cancelled = false;
  RequestId id = 0;
  Duration submitted_at{};
  size_t tokens = 0;
};

SimOptions OptionsOf(const Scenario& s) {
  SimOptions options{.seed = s.seed,
                     .loss = s.loss,
                     .duplicates = s.duplicates,
                     .delay_max = s.delay_max,
                     .link_losses = s.link_losses,
                     .job_max = s.job_max};
  options.relayed = s.relayed;
  return options;
}

// Of every request's tokens some are guessed, rightly and wrongly by turns.
Drafting DraftingOf(Undisturbed& undisturbed, const Scenario& s) {
  if (s.guesses == 0) return {};
  std::set<int> kinds = {0};  // the probes'
  for (const ScenarioRequest& request : s.requests) kinds.insert(request.kind);
  std::vector<std::vector<Token>> logs;
  for (const int kind : kinds) {
    logs.push_back(RequestOfKind(kind, 1).prompt);
    for (const Token token : undisturbed.TokensOf(kind)) logs.back().push_back(token);
  }
  auto turn = std::make_shared<uint64_t>(s.seed);
  const auto holds = [turn](size_t position) { return (position + ++*turn) % 3 != 0; };
  return KnownDrafts(s.guesses, std::move(logs), holds, kTinyVocab);
}

class Run {
 public:
  Run(Undisturbed& undisturbed, const Scenario& scenario, bool trace)
      : undisturbed_(undisturbed),
        s_(scenario),
        random_(scenario.seed + 1),
        checker_(view_, clock_),
        network_(WithHooks(OptionsOf(scenario), trace), clock_),
        misdeeds_(scenario, network_, view_),
        nodes_({s_, undisturbed.file(), network_, clock_, checker_, view_,
                DraftingOf(undisturbed, scenario)}) {
    for (const ScenarioRequest& request : s_.requests) asked_.push_back({.what = request});
    for (const Fault& fault : s_.faults) {
      due_.emplace(fault.at, [this, fault] { Begin(fault); });
      if (fault.kind == FaultKind::kClockJump) continue;
      due_.emplace(fault.at + fault.lasts, [this, fault] { End(fault); });
    }
    for (const SpeedChange& change : s_.speed_changes) {
      due_.emplace(change.at, [this, change] {
        speeds_[static_cast<size_t>(change.worker)] = change.ns_per_byte;
      });
    }
    // What a bad network takes is over with the last fault, or answers have no time to end in.
    due_.emplace(s_.quiet(), [this] { network_.Calm(); });
  }

  SimResult ToTheEnd();

 private:
  SimOptions WithHooks(SimOptions options, bool trace);
  void Begin(const Fault& fault);
  void End(const Fault& fault);
  void Separate(const Fault& fault);
  void KillNode(const Fault& fault);
  void SaySpeed(NodeId from, AnyMessage& message) const;
  void Count(NodeId from, NodeId to, const AnyMessage& message);
  void Submit();
  void TakeOutputs();
  void Take(Asked& asked, const EdgeOutput& output);
  void TakeEnd(Asked& asked, const Finished& finished);
  void CheckTime();
  Duration Elapsed() const { return clock_.Now() - Time{} - jumped_; }
  // Turns everything until `done()`, or a promise is broken, or `until` has come.
  void Turn(Duration until, const std::function<bool()>& done);
  bool AllEnded() const { return std::ranges::all_of(asked_, &Asked::ended); }
  void Heal();
  void Probe();
  void LeaveNothing();

  Undisturbed& undisturbed_;
  const Scenario& s_;
  std::mt19937_64 random_;
  ManualClock clock_;
  Duration jumped_{};
  SimView view_;
  SimChecker checker_;
  SimNetwork network_;
  SimMisdeeds misdeeds_;
  SimNodes nodes_;
  std::vector<Asked> asked_;
  std::multimap<Duration, std::function<void()>> due_;
  std::vector<double> speeds_ = s_.ns_per_byte;  // of the workers, by now
  std::map<int, int> slow_;                      // nodes, by how much
  std::set<int> lying_;
  std::set<int> lied_;  // at some time
  SimResult result_;
};

SimOptions Run::WithHooks(SimOptions options, bool trace) {
  options.tamper = [this](NodeId from, NodeId to, AnyMessage& message) {
    SaySpeed(from, message);
    Count(from, to, message);
    checker_.Sent(from, message);
    misdeeds_.Pass(from, to, message);
    for (const int node : lying_) {
      if (nodes_.id(node) == from && random_() % 4 == 0) SpoilOne(random_, message);
    }
  };
  options.polled = [this](NodeId node, const Incoming* next) { checker_.Polled(node, next); };
  if (trace) {
    options.trace = [this](const char* what, NodeId from, NodeId to, const AnyMessage& message) {
      std::printf("%10.6f  %4llu -> %4llu  %-13s  %s\n", Seconds(clock_.Now() - Time{}),
                  static_cast<unsigned long long>(from.value),
                  static_cast<unsigned long long>(to.value), what, Describe(message).c_str());
    };
  }
  return options;
}

// In place of a worker's meter, which finds that no time passes while a job computes here.
void Run::SaySpeed(NodeId from, AnyMessage& message) const {
  auto* status = std::get_if<NodeStatus>(&message);
  if (status == nullptr || !s_.measured()) return;
  for (int node = 1 + s_.n_edges; node < s_.second_coordinator(); ++node) {
    if (nodes_.id(node) != from) continue;
    const auto slow = slow_.find(node);
    const double speed = speeds_[static_cast<size_t>(node - s_.n_edges - 1)];
    status->ns_per_byte = std::min(speed * (slow == slow_.end() ? 1 : slow->second), kNsPerByteMax);
  }
}

// That what is to be survived happens at all.
void Run::Count(NodeId from, NodeId to, const AnyMessage& message) {
  if (!IsCoordinator(from)) return;
  if (const auto* placement = std::get_if<Placement>(&message)) {
    const auto worker = view_.workers.find(to);
    const bool moves = worker != view_.workers.end() && !worker->second->place_of.empty() &&
                       worker->second->layers != placement->layers;
    result_.moves += moves;
  } else if (const auto* route = std::get_if<Route>(&message); route && route->status.ok()) {
    const auto shared = [](const PlacedHop& hop) { return !hop.replicas.empty(); };
    result_.second += from != kCoordinatorNode;
    result_.replicas += std::ranges::any_of(view_.coordinators.at(from)->placement->hops, shared);
  }
}

// --- Faults ---

void Run::Separate(const Fault& fault) {
  const Time until = clock_.Now() + fault.lasts;
  for (int a = 0; a < s_.n_nodes(); ++a) {
    for (int b = 0; b < s_.n_nodes(); ++b) {
      const bool a_inside = (fault.side >> a & 1) != 0;
      const bool b_inside = (fault.side >> b & 1) != 0;
      // One way: what those outside say to those inside is lost, and nothing else.
      if (a_inside == b_inside || (fault.one_way && a_inside)) continue;
      network_.Block(nodes_.id(a), nodes_.id(b), until);
    }
  }
}

void Run::KillNode(const Fault& fault) {
  if (!nodes_.lives(fault.node)) return;
  if (nodes_.edge(fault.node) != nullptr) {
    TakeOutputs();  // what it gave before is its people's
    for (Asked& asked : asked_) {
      if (asked.what.edge + 1 != fault.node || !asked.submitted) continue;
      asked.gone = true;
      asked.left |= !asked.ended;
      asked.ended = true;
    }
  }
  nodes_.Kill(fault.node, fault.said);
  if (fault.node == 0 && s_.relay_is_coordinator) {
    network_.RelayGone(clock_.Now() + fault.lasts);
  }
}

void Run::Begin(const Fault& fault) {
  const NodeId id = nodes_.id(fault.node);
  switch (fault.kind) {
    case FaultKind::kPartition:
      return Separate(fault);
    case FaultKind::kKill:
      return KillNode(fault);
    case FaultKind::kSlow:
      slow_[fault.node] = fault.factor;
      return network_.SetSlowness(id, fault.factor);
    case FaultKind::kStall:
      return nodes_.SetStalled(fault.node, true);
    case FaultKind::kRelayGone:
      if (s_.relayed) network_.RelayGone(clock_.Now() + fault.lasts);
      return;
    case FaultKind::kClockJump:
      clock_.Advance(fault.lasts);
      jumped_ += fault.lasts;
      return;
    case FaultKind::kLie:
      lying_.insert(fault.node);
      lied_.insert(fault.node);
      return;
    case FaultKind::kForge:
    case FaultKind::kFlood:
    case FaultKind::kClaim:
    case FaultKind::kRelayLies:
    case FaultKind::kPretend:
      return misdeeds_.Begin(fault, nodes_.model());
  }
}

void Run::End(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kPartition:
    case FaultKind::kRelayGone:
    case FaultKind::kClockJump:
      return;  // they know their time
    case FaultKind::kKill:
      return nodes_.Start(fault.node, fault.new_id);
    case FaultKind::kSlow:
      slow_.erase(fault.node);
      return network_.SetSlowness(nodes_.id(fault.node), 1);
    case FaultKind::kStall:
      return nodes_.SetStalled(fault.node, false);
    case FaultKind::kLie:
      lying_.erase(fault.node);
      return;
    case FaultKind::kForge:
    case FaultKind::kFlood:
    case FaultKind::kClaim:
    case FaultKind::kRelayLies:
    case FaultKind::kPretend:
      return misdeeds_.End(fault, nodes_.ids());
  }
}

// --- Requests ---

void Run::Submit() {
  for (Asked& asked : asked_) {
    Edge* edge = nodes_.edge(asked.what.edge + 1);
    if (edge == nullptr || asked.ended) continue;
    if (!asked.submitted && Elapsed() >= asked.what.at) {
      asked.submitted = true;
      asked.submitted_at = Elapsed();
      const auto id = edge->Submit(RequestOfKind(asked.what.kind, asked.what.n_predict));
      if (!id.ok()) return checker_.Broken("a request was not taken: " + Message(id.status()));
      asked.id = *id;
    }
    const Duration after = asked.what.cancel_after;
    if (asked.submitted && !asked.cancelled && after > Duration::zero() &&
        Elapsed() - asked.submitted_at >= after) {
      asked.cancelled = true;
      edge->Cancel(asked.id);
    }
  }
}

void Run::TakeOutputs() {
  for (int node = 1; node <= s_.n_edges; ++node) {
    Edge* edge = nodes_.edge(node);
    while (edge != nullptr) {
      const std::optional<EdgeOutput> output = edge->PollOutput();
      if (!output) break;
      for (Asked& asked : asked_) {
        const bool of_it = asked.what.edge + 1 == node && asked.submitted && !asked.gone;
        if (of_it && asked.id == output->request) Take(asked, *output);
      }
    }
  }
}

void Run::Take(Asked& asked, const EdgeOutput& output) {
  const std::string name = "request of kind " + std::to_string(asked.what.kind);
  if (const auto* token = std::get_if<TokenOut>(&output.what)) {
    const std::vector<Token>& expected = undisturbed_.TokensOf(asked.what.kind);
    if (asked.ended || asked.tokens >= expected.size() || token->token != expected[asked.tokens]) {
      checker_.Broken(name + ": token " + std::to_string(asked.tokens) +
                      " is not that of an undisturbed run");
    }
    ++asked.tokens;
  } else if (const auto* finished = std::get_if<Finished>(&output.what)) {
    if (asked.ended) checker_.Broken(name + " ended twice");
    asked.ended = true;
    TakeEnd(asked, *finished);
  }
}

void Run::TakeEnd(Asked& asked, const Finished& finished) {
  const std::string name = "request of kind " + std::to_string(asked.what.kind) + " after " +
                           std::to_string(asked.tokens) + " tokens and " +
                           std::to_string(finished.timings.retries) + " retries";
  result_.retries += finished.timings.retries;
  result_.guesses_held += finished.timings.guesses_held;
  result_.alone += finished.timings.tokens_alone > 0 ? 1 : 0;
  if (finished.reason == FinishReason::kError) {
    ++result_.errors;
    if (Message(finished.status).find(kMadeUp) != std::string::npos) {
      checker_.Broken(name + " ended by the word of somebody who has no part in it");
    }
    if (finished.status.ok()) checker_.Broken(name + ": an error that says nothing");
    if (s_.whole || asked.probe) {
      checker_.Broken((asked.probe ? "when all was over, " : "") + name +
                      " ended in an error: " + Message(finished.status));
    }
  } else if (finished.reason == FinishReason::kCancelled) {
    ++result_.cancelled;
    if (!asked.cancelled) checker_.Broken(name + " was cancelled by nobody");
  } else {
    ++result_.whole;
    if (asked.tokens != static_cast<size_t>(asked.what.n_predict)) {
      checker_.Broken(name + " ended as if whole");
    }
  }
}

void Run::CheckTime() {
  for (const Asked& asked : asked_) {
    if (!asked.submitted || asked.ended) continue;
    if (Elapsed() - std::max(asked.submitted_at, s_.quiet()) > kRequestEndsWithin) {
      checker_.Broken("request of kind " + std::to_string(asked.what.kind) +
                      " has not ended after " + std::to_string(asked.tokens) + " tokens");
    }
  }
}

// --- From beginning to end ---

void Run::Turn(Duration until, const std::function<bool()>& done) {
  while (checker_.broken().empty() && !done() && Elapsed() < until) {
    while (!due_.empty() && due_.begin()->first <= Elapsed()) {
      due_.extract(due_.begin()).mapped()();
    }
    Submit();
    misdeeds_.Step(clock_.Now(), Elapsed());
    const bool worked = nodes_.Step();
    TakeOutputs();
    if (worked) continue;
    CheckTime();
    Duration step = std::chrono::milliseconds(50);
    if (!due_.empty()) step = std::min(step, due_.begin()->first - Elapsed());
    if (const auto next = network_.UntilNext()) step = std::min(step, *next);
    clock_.Advance(std::max<Duration>(step, std::chrono::microseconds(1)));
  }
}

// All that was killed lives, all that stood still turns, and the network loses nothing more.
void Run::Heal() {
  for (const int node : lied_) {
    const auto worker = view_.workers.find(nodes_.id(node));
    // Refused for good for what it said: its program has ended, and somebody starts it again.
    if (worker == view_.workers.end() ||
        PhaseOf(worker->second->coordinators) != Membership::kRefused)
      continue;
    nodes_.Kill(node, true);
  }
  for (int node = 0; node < s_.n_nodes(); ++node) {
    nodes_.Start(node, true);
    nodes_.SetStalled(node, false);
  }
  network_.Calm();
}

void Run::Probe() {
  // An End that was lost leaves its session's pages taken for so long, by design. Where there are
  // but few, the answer is that KV is full.
  if (s_.worker_kv_positions < kManyPositions) clock_.Advance(kSessionIdleMax);
  const Duration heals = s_.n_coordinators == 1 ? kHealedWithin : kUnitedWithin;
  Turn(Elapsed() + heals, [] { return false; });
  for (int edge = 0; edge < s_.n_edges; ++edge) {
    asked_.push_back(
        {.what = {.at = Elapsed(), .edge = edge, .kind = 0, .n_predict = 6}, .probe = true});
  }
  Turn(Duration::max(), [this] { return AllEnded(); });
}

void Run::LeaveNothing() {
  const auto over = [] { return false; };
  Turn(Elapsed() + std::chrono::seconds(5), over);
  // An End that was lost is made up for by time.
  clock_.Advance(kSessionIdleMax);
  Turn(Elapsed() + std::chrono::seconds(5), over);
  if (checker_.broken().empty()) checker_.Over(s_.worker_kv_positions / kKvPagePositions);
}

SimResult Run::ToTheEnd() {
  Turn(Duration::max(), [this] { return AllEnded() && due_.empty(); });
  if (checker_.broken().empty()) {
    Heal();
    Probe();
    LeaveNothing();
  }
  for (const Asked& asked : asked_) result_.left += asked.left ? 1 : 0;
  result_.broken = checker_.broken();
  result_.obeyed = checker_.obeyed();
  result_.network = network_.counters();
  result_.simulated = clock_.Now() - Time{};
  return result_;
}

}  // namespace

SimResult RunScenario(Undisturbed& undisturbed, const Scenario& scenario, bool trace) {
  if (trace) {
    for (int node = 0; node < scenario.n_nodes(); ++node) {
      const int id = node == 0                       ? 1
                     : scenario.is_coordinator(node) ? 2
                     : node <= scenario.n_edges      ? 100 + node
                                                     : 200 + node - scenario.n_edges;
      std::printf("%4d  %s\n", id, NodeName(scenario, node).c_str());
    }
    std::printf("      a node that came back has 1000 added for each new id\n");
  }
  return std::make_unique<Run>(undisturbed, scenario, trace)->ToTheEnd();
}

}  // namespace mortar
