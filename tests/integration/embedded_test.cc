// Goal: coordinator, workers and edge in one process give the tokens of the plain loop, for any
// cut, number of workers, chunk, threads and neighbours; what crosses is counted and does not
// grow with the prompt; what breaks ends in an answer or an error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/random.h"
#include "tests/integration/embedded_cluster.h"

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kLayers = 8;
constexpr int kWidth = 64;

std::shared_ptr<GgufFile> SmallFile() {
  return TinyFile({.n_embd = kWidth, .n_layers = kLayers, .type = TensorType::kQ4_1});
}

// A prompt of random tokens; greedy, and an end of generation does not end it.
GenerateRequest RequestOf(int n_prompt, int n_predict, uint64_t seed = 1) {
  GenerateRequest request;
  for (int i = 0; i < n_prompt; ++i) {
    const float u = UniformDraw(seed, 9, static_cast<uint64_t>(i), 0);
    request.prompt.push_back(static_cast<Token>(u * kTinyVocab));
  }
  request.sampler.temperature = 0;
  request.n_predict = n_predict;
  request.ignore_end = true;
  return request;
}

GenerateRequest SampledRequest(int n_prompt, int n_predict, uint64_t seed) {
  GenerateRequest request = RequestOf(n_prompt, n_predict, seed);
  request.sampler.temperature = 1.5f;
  request.sampler.top_k = 100;
  request.sampler.repeat_penalty = 1.1f;
  request.sampler.seed = seed;
  return request;
}

std::string Describe(const ClusterOptions& o, int chunk) {
  return "workers " + std::to_string(o.n_workers) + ", cut " + std::to_string(o.front) + " + " +
         std::to_string(o.back) + ", sizes " + std::to_string(o.sizes.size()) + ", threads " +
         std::to_string(o.n_threads) + ", chunk " + std::to_string(chunk);
}

TEST(Embedded, TheSameTokensForAnySplitChunkAndThreads) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  const std::vector<Token> greedy = DecodeAlone(*file, RequestOf(50, 16));
  const std::vector<Token> sampled = DecodeAlone(*file, SampledRequest(50, 16, 77));
  EXPECT_NE(greedy, sampled);
  const std::vector<ClusterOptions> splits = {
      {.n_workers = 1, .front = 2, .back = 2},
      {.n_workers = 2, .front = 2, .back = 2},
      {.n_workers = 3, .front = 2, .back = 2},
      {.n_workers = 1, .front = 1, .back = 1, .n_threads = 2},
      {.n_workers = 2, .front = 3, .back = 1, .n_threads = 2},
      {.n_workers = 3, .sizes = {1, 4, 1}, .front = 1, .back = 1},
      {.n_workers = 1, .front = 4, .back = 4},  // the worker has nothing to host
      {.n_workers = 2, .front = 0, .back = 0, .show_tokens_to_cloud = true},
  };
  for (const ClusterOptions& options : splits) {
    EmbeddedCluster cluster(file, options);
    for (const int chunk : {0, 1, 7, 50}) {
      SCOPED_TRACE(Describe(options, chunk));
      GenerateRequest request = RequestOf(50, 16);
      request.chunk_rows = chunk;
      Answer answer = cluster.Run(request);
      ASSERT_TRUE(answer.finished.status.ok()) << answer.finished.status;
      EXPECT_EQ(answer.tokens, greedy);
      EXPECT_EQ(answer.finished.reason, FinishReason::kLength);
      request = SampledRequest(50, 16, 77);
      request.chunk_rows = chunk;
      EXPECT_EQ(cluster.Run(request).tokens, sampled) << "seed 77";
    }
  }
}

TEST(Embedded, TheRouteNamesItsHopsInOrder) {
  EmbeddedCluster cluster(SmallFile(), {.n_workers = 2, .front = 1, .back = 2});
  const Answer answer = cluster.Run(RequestOf(5, 2));
  ASSERT_EQ(answer.hops.size(), 2u);
  EXPECT_EQ(answer.hops[0].name, "worker-1");
  EXPECT_EQ(answer.hops[0].layers, (LayerRange{1, 4}));
  EXPECT_EQ(answer.hops[1].layers, (LayerRange{4, 6}));
  EXPECT_EQ(answer.hops[1].bricks.size(), 2u);
}

TEST(Embedded, DecodeSendsOneFrameAHopAndTokenOfOneSizeWhateverThePrompt) {
  for (const int n_prompt : {3, 200}) {
    EmbeddedCluster cluster(SmallFile(), {.n_workers = 2});
    const std::vector<std::pair<NodeId, NodeId>> hops = {
        {kEdgeNode, WorkerNode(0)}, {WorkerNode(0), WorkerNode(1)}, {WorkerNode(1), kEdgeNode}};
    std::vector<LinkCounters> one_token;
    cluster.Run(RequestOf(n_prompt, 1));
    for (const auto& [from, to] : hops) one_token.push_back(cluster.Sent(from, to));
    cluster.Run(RequestOf(n_prompt, 21));
    for (size_t i = 0; i < hops.size(); ++i) {
      const LinkCounters sent = cluster.Sent(hops[i].first, hops[i].second);
      // Two prompts alike, and twenty tokens that decode fed back.
      EXPECT_EQ(sent.frames - 2 * one_token[i].frames, 20u);
      EXPECT_EQ(sent.frame_bytes - 2 * one_token[i].frame_bytes,
                20 * (kWidth * sizeof(float) + EncodedBytes({.n_hops = i == 0})));
    }
  }
}

TEST(Embedded, SessionsAtOnceGiveWhatEachGivesAlone) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, {.n_workers = 2, .n_parallel = 4});
  std::vector<GenerateRequest> requests;
  for (uint64_t seed = 1; seed <= 7; ++seed) {
    GenerateRequest request = SampledRequest(static_cast<int>(20 * seed), 12, seed);
    request.chunk_rows = 16;
    requests.push_back(request);
  }
  const std::vector<Answer> answers = cluster.RunAll(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(answers[i].tokens, DecodeAlone(*file, requests[i])) << "seed " << i + 1;
  }
  EXPECT_LT(cluster.worker(0).counters.batches, cluster.worker(0).counters.frames)
      << "frames of several sessions ran together";
}

TEST(Embedded, EndedSessionsLeaveNothingBehind) {
  EmbeddedCluster cluster(SmallFile(), {.n_workers = 2});
  for (int i = 0; i < 3; ++i) cluster.Run(RequestOf(100, 5));
  cluster.PumpUntil(
      [&] { return cluster.worker(1).places_ending == 0 && !cluster.worker(1).busy; });
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(cluster.worker(i).place_of.empty());
    EXPECT_EQ(cluster.worker(i).pages_free, 2048 / kKvPagePositions);
    EXPECT_EQ(cluster.worker(i).counters.need_prefix, 0u);
    EXPECT_EQ(cluster.worker(i).counters.rejected, 0u);
  }
}

TEST(Embedded, CancelStopsASessionAndTheNextOneRuns) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, {.n_workers = 1});
  const RequestId request = *cluster.edge().Submit(RequestOf(10, 200));
  int tokens = 0;
  std::optional<Finished> finished;
  cluster.PumpUntil([&] {
    while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
      if (std::holds_alternative<TokenOut>(output->what) && ++tokens == 5) {
        cluster.edge().Cancel(request);
      }
      if (const auto* end = std::get_if<Finished>(&output->what)) finished = *end;
    }
    return finished.has_value();
  });
  EXPECT_EQ(finished->reason, FinishReason::kCancelled);
  EXPECT_LE(tokens, 6);
  EXPECT_EQ(cluster.Run(RequestOf(20, 5)).tokens, DecodeAlone(*file, RequestOf(20, 5)));
}

TEST(Embedded, AStopStringAndAFullContextEndTheAnswer) {
  EmbeddedCluster cluster(SmallFile(), {.n_workers = 1});
  GenerateRequest request = SampledRequest(10, 40, 3);
  const Answer whole = cluster.Run(request);
  ASSERT_GT(whole.text.size(), 8u) << "seed 3";
  request.stops = {whole.text.substr(4, 3)};
  const Answer stopped = cluster.Run(request);
  EXPECT_EQ(stopped.finished.reason, FinishReason::kStop);
  EXPECT_EQ(stopped.text, whole.text.substr(0, whole.text.find(request.stops[0])));
  const Answer full = cluster.Run(RequestOf(250, 100));
  EXPECT_EQ(full.finished.reason, FinishReason::kLength);
  EXPECT_EQ(full.tokens.size(), 6u);
}

// Sampled tokens of a request whose worker dies at the tenth: its spare is sent everything again.
void ExpectTheSameTokensFromASpare(const std::shared_ptr<GgufFile>& file) {
  EmbeddedCluster cluster(file, {.n_workers = 2, .workers_expected = 1});
  const GenerateRequest request = SampledRequest(40, 30, 11);
  // Until the placement stands, worker-1 is the only one who can have been chosen.
  ASSERT_TRUE(cluster.edge().Submit(request).ok());
  std::vector<Token> tokens;
  std::vector<std::string> routes;
  std::optional<Finished> finished;
  cluster.PumpUntil([&] {
    while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
      if (const auto* routed = std::get_if<Routed>(&output->what)) {
        routes.push_back(routed->hops.at(0).name);
      } else if (const auto* token = std::get_if<TokenOut>(&output->what)) {
        tokens.push_back(token->token);
        if (tokens.size() == 10) cluster.Kill(routes.back() == "worker-1" ? 0 : 1);
      } else {
        finished = std::get<Finished>(output->what);
      }
    }
    return finished.has_value();
  });
  ASSERT_TRUE(finished->status.ok()) << finished->status;
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_NE(routes[0], routes[1]);
  EXPECT_EQ(tokens, DecodeAlone(*file, request)) << "seed 11";
}

TEST(Embedded, AWorkerThatDiesIsReplacedByASpareAndTheTokensAreTheSame) {
  ExpectTheSameTokensFromASpare(SmallFile());
}

TEST(Embedded, EveryArchitectureKeepsItsTokensSplitChunkedAndReplayed) {
  for (NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    SCOPED_TRACE(model.name);
    model.options.n_ctx = 512;  // LongRoPE's short factors serve half of it
    model.options.type = TensorType::kQ4_1;
    model.options.head_dim = 32;
    const std::shared_ptr<GgufFile> file = TinyFile(model.options);
    const std::vector<Token> want = DecodeAlone(*file, SampledRequest(50, 16, 78));
    for (const ClusterOptions& options :
         {ClusterOptions{.n_workers = 2, .front = 1, .back = 1},
          ClusterOptions{.n_workers = 1, .front = 2, .back = 3, .n_threads = 2}}) {
      EmbeddedCluster cluster(file, options);
      for (const int chunk : {0, 7}) {
        GenerateRequest request = SampledRequest(50, 16, 78);
        request.chunk_rows = chunk;
        EXPECT_EQ(cluster.Run(request).tokens, want) << Describe(options, chunk);
      }
    }
    ExpectTheSameTokensFromASpare(file);
  }
}

TEST(Embedded, AWorkerThatCannotLoadFailsTheRequestWithItsReason) {
  EmbeddedCluster cluster(SmallFile(), {.n_workers = 1, .bad_worker = 0});
  const Answer answer = cluster.Run(RequestOf(5, 5));
  EXPECT_EQ(answer.finished.reason, FinishReason::kError);
  EXPECT_THAT(Message(answer.finished.status), HasSubstr("blk.3.attn_q.weight is missing"));
}

TEST(Embedded, TheLayersOfAWorkerThatCannotLoadGoToTheOther) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, {.n_workers = 2, .bad_worker = 1});
  EXPECT_EQ(cluster.Run(RequestOf(5, 5)).tokens, DecodeAlone(*file, RequestOf(5, 5)));
}

TEST(Embedded, AWorkerWithoutRoomServesWhenOthersHaveEnded) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster cluster(file, {.n_workers = 1, .n_parallel = 2, .worker_kv_positions = 256});
  const std::vector<Answer> answers = cluster.RunAll({RequestOf(120, 4, 1), RequestOf(200, 4, 2)});
  EXPECT_EQ(answers[0].tokens, DecodeAlone(*file, RequestOf(120, 4, 1)));
  EXPECT_EQ(answers[1].tokens, DecodeAlone(*file, RequestOf(200, 4, 2)));
  EXPECT_GE(answers[1].finished.timings.retries, 1);
}

TEST(Embedded, SizesThatDoNotFitFailTheRequestWithTheReason) {
  EmbeddedCluster cluster(SmallFile(), {.n_workers = 2, .sizes = {1, 1}});
  EXPECT_THAT(Message(cluster.Run(RequestOf(5, 5)).finished.status), HasSubstr("add up to the 4"));
}

}  // namespace
}  // namespace mortar
