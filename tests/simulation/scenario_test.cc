// Goal: the promises hold in whole scenarios. Processes die and come back, are cut off, slow or
// stand still, clocks jump, peers lie, forge and flood; under each seed tokens are those of an
// undisturbed run and never repeated, every request ends in its time, nothing is left behind, and
// a seed repeats its run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/integration/embedded_cluster.h"
#include "tests/simulation/sim_run.h"
#include "tests/support/sanitized.h"

namespace mortar {
namespace {

TEST(Scenarios, EverySeedKeepsThePromises) {
  const uint64_t seeds = kSanitized ? 150 : 300;
  Undisturbed undisturbed(TinyFile({.n_layers = kScenarioLayers}));
  std::map<FaultKind, int> faults;
  SimResult seen;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Scenario scenario = DrawScenario(seed);
    for (const Fault& fault : scenario.faults) ++faults[fault.kind];
    const SimResult result = RunScenario(undisturbed, scenario, false);
    ASSERT_EQ(result.broken, "") << ToString(scenario) << "replay: ./dev sim --seed " << seed
                                 << " --trace";
    seen.Add(result);
  }
  // What the promises are for has happened.
  for (int kind = 0; kind <= static_cast<int>(kLastFaultKind); ++kind) {
    EXPECT_GT(faults[static_cast<FaultKind>(kind)], 5) << Name(static_cast<FaultKind>(kind));
  }
  EXPECT_GT(seen.whole, static_cast<int>(3 * seeds));
  EXPECT_GT(seen.errors, 3) << "faults that are too mild";
  EXPECT_GT(seen.retries, static_cast<int>(seeds));
  EXPECT_GT(seen.guesses_held, static_cast<int>(seeds));
  EXPECT_GT(seen.moves, static_cast<int>(seeds / 30)) << "no layers that move under sessions";
  EXPECT_GT(seen.replicas, static_cast<int>(seeds / 3));
}

// Faults befall one coordinator at a time, and every answer is whole.
TEST(Scenarios, OneOfTwoCoordinatorsIsEnough) {
  const uint64_t seeds = kSanitized ? 15 : 60;
  Undisturbed undisturbed(TinyFile({.n_layers = kScenarioLayers}));
  SimResult seen;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Scenario scenario = DrawTwoCoordinators(seed, /*alone=*/true);
    const SimResult result = RunScenario(undisturbed, scenario, false);
    ASSERT_EQ(result.broken, "") << ToString(scenario) << "replay: ./dev sim --two alone --seed "
                                 << seed;
    EXPECT_EQ(result.errors, 0) << seed;
    seen.whole += result.whole;
    seen.obeyed += result.obeyed;
    seen.second += result.second;
  }
  EXPECT_GT(seen.whole, static_cast<int>(8 * seeds));
  EXPECT_GT(seen.obeyed, static_cast<int>(seeds)) << "workers that obey whoever is there";
  EXPECT_GT(seen.second, static_cast<int>(seeds)) << "routes of the second";
}

// And whatever else befalls all nodes.
TEST(Scenarios, TwoCoordinatorsKeepThePromises) {
  const uint64_t seeds = kSanitized ? 15 : 60;
  Undisturbed undisturbed(TinyFile({.n_layers = kScenarioLayers}));
  SimResult seen;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Scenario scenario = DrawTwoCoordinators(seed, /*alone=*/false);
    const SimResult result = RunScenario(undisturbed, scenario, false);
    ASSERT_EQ(result.broken, "") << ToString(scenario) << "replay: ./dev sim --two all --seed "
                                 << seed;
    seen.whole += result.whole;
    seen.obeyed += result.obeyed;
    seen.second += result.second;
  }
  EXPECT_GT(seen.whole, static_cast<int>(4 * seeds));
  EXPECT_GT(seen.obeyed, static_cast<int>(seeds));
  EXPECT_GT(seen.second, static_cast<int>(seeds));
}

TEST(Scenarios, ASeedRepeatsItsRunMessageForMessage) {
  Undisturbed undisturbed(TinyFile({.n_layers = kScenarioLayers}));
  const auto history = [&](uint64_t seed) {
    return RunScenario(undisturbed, DrawScenario(seed), false).network.history;
  };
  for (uint64_t seed = 1; seed <= (kSanitized ? 5 : 20); ++seed) {
    EXPECT_EQ(history(seed), history(seed)) << "seed " << seed;
  }
  EXPECT_NE(history(1), history(2)) << "a hash that says nothing";
}

}  // namespace
}  // namespace mortar
