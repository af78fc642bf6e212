// Goal: an edge whose workers are gone goes on alone with all of its sessions, at whatever token
// each of them is, greedy or sampled, with guesses or without, and nobody can tell from the tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/random.h"
#include "edge/lookup_drafter.h"
#include "tests/integration/embedded_cluster.h"

namespace mortar {
namespace {

std::shared_ptr<GgufFile> SmallFile() {
  return TinyFile({.n_embd = 64, .n_layers = 8, .type = TensorType::kQ4_1});
}

GenerateRequest RequestOf(int n_prompt, int n_predict, uint64_t seed) {
  GenerateRequest request;
  for (int i = 0; i < n_prompt; ++i) {
    const float u = UniformDraw(seed, 9, static_cast<uint64_t>(i % 7), 0);
    request.prompt.push_back(static_cast<Token>(u * kTinyVocab));
  }
  request.sampler.temperature = seed % 2 == 0 ? 0.0f : 1.5f;
  request.sampler.top_k = 100;
  request.sampler.seed = seed;
  request.n_predict = n_predict;
  request.ignore_end = true;
  return request;
}

struct Ended {
  std::vector<Token> tokens;
  std::optional<Finished> finished{};
  int routes = 0;
  LayerRange here{};
};

// Four sessions at a time of `requests`; the workers are gone when `tokens_before` tokens of all of
// them together have come.
std::vector<Ended> RunWithoutWorkersFrom(EmbeddedCluster& cluster,
                                         const std::vector<GenerateRequest>& requests, int workers,
                                         int tokens_before) {
  std::vector<Ended> ended(requests.size());
  std::map<RequestId, size_t> index;
  for (size_t i = 0; i < requests.size(); ++i) index[*cluster.edge().Submit(requests[i])] = i;
  int tokens = 0;
  size_t left = requests.size();
  bool killed = false;
  cluster.PumpUntil([&] {
    while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
      Ended& one = ended[index.at(output->request)];
      if (const auto* routed = std::get_if<Routed>(&output->what)) {
        ++one.routes;
        one.here = routed->here;
      } else if (const auto* token = std::get_if<TokenOut>(&output->what)) {
        one.tokens.push_back(token->token);
        ++tokens;
      } else if (const auto* finished = std::get_if<Finished>(&output->what)) {
        one.finished = *finished;
        --left;
      }
    }
    if (!killed && tokens >= tokens_before) {
      for (int i = 0; i < workers; ++i) cluster.Kill(i);
      killed = true;
    }
    return left == 0;
  });
  return ended;
}

void ExpectAllGoOnAlone(ClusterOptions options, uint64_t seed, int tokens_before) {
  SCOPED_TRACE("seed " + std::to_string(seed) + ", gone at token " + std::to_string(tokens_before));
  const std::shared_ptr<GgufFile> file = SmallFile();
  options.n_workers = 2;
  options.n_parallel = 4;
  options.takes_over = true;
  options.step_deadline = std::chrono::seconds(2);
  EmbeddedCluster cluster(file, options);
  std::vector<GenerateRequest> requests;
  // More than fit at a time: the last ones begin when nobody else is there any more.
  for (uint64_t i = 0; i < 6; ++i) {
    requests.push_back(RequestOf(10 + 13 * static_cast<int>(i), 20, 10 * seed + i));
  }
  const auto ended = RunWithoutWorkersFrom(cluster, requests, options.n_workers, tokens_before);
  int alone = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_TRUE(ended[i].finished->status.ok()) << ended[i].finished->status;
    EXPECT_EQ(ended[i].tokens, DecodeAlone(*file, requests[i])) << "session " << i;
    if (ended[i].finished->timings.tokens_alone > 0) {
      EXPECT_EQ(ended[i].here, (LayerRange{2, 6}));
      ++alone;
    }
  }
  EXPECT_GE(alone, 4) << "those that were running, or more";
  // All pages come back, and then the middle's memory does.
  const EdgeState& state = cluster.edge().state();
  cluster.PumpUntil([&] {
    return state.pages_free == state.options.kv_pages && state.middle.phase == MiddlePhase::kAbsent;
  });
}

TEST(EmbeddedTakeOver, SessionsGoOnTogetherWithTheirTokens) {
  for (const int before : {0, 1, 17, 40}) ExpectAllGoOnAlone({}, 1, before);
}

TEST(EmbeddedTakeOver, SessionsWithGuessesGoOnWithTheirTokens) {
  ClusterOptions options;
  options.drafting.max = 4;
  options.drafting.make = [](int positions_max) {
    return std::make_unique<LookupDrafter>(positions_max);
  };
  for (const int before : {5, 33}) ExpectAllGoOnAlone(options, 2, before);
}

TEST(EmbeddedTakeOver, SessionsWithKeysGoOnWithTheirTokens) {
  ClusterOptions options;
  options.sealed = true;
  ExpectAllGoOnAlone(options, 3, 20);
}

TEST(EmbeddedTakeOver, UnderABadNetworkTheyGoOnToo) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    ClusterOptions options;
    options.sim = SimOptions{.seed = seed};
    ExpectAllGoOnAlone(options, seed, static_cast<int>(5 * seed));
  }
}

TEST(EmbeddedTakeOver, WithWorkersNobodyIsAlone) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, {.n_workers = 2, .takes_over = true});
  const GenerateRequest request = RequestOf(20, 10, 5);
  const Answer answer = cluster.Run(request);
  EXPECT_EQ(answer.tokens, DecodeAlone(*file, request));
  EXPECT_EQ(answer.hops.size(), 2u);
  EXPECT_EQ(answer.finished.timings.tokens_alone, 0);
}

}  // namespace
}  // namespace mortar
