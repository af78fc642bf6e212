#include "tests/simulation/scenario.h"

#include <algorithm>
#include <random>
#include <sstream>

#include "tests/simulation/sim_relay.h"
#include "tests/simulation/undisturbed.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Numbers of one seed. Not std's distributions over ints of other libraries' making: a seed is to
// mean the same run everywhere.
class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(seed) {}
  int Int(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool Chance(int percent) { return Int(0, 99) < percent; }
  Duration Ms(int low, int high) { return milliseconds(Int(low, high)); }
  double Share(double max) { return max * Int(0, 1000) / 1000; }

 private:
  std::mt19937_64 random_;
};

void DrawCluster(Draws& draws, Scenario& s) {
  s.n_edges = draws.Chance(30) ? 2 : 1;
  s.n_workers = draws.Int(2, 4);
  s.front = draws.Int(1, 2);
  s.back = draws.Int(1, 2);
  s.n_parallel = draws.Int(1, 3);
  s.guesses = draws.Chance(40) ? draws.Int(1, 4) : 0;
  s.sealed = draws.Chance(25);
  s.takes_over = s.seed % 3 == 2;  // not drawn: it came later, and seeds keep their scenarios
  s.relayed = draws.Chance(40);
  s.relay_is_coordinator = s.relayed && draws.Chance(50);
  s.delay_max = draws.Chance(20) ? draws.Ms(100, 300) : draws.Ms(2, 40);
  s.job_max = draws.Ms(1, 20);
}

void DrawRequests(Draws& draws, Duration end, Scenario& s) {
  const int n = draws.Int(2, 6);
  const int end_ms = static_cast<int>(Milliseconds(end));
  for (int i = 0; i < n; ++i) {
    ScenarioRequest request{.at = i == 0 ? draws.Ms(0, 3000) : draws.Ms(0, end_ms),
                            .edge = draws.Int(0, s.n_edges - 1),
                            .kind = draws.Int(0, kRequestKinds - 1),
                            .n_predict = draws.Int(1, kScenarioTokens)};
    if (draws.Chance(8)) request.cancel_after = draws.Ms(1, 3000);
    s.requests.push_back(request);
  }
}

int AnyWorker(Draws& draws, const Scenario& s) {
  return 1 + s.n_edges + draws.Int(0, s.n_workers - 1);
}

// A fault that a cluster with a spare survives when it is alone.
Fault DrawSurvivable(Draws& draws, const Scenario& s) {
  Fault fault{.node = AnyWorker(draws, s)};
  switch (draws.Int(0, 8)) {
    case 0:
    case 1:
      fault.kind = FaultKind::kKill;
      fault.lasts = draws.Ms(100, 9000);
      fault.said = draws.Chance(60);
      fault.new_id = draws.Chance(70);
      break;
    case 2:
      fault.kind = FaultKind::kKill;
      fault.node = 0;
      fault.lasts = draws.Ms(100, 4000);
      fault.said = draws.Chance(70);
      break;
    case 3:
      fault.kind = FaultKind::kPartition;
      fault.side = 1u << fault.node;
      fault.one_way = draws.Chance(40);
      fault.lasts = draws.Ms(100, 4000);
      break;
    case 4:
      fault.kind = FaultKind::kSlow;
      fault.factor = draws.Int(10, 30);
      fault.lasts = draws.Ms(500, 6000);
      break;
    case 5:
      fault.kind = FaultKind::kStall;
      fault.node = draws.Int(0, s.n_nodes() - 1);
      fault.lasts = draws.Ms(500, 4000);
      break;
    case 6:
      fault.kind = FaultKind::kRelayGone;
      fault.lasts = draws.Ms(100, 3000);
      break;
    case 7:
      fault.kind = FaultKind::kClockJump;
      fault.lasts = draws.Ms(1000, 900'000);
      break;
    default:
      fault.kind = FaultKind::kForge;
      fault.factor = draws.Int(1, 20);
      fault.lasts = draws.Ms(500, 4000);
  }
  return fault;
}

Fault DrawAny(Draws& draws, const Scenario& s) {
  Fault fault{.node = draws.Int(0, s.n_nodes() - 1)};
  fault.kind = static_cast<FaultKind>(draws.Int(0, static_cast<int>(FaultKind::kClaim)));
  fault.lasts = draws.Ms(50, 12'000);
  fault.said = draws.Chance(50);
  fault.new_id = draws.Chance(60);
  fault.one_way = draws.Chance(40);
  fault.side = static_cast<uint32_t>(draws.Int(1, (1 << s.n_nodes()) - 2));
  fault.factor = draws.Chance(20) ? draws.Int(50, 300) : draws.Int(1, 30);
  const bool of_worker = fault.kind == FaultKind::kLie || fault.kind == FaultKind::kSlow;
  if (of_worker) fault.node = AnyWorker(draws, s);
  if (fault.kind == FaultKind::kSlow) fault.factor = draws.Int(10, 100);
  if (fault.kind == FaultKind::kClockJump) fault.lasts = draws.Ms(1000, 1'200'000);
  return fault;
}

// Those of the same time stay in the order in which they were drawn.
template <typename Timed>
void SortByTime(std::vector<Timed>& all) {
  for (auto next = all.begin(); next != all.end(); ++next) {
    const auto place = std::ranges::upper_bound(all.begin(), next, next->at, {}, &Timed::at);
    std::rotate(place, next, next + 1);
  }
}

// What a relay does is only promised to be harmless where nodes have keys.
void DrawLyingRelay(Draws& draws, Scenario& s) {
  if (!s.relayed || !draws.Chance(40)) return;
  s.sealed = true;
  // A process that begins never has the id of another. Here it may, and would know nothing of what
  // it sealed.
  for (Fault& fault : s.faults) fault.new_id = true;
  s.faults.push_back({.kind = FaultKind::kRelayLies,
                      .at = draws.Ms(0, 3000),
                      .lasts = draws.Ms(5000, 20'000),
                      .factor = draws.Int(1, 20)});
}

// Where every answer must be whole: one worker's word of what it serves moves nothing. Not from the
// first moment on: where nobody else serves anything yet, it cannot be told from a worker that was
// here before.
void DrawPretender(uint64_t seed, Scenario& s) {
  Draws draws(seed * 0xd6e8feb86659fd93 + 4);
  if (!s.whole || !draws.Chance(40)) return;
  s.faults.push_back(
      {.kind = FaultKind::kPretend, .at = draws.Ms(2000, 5000), .lasts = draws.Ms(5000, 40'000)});
}

double DrawSpeed(Draws& draws) { return 1000.0 * (1 << 2 * draws.Int(0, 4)); }

// A third of the clusters are placed by speeds, which change while people are served. Layers move
// when a minute has passed, and under sessions after another: both pass in a moment here.
void DrawMeasured(Draws& draws, Scenario& s) {
  if (!draws.Chance(33)) return;
  for (int i = 0; i < s.n_workers; ++i) s.ns_per_byte.push_back(DrawSpeed(draws));
  const int middle = kScenarioLayers - s.front - s.back;
  const int others = s.n_workers - 1;  // one may be gone
  s.layers_that_fit = draws.Int((middle + others - 1) / others, middle);
  const Duration at = s.whole ? s.quiet() + draws.Ms(12'000, 16'000) : draws.Ms(2000, 20'000);
  for (int i = draws.Int(1, s.n_workers); i > 0; --i) {
    s.speed_changes.push_back(
        {.at = at, .worker = draws.Int(0, s.n_workers - 1), .ns_per_byte = DrawSpeed(draws)});
  }
  for (const Duration after : {draws.Ms(200, 1000), draws.Ms(1500, 3000)}) {
    s.faults.push_back(
        {.kind = FaultKind::kClockJump, .at = at + after, .lasts = draws.Ms(60'000, 80'000)});
  }
  for (int i = 0; i < 2; ++i) {
    s.requests.push_back({.at = at + draws.Ms(0, 2500),
                          .edge = draws.Int(0, s.n_edges - 1),
                          .kind = draws.Int(0, kRequestKinds - 1),
                          .n_predict = draws.Int(10, kScenarioTokens)});
  }
}

}  // namespace

Duration Scenario::quiet() const {
  Duration quiet{};
  for (const Fault& fault : faults) {
    const bool jump = fault.kind == FaultKind::kClockJump;
    quiet = std::max(quiet, fault.at + (jump ? Duration::zero() : fault.lasts));
  }
  return quiet;
}

Scenario DrawScenario(uint64_t seed) {
  Draws draws(seed * 0x9e3779b97f4a7c15 + 1);
  Scenario s{.seed = seed};
  DrawCluster(draws, s);
  s.whole = draws.Chance(55);
  if (s.whole) {
    s.n_workers = std::max(s.n_workers, 2);
    s.loss = draws.Share(0.03);
    s.duplicates = draws.Share(0.1);
    s.link_losses = draws.Chance(20) ? draws.Share(0.003) : 0;
    Duration at = draws.Ms(1000, 4000);
    const int n = draws.Int(1, 3);
    for (int i = 0; i < n; ++i) {
      Fault fault = DrawSurvivable(draws, s);
      fault.at = at;
      s.faults.push_back(fault);
      at = s.quiet() + draws.Ms(12'000, 16'000);
    }
  } else {
    s.worker_kv_positions = draws.Chance(20) ? 256 : 2048;
    s.loss = draws.Share(0.15);
    s.duplicates = draws.Share(0.4);
    s.link_losses = draws.Chance(30) ? draws.Share(0.02) : 0;
    const int n = draws.Int(2, 10);
    for (int i = 0; i < n; ++i) {
      Fault fault = DrawAny(draws, s);
      fault.at = draws.Ms(0, 20'000);
      s.faults.push_back(fault);
    }
  }
  DrawRequests(draws, s.quiet(), s);
  // Numbers of their own: what is drawn above stays what it was.
  Draws more(seed * 0xbf58476d1ce4e5b9 + 2);
  DrawMeasured(more, s);
  DrawLyingRelay(more, s);
  DrawPretender(seed, s);
  SortByTime(s.faults);
  SortByTime(s.requests);
  return s;
}

namespace {

// Of one of the coordinators.
Fault DrawOfCoordinator(Draws& draws, const Scenario& s) {
  constexpr FaultKind kKinds[] = {FaultKind::kKill, FaultKind::kStall, FaultKind::kPartition};
  Fault fault{.kind = kKinds[draws.Int(0, 2)]};
  fault.node = draws.Chance(60) ? 0 : s.second_coordinator();
  // As long as a worker keeps to one that is gone, and longer; or not.
  fault.lasts = draws.Chance(30) ? draws.Ms(58'000, 75'000) : draws.Ms(200, 15'000);
  fault.side = 1u << fault.node;
  fault.one_way = draws.Chance(30);
  fault.said = draws.Chance(60);
  fault.new_id = false;
  return fault;
}

}  // namespace

Scenario DrawTwoCoordinators(uint64_t seed, bool alone) {
  Scenario s = DrawScenario(seed);
  Draws draws(seed * 0x94d049bb133111eb + 3);
  s.n_coordinators = 2;
  s.relay_is_coordinator = false;
  s.whole = alone;
  if (alone) {
    s.faults.clear();
    s.speed_changes.clear();
    s.worker_kv_positions = 2048;
    s.loss = draws.Share(0.03);
    s.duplicates = draws.Share(0.1);
    s.link_losses = 0;
    s.delay_max = std::min<Duration>(s.delay_max, milliseconds(40));
  }
  Duration at = draws.Ms(1000, 4000);
  for (int i = draws.Int(3, 6); i > 0; --i) {
    Fault fault = DrawOfCoordinator(draws, s);
    fault.at = alone ? at : draws.Ms(0, 60'000);
    s.faults.push_back(fault);
    // Right behind one another, or with time for workers to obey who has come back.
    at = fault.at + fault.lasts +
         (draws.Chance(50) ? draws.Ms(500, 8000) : draws.Ms(12'000, 70'000));
  }
  const int until = static_cast<int>(Milliseconds(s.quiet()));
  for (int i = 0; i < 8; ++i) {
    s.requests.push_back({.at = draws.Ms(0, until),
                          .edge = draws.Int(0, s.n_edges - 1),
                          .kind = draws.Int(0, kRequestKinds - 1),
                          .n_predict = draws.Int(1, kScenarioTokens)});
  }
  if (alone) DrawPretender(seed, s);
  SortByTime(s.faults);
  SortByTime(s.requests);
  return s;
}

// --- Words ---

const char* Name(FaultKind kind) {
  constexpr const char* kNames[] = {"partition",  "kill",       "slow",       "stall",
                                    "relay gone", "clock jump", "lie",        "forge",
                                    "flood",      "claim",      "relay lies", "pretend"};
  return kNames[static_cast<int>(kind)];
}

std::string NodeName(const Scenario& s, int node) {
  if (node == 0) return "coordinator";
  if (s.is_coordinator(node)) return "coordinator-2";
  if (node <= s.n_edges) return "edge-" + std::to_string(node);
  return "worker-" + std::to_string(node - s.n_edges);
}

namespace {

std::string SideWords(const Scenario& s, uint32_t side) {
  std::string words;
  for (int node = 0; node < s.n_nodes(); ++node) {
    if ((side >> node & 1) != 0) words += (words.empty() ? "" : ", ") + NodeName(s, node);
  }
  return words;
}

std::string Words(const Scenario& s, const Fault& f) {
  std::ostringstream out;
  out << "at " << Seconds(f.at) << " s for " << Seconds(f.lasts) << " s: " << Name(f.kind);
  switch (f.kind) {
    case FaultKind::kPartition:
      out << " of {" << SideWords(s, f.side) << "}"
          << (f.one_way ? ", which hear nothing and are heard" : "");
      break;
    case FaultKind::kKill:
      out << " of " << NodeName(s, f.node) << (f.said ? ", said" : ", silent")
          << (f.new_id && !s.is_coordinator(f.node) ? ", back under a new id"
                                                    : ", back under its id");
      break;
    case FaultKind::kSlow:
      out << ": " << NodeName(s, f.node) << " " << f.factor << " times";
      break;
    case FaultKind::kStall:
    case FaultKind::kLie:
      out << " of " << NodeName(s, f.node);
      break;
    case FaultKind::kForge:
    case FaultKind::kFlood:
    case FaultKind::kRelayLies:
      out << ", bursts of " << f.factor;
      break;
    case FaultKind::kRelayGone:
    case FaultKind::kClockJump:
    case FaultKind::kClaim:
    case FaultKind::kPretend:
      break;
  }
  return out.str();
}

}  // namespace

std::string ToString(const Scenario& s) {
  std::ostringstream out;
  out << "seed " << s.seed << ": " << (s.n_coordinators == 2 ? "2 coordinators, " : "") << s.n_edges
      << " edges, " << s.n_workers << " workers, edges keep " << s.front << " + " << s.back
      << " of " << kScenarioLayers << " layers, " << s.n_parallel << " sessions at a time, "
      << s.guesses << " guesses, " << (s.sealed ? "sealed" : "not sealed")
      << (s.takes_over ? ", edges take over" : "") << ", KV of " << s.worker_kv_positions << "\n"
      << "network: "
      << (!s.relayed               ? "direct"
          : s.relay_is_coordinator ? "through the coordinator"
                                   : "through a relay")
      << ", loss " << s.loss << ", duplicates " << s.duplicates << ", links lost " << s.link_losses
      << ", delay up to " << Milliseconds(s.delay_max) << " ms, jobs up to "
      << Milliseconds(s.job_max) << " ms\n"
      << (s.whole ? "every answer must be whole\n" : "answers may end in errors\n");
  for (const ScenarioRequest& r : s.requests) {
    out << "  at " << Seconds(r.at) << " s: edge-" << r.edge + 1 << ", kind " << r.kind << ", "
        << r.n_predict << " tokens";
    if (r.cancel_after > Duration::zero()) {
      out << ", cancelled after " << Seconds(r.cancel_after) << " s";
    }
    out << "\n";
  }
  if (s.measured()) out << "  " << s.layers_that_fit << " layers fit a worker; ns a byte:";
  for (const double speed : s.ns_per_byte) out << " " << speed;
  if (s.measured()) out << "\n";
  for (const SpeedChange& change : s.speed_changes) {
    out << "  at " << Seconds(change.at) << " s: worker-" << change.worker + 1 << " takes "
        << change.ns_per_byte << " ns a byte\n";
  }
  for (const Fault& f : s.faults) out << "  " << Words(s, f) << "\n";
  return out.str();
}

}  // namespace mortar
