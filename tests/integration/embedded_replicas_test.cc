// Goal: several workers that host the same layers: sessions are shared out over them, whoever is
// left goes on when one dies, without loading anything, and the tokens are those of the plain loop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/integration/embedded_cluster.h"

namespace mortar {
namespace {

std::shared_ptr<GgufFile> SmallFile() {
  return TinyFile({.n_embd = 64, .n_layers = 8, .type = TensorType::kQ4_1});
}

GenerateRequest SampledRequest(int n_prompt, int n_predict, uint64_t seed) {
  GenerateRequest request;
  for (int i = 0; i < n_prompt; ++i) {
    const float u = UniformDraw(seed, 9, static_cast<uint64_t>(i), 0);
    request.prompt.push_back(static_cast<Token>(u * kTinyVocab));
  }
  request.sampler.temperature = 1.5f;
  request.sampler.top_k = 100;
  request.sampler.seed = seed;
  request.n_predict = n_predict;
  request.ignore_end = true;
  return request;
}

// Two stops of two workers each: four layers lie between, and two of them fit a worker.
ClusterOptions TwoStopsOfTwo() {
  return {
      .n_workers = 4, .n_parallel = 4, .ns_per_byte = {1e6, 1e6, 1e6, 1e6}, .layers_that_fit = 2};
}

TEST(EmbeddedReplicas, SessionsAreSharedOutAndHaveTheirTokens) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, TwoStopsOfTwo());
  std::vector<GenerateRequest> requests;
  for (uint64_t seed = 1; seed <= 4; ++seed) requests.push_back(SampledRequest(30, 12, seed));
  const std::vector<Answer> answers = cluster.RunAll(requests);
  std::map<std::string, int> sessions;
  for (size_t i = 0; i < answers.size(); ++i) {
    ASSERT_TRUE(answers[i].finished.status.ok()) << answers[i].finished.status;
    EXPECT_EQ(answers[i].tokens, DecodeAlone(*file, requests[i])) << "seed " << i + 1;
    ASSERT_EQ(answers[i].hops.size(), 2u);
    for (const Hop& hop : answers[i].hops) ++sessions[hop.name];
  }
  ASSERT_EQ(sessions.size(), 4u) << "every replica has some";
  for (const auto& [name, n] : sessions) EXPECT_EQ(n, 2) << name;
}

struct Killed {
  std::vector<Token> tokens;
  std::vector<std::vector<NodeId>> routes;  // the nodes of each that the session had
  absl::Status status;
  bool placed_anew = false;  // after the kill
};

// Kills the host of the stop at `stop` at the tenth token of a session over it.
Killed RunWithAKill(EmbeddedCluster& cluster, const GenerateRequest& request, size_t stop) {
  Killed killed;
  EXPECT_TRUE(cluster.edge().Submit(request).ok());
  std::optional<Finished> finished;
  uint64_t placement = 0;
  auto& [tokens, routes, status, placed_anew] = killed;
  cluster.PumpUntil([&] {
    while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
      if (const auto* routed = std::get_if<Routed>(&output->what)) {
        routes.emplace_back();
        for (const Hop& hop : routed->hops) routes.back().push_back(hop.node);
      } else if (const auto* token = std::get_if<TokenOut>(&output->what)) {
        tokens.push_back(token->token);
        if (tokens.size() != 10) continue;
        placement = cluster.coordinator().placement_id;
        for (int i = 0; i < 4; ++i) {
          if (WorkerNode(i) == routes.back().at(stop)) cluster.Kill(i);
        }
      } else {
        finished = std::get<Finished>(output->what);
      }
    }
    return finished.has_value();
  });
  status = finished->status;
  placed_anew = cluster.coordinator().placement_id != placement;
  return killed;
}

void ExpectTheTwinGoesOn(size_t stop) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, TwoStopsOfTwo());
  const GenerateRequest request = SampledRequest(40, 30, 11);
  const Killed killed = RunWithAKill(cluster, request, stop);
  ASSERT_TRUE(killed.status.ok()) << killed.status;
  EXPECT_EQ(killed.tokens, DecodeAlone(*file, request)) << "seed 11";
  ASSERT_GE(killed.routes.size(), 2u);
  EXPECT_NE(killed.routes.front().at(stop), killed.routes.back().at(stop));
  EXPECT_FALSE(killed.placed_anew) << "nobody loads anything";
}

TEST(EmbeddedReplicas, TheTwinOfAFirstHopGoesOnWithTheSameTokens) { ExpectTheTwinGoesOn(0); }
TEST(EmbeddedReplicas, TheTwinOfALastHopGoesOnWithTheSameTokens) { ExpectTheTwinGoesOn(1); }

// Messages are lost, doubled and reordered, and jobs take their time, so that round trips and
// speeds that nodes measure differ from run to run, and with them who is whose twin.
TEST(EmbeddedReplicas, UnderABadNetworkAKillLosesNoTokenEither) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ClusterOptions options = TwoStopsOfTwo();
    options.sim = SimOptions{.seed = seed};
    EmbeddedCluster cluster(file, options);
    const GenerateRequest request = SampledRequest(40, 24, seed);
    const Killed killed = RunWithAKill(cluster, request, seed % 2);
    ASSERT_TRUE(killed.status.ok()) << killed.status;
    EXPECT_EQ(killed.tokens, DecodeAlone(*file, request));
  }
}

TEST(EmbeddedReplicas, AWorkerThatIsTooSlowHostsNothing) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, {.n_workers = 2, .ns_per_byte = {1e6, 1e5}});
  const GenerateRequest request = SampledRequest(20, 8, 5);
  const Answer answer = cluster.Run(request);
  EXPECT_EQ(answer.tokens, DecodeAlone(*file, request));
  ASSERT_EQ(answer.hops.size(), 1u);
  EXPECT_EQ(answer.hops[0].name, "worker-2");
}

}  // namespace
}  // namespace mortar
