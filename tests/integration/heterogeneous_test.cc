// Goal: of two workers, one at a quarter of the other's speed, the measured placement reaches 95 %
// of the best split that brute force over `--layers A,B` finds: where all layers fit the fast one,
// and where they do not. All figures are printed. It needs a machine that does nothing else and is
// run by name alone, `./dev test heterogeneous`; some five minutes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "tests/integration/cluster_programs.h"
#include "tests/integration/duty_cycle.h"
#include "tests/support/test_model.h"

namespace mortar {
namespace {

using nlohmann::json;

constexpr int kMiddle = 26;  // layers of the default model between an edge's own
constexpr int kTokens = 96;
constexpr int kAnswers = 3;  // the best counts: whatever else runs only slows
// A layer's weights, and its KV for four sessions of 512 positions.
constexpr double kLayerMiB = 2'216'448.0 / (1 << 20) + 4 * 512 * 768.0 / (1 << 20);

struct Figure {
  double ms_per_token = 0;
  std::string layers;  // of each worker of the route
};

class Heterogeneous : public ClusterTest {
 protected:
  // Milliseconds of a token over a fast and a slow worker, who join in this order.
  Figure Measure(const Arguments& coordinator, int fast_layers_max) {
    StartCoordinator(2, "tcp://127.0.0.1:0", coordinator);
    workers_.clear();
    const std::string memory =
        std::to_string(static_cast<int>((fast_layers_max + 0.5) * kLayerMiB));
    StartWorker({"--name", "fast", "-c", "512", "--memory", memory + "M"});
    workers_.push_back(std::make_unique<NodeProgram>(Arguments{"worker", "--coordinator", endpoint_,
                                                               "-m", TestModelPath(), "-t", "1",
                                                               "-c", "512", "--name", "slow"}));
    const DutyCycle quarter(workers_.back()->process(), std::chrono::milliseconds(1),
                            std::chrono::milliseconds(3));
    workers_.back()->Line("joined");
    Figure figure;
    for (int i = 0; i < kAnswers; ++i) {
      const json answer = Edge(Ask(kPrompt, kTokens)).Json();
      const double ms = 1e3 / answer["timings"]["decode_tok_s"].get<double>();
      if (i == 0 || ms < figure.ms_per_token) figure.ms_per_token = ms;
      figure.layers.clear();
      for (const json& hop : answer["route"]) {
        if (hop["role"] != "worker") continue;
        figure.layers += " " + hop["node"].get<std::string>() + " " + hop["layers"].dump();
      }
    }
    workers_.clear();
    return figure;
  }

  void ExpectNearlyTheBest(int fast_layers_max) {
    const Figure measured = Measure({"--place", "measured"}, fast_layers_max);
    std::printf("room for %d layers at the fast one: measured placement %.2f ms a token:%s\n",
                fast_layers_max, measured.ms_per_token, measured.layers.c_str());
    double best = 0;
    for (int a = 1; a < kMiddle && a <= fast_layers_max; ++a) {
      const Figure split = Measure(
          {"--layers", std::to_string(a) + "," + std::to_string(kMiddle - a)}, fast_layers_max);
      std::printf("  --layers %d,%d: %.2f ms\n", a, kMiddle - a, split.ms_per_token);
      std::fflush(stdout);
      if (best == 0 || split.ms_per_token < best) best = split.ms_per_token;
    }
    std::printf("the best split takes %.2f ms: the measured one reaches %.1f %% of its speed\n",
                best, 100 * best / measured.ms_per_token);
    EXPECT_GE(best / measured.ms_per_token, 0.95);
  }
};

TEST_F(Heterogeneous, WhereAllLayersFitTheFastWorker) { ExpectNearlyTheBest(kMiddle); }
TEST_F(Heterogeneous, WhereTheSlowWorkerIsNeeded) { ExpectNearlyTheBest(18); }

}  // namespace
}  // namespace mortar
