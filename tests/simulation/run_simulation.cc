// The simulation as a program: `./dev sim`. One seed with all that was said, or many in a row.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <string>

#include "tests/integration/embedded_cluster.h"
#include "tests/simulation/sim_run.h"

namespace mortar {
namespace {

constexpr char kUsage[] =
    "usage: ./dev sim [--preset PRESET] [--seed N [--trace]] [--seeds N [--from F]] [--minutes M]\n"
    "                 [--two alone|all]\n"
    "  --seed N     the scenario of seed N, twice: it must repeat itself\n"
    "  --trace      every message of it, with what became of it\n"
    "  --seeds N    N seeds, from 1 or F on\n"
    "  --minutes M  seeds in random order for M minutes\n"
    "  --two alone  with two coordinators, and faults of theirs one at a time; all: and all "
    "others\n";

struct Flags {
  std::optional<uint64_t> seed;
  std::optional<uint64_t> seeds;
  std::optional<uint64_t> minutes;
  std::optional<uint64_t> from;
  bool trace = false;
  enum class Two { kNo, kAlone, kAll } two = Two::kNo;
};

Scenario Draw(const Flags& flags, uint64_t seed) {
  if (flags.two == Flags::Two::kNo) return DrawScenario(seed);
  return DrawTwoCoordinators(seed, flags.two == Flags::Two::kAlone);
}

std::optional<Flags> Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--trace") {
      flags.trace = true;
      continue;
    }
    if (name == "--two" && i + 1 < argc) {
      const std::string how = argv[++i];
      if (how != "alone" && how != "all") return std::nullopt;
      flags.two = how == "alone" ? Flags::Two::kAlone : Flags::Two::kAll;
      continue;
    }
    std::optional<uint64_t>* value = name == "--seed"      ? &flags.seed
                                     : name == "--seeds"   ? &flags.seeds
                                     : name == "--minutes" ? &flags.minutes
                                     : name == "--from"    ? &flags.from
                                                           : nullptr;
    if (value == nullptr || ++i == argc) return std::nullopt;
    char* end = nullptr;
    *value = std::strtoull(argv[i], &end, 10);
    if (end == argv[i] || *end != '\0' || argv[i][0] == '-') return std::nullopt;
  }
  const int modes = flags.seed.has_value() + flags.seeds.has_value() + flags.minutes.has_value();
  if (modes != 1 || (flags.trace && !flags.seed) || (flags.from && !flags.seeds))
    return std::nullopt;
  return flags;
}

struct Totals {
  int runs = 0;
  SimResult sum;
  void Add(const SimResult& r) {
    ++runs;
    sum.Add(r);
  }
  void Print(const char* end) const {
    std::printf(
        "%d seeds: %d answers whole, %d alone, %d errors, %d cancelled, %d left by their edge; "
        "%d retries, "
        "%d guesses held; %d moves under sessions, %d routes beside replicas; %llu messages, %llu "
        "lost%s",
        runs, sum.whole, sum.alone, sum.errors, sum.cancelled, sum.left, sum.retries,
        sum.guesses_held, sum.moves, sum.replicas,
        static_cast<unsigned long long>(sum.network.sent),
        static_cast<unsigned long long>(sum.network.lost), end);
  }
};

void SayBroken(const Scenario& scenario, const std::string& broken) {
  std::printf("\n%sbroken promise: %s\nreplay: ./dev sim%s --seed %llu --trace\n",
              ToString(scenario).c_str(), broken.c_str(),
              scenario.n_coordinators == 1 ? ""
              : scenario.whole             ? " --two alone"
                                           : " --two all",
              static_cast<unsigned long long>(scenario.seed));
}

// Whether all promises were kept.
bool RunSeed(Undisturbed& undisturbed, const Flags& flags, uint64_t seed, Totals& totals) {
  const Scenario scenario = Draw(flags, seed);
  const SimResult result = RunScenario(undisturbed, scenario, false);
  totals.Add(result);
  if (!result.broken.empty()) SayBroken(scenario, result.broken);
  return result.broken.empty();
}

bool Replay(Undisturbed& undisturbed, const Flags& flags, uint64_t seed, bool trace) {
  const Scenario scenario = Draw(flags, seed);
  std::printf("%s", ToString(scenario).c_str());
  std::fflush(stdout);
  const SimResult result = RunScenario(undisturbed, scenario, trace);
  Totals totals;
  totals.Add(result);
  totals.Print("\n");
  std::printf("history %016llx\n", static_cast<unsigned long long>(result.network.history));
  if (!result.broken.empty()) {
    SayBroken(scenario, result.broken);
    return false;
  }
  const SimResult again = RunScenario(undisturbed, scenario, false);
  if (again.network.history == result.network.history) return true;
  SayBroken(scenario, "another history the second time");
  return false;
}

int Main(int argc, char** argv) {
  const std::optional<Flags> flags = Parse(argc, argv);
  if (!flags) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  Undisturbed undisturbed(TinyFile({.n_layers = kScenarioLayers}));
  if (flags->seed) return Replay(undisturbed, *flags, *flags->seed, flags->trace) ? 0 : 1;
  Totals totals;
  bool kept = true;
  std::random_device random;
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::minutes(flags->minutes.value_or(0));
  const auto more = [&] {
    if (flags->seeds) return static_cast<uint64_t>(totals.runs) < *flags->seeds;
    return std::chrono::steady_clock::now() < end;
  };
  while (kept && more()) {
    const uint64_t seed =
        flags->seeds ? flags->from.value_or(1) + static_cast<uint64_t>(totals.runs) : random();
    kept = RunSeed(undisturbed, *flags, seed, totals);
  }
  totals.Print("\n");
  return kept ? 0 : 1;
}

}  // namespace
}  // namespace mortar

int main(int argc, char** argv) { return mortar::Main(argc, argv); }
