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

// Kills a host of the stop at `stop` at the tenth token of a session over it.
void ExpectTheTwinGoesOn(size_t stop) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, TwoStopsOfTwo());
  const GenerateRequest request = SampledRequest(40, 30, 11);
  ASSERT_TRUE(cluster.edge().Submit(request).ok());
  std::vector<Token> tokens;
  std::vector<std::vector<NodeId>> routes;
  std::optional<Finished> finished;
  uint64_t placement = 0;
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
  ASSERT_TRUE(finished->status.ok()) << finished->status;
  EXPECT_EQ(tokens, DecodeAlone(*file, request)) << "seed 11";
  ASSERT_GE(routes.size(), 2u);
  EXPECT_NE(routes.front().at(stop), routes.back().at(stop));
  EXPECT_EQ(cluster.coordinator().placement_id, placement) << "nobody loaded anything";
}

TEST(EmbeddedReplicas, TheTwinOfAFirstHopGoesOnWithTheSameTokens) { ExpectTheTwinGoesOn(0); }
TEST(EmbeddedReplicas, TheTwinOfALastHopGoesOnWithTheSameTokens) { ExpectTheTwinGoesOn(1); }

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
