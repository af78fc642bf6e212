// Goal: whatever is guessed, right, wrong or looked up, the answer is the one without guesses: its
// tokens, its text and its end, greedy or sampled, for any cut; and guesses that hold save steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "common/random.h"
#include "edge/lookup_drafter.h"
#include "tests/integration/embedded_cluster.h"
#include "tests/support/known_drafter.h"

namespace mortar {
namespace {

constexpr int kContext = 256;  // of an embedded cluster

std::shared_ptr<GgufFile> SmallFile() {
  return TinyFile({.n_embd = 64, .n_layers = 8, .type = TensorType::kQ4_1});
}

GenerateRequest RequestOf(int n_prompt, int n_predict, float temperature = 0, uint64_t seed = 1) {
  GenerateRequest request;
  for (int i = 0; i < n_prompt; ++i) {
    const float u = UniformDraw(seed, 9, static_cast<uint64_t>(i), 0);
    request.prompt.push_back(static_cast<Token>(u * kTinyVocab));
  }
  request.sampler.temperature = temperature;
  request.sampler.seed = seed;
  request.n_predict = n_predict;
  request.ignore_end = true;
  return request;
}

std::vector<Token> LogOf(const GgufFile& file, const GenerateRequest& request) {
  std::vector<Token> log = request.prompt;
  for (const Token token : DecodeAlone(file, request)) log.push_back(token);
  return log;
}

Drafting Lookup(int max) {
  return {.make = [](int positions) { return std::make_unique<LookupDrafter>(positions); },
          .max = max};
}

// One of each kind that knows these logs.
std::map<std::string, Drafting> AllKinds(int max, const std::vector<std::vector<Token>>& logs) {
  const auto known = [&](std::function<bool(size_t)> holds) {
    return KnownDrafts(max, logs, std::move(holds), kTinyVocab);
  };
  return {{"lookup", Lookup(max)},
          {"always right", known([](size_t) { return true; })},
          {"always wrong", known([](size_t) { return false; })},
          {"mostly right", known([](size_t position) { return position % 5 != 0; })}};
}

std::map<std::string, GenerateRequest> AllSamplings() {
  std::map<std::string, GenerateRequest> requests = {{"greedy", RequestOf(40, 48)},
                                                     {"temperature 1", RequestOf(40, 48, 1, 7)}};
  GenerateRequest penalties = RequestOf(40, 48, 1, 8);
  penalties.sampler.repeat_penalty = 1.3f;
  penalties.sampler.frequency_penalty = 0.4f;
  penalties.sampler.presence_penalty = 0.2f;
  penalties.sampler.repeat_last_n = 5;  // of which guesses are a part
  requests["penalties"] = penalties;
  penalties.sampler.repeat_last_n = -1;
  requests["penalties over all"] = penalties;
  penalties.sampler.temperature = 0;
  requests["greedy with penalties"] = penalties;
  return requests;
}

TEST(EmbeddedDrafts, TheSameTokensWhateverIsGuessed) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  const std::vector<ClusterOptions> splits = {
      {.n_workers = 1},
      {.n_workers = 3, .front = 1, .back = 1, .n_threads = 2},
      {.n_workers = 1, .front = 4, .back = 4},  // all layers at the edge
      {.n_workers = 2, .front = 0, .back = 0, .show_tokens_to_cloud = true},
  };
  std::map<std::string, std::pair<int, int>> held;  // of so many guesses, by kind
  for (const auto& [sampling, request] : AllSamplings()) {
    const std::vector<Token> log = LogOf(*file, request);
    const std::vector<Token> want(log.begin() + 40, log.end());
    for (const int max : {1, kDraftMax}) {
      for (const auto& [kind, drafting] : AllKinds(max, {log})) {
        for (ClusterOptions options : splits) {
          SCOPED_TRACE(sampling + ", " + kind + ", at most " + std::to_string(max) + ", cut " +
                       std::to_string(options.front) + " + " + std::to_string(options.back));
          options.drafting = drafting;
          EmbeddedCluster cluster(file, options);
          const Answer answer = cluster.Run(request);
          ASSERT_TRUE(answer.finished.status.ok()) << answer.finished.status;
          EXPECT_EQ(answer.tokens, want);
          EXPECT_EQ(answer.finished.timings.retries, 0);
          held[kind].first += answer.finished.timings.guesses_held;
          held[kind].second += answer.finished.timings.guesses;
        }
      }
    }
  }
  EXPECT_EQ(held["always right"].first, held["always right"].second);
  EXPECT_EQ(held["always wrong"].first, 0);
  EXPECT_GT(held["always wrong"].second, 200);
  EXPECT_GT(held["mostly right"].first, 200);
  EXPECT_LT(held["mostly right"].first, held["mostly right"].second);
  EXPECT_GT(held["lookup"].first, 100);
}

TEST(EmbeddedDrafts, GuessesThatHoldSaveSteps) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  const GenerateRequest request = RequestOf(40, 33);
  const auto log = LogOf(*file, request);
  for (const bool right : {true, false}) {
    EmbeddedCluster cluster(
        file, {.drafting = KnownDrafts(15, {log}, [right](size_t) { return right; }, kTinyVocab)});
    cluster.Run(request);
    // The prompt's; then 4, 8 and 15 guesses, and the one that the last two tokens leave room for.
    EXPECT_EQ(cluster.Sent(kEdgeNode, WorkerNode(0)).frames, right ? 1u + 3u + 1u : 33u);
  }
}

TEST(EmbeddedDrafts, AnAnswerEndsAtTheSameTokenWhereverAFrameEnds) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  const std::vector<Token> log = LogOf(*file, RequestOf(40, 48, 1, 5));
  for (const auto& [kind, drafting] : AllKinds(kDraftMax, {log})) {
    EmbeddedCluster cluster(file, {.drafting = drafting});
    for (int n = 1; n <= 24; ++n) {
      const Answer answer = cluster.Run(RequestOf(40, n, 1, 5));
      EXPECT_EQ(answer.tokens, std::vector<Token>(log.begin() + 40, log.begin() + 40 + n)) << kind;
      EXPECT_EQ(answer.finished.reason, FinishReason::kLength);
      EXPECT_EQ(answer.finished.timings.output_tokens, n);
    }
  }
}

TEST(EmbeddedDrafts, AFullContextEndsItAtTheSameToken) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  const GenerateRequest request = RequestOf(kContext - 30, 200, 1, 6);
  EmbeddedCluster plain(file, {});
  const Answer want = plain.Run(request);
  ASSERT_EQ(want.tokens.size(), 30u);
  std::vector<Token> log = request.prompt;
  log.insert(log.end(), want.tokens.begin(), want.tokens.end());
  log.resize(kContext + 20, 3);  // a drafter may know more than the context holds
  for (const auto& [kind, drafting] : AllKinds(kDraftMax, {log})) {
    // The worker's KV holds the context and nothing more.
    EmbeddedCluster cluster(file, {.worker_kv_positions = kContext, .drafting = drafting});
    const Answer answer = cluster.Run(request);
    EXPECT_EQ(answer.tokens, want.tokens) << kind;
    EXPECT_EQ(answer.finished.reason, FinishReason::kLength);
    EXPECT_EQ(answer.finished.timings.retries, 0) << kind;
  }
}

TEST(EmbeddedDrafts, StopStringsAndEndsOfGenerationAmidAFrameEndItAlike) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  EmbeddedCluster plain(file, {});
  int stopped_by_text = 0;
  int stopped_by_token = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    GenerateRequest request = RequestOf(20, 60, 3, seed);
    request.sampler.top_k = 0;
    request.sampler.top_p = 1;
    request.sampler.min_p = 0;
    const std::vector<Token> log = LogOf(*file, request);
    request.ignore_end = false;
    const std::string text = plain.Run(request).text;
    if (seed % 2 == 0 && text.size() > 20) request.stops = {text.substr(12, 3)};
    const Answer want = plain.Run(request);
    if (want.finished.reason == FinishReason::kStop) {
      ++(request.stops.empty() ? stopped_by_token : stopped_by_text);
    }
    for (const auto& [kind, drafting] : AllKinds(kDraftMax, {log})) {
      SCOPED_TRACE(kind + ", seed " + std::to_string(seed));
      EmbeddedCluster cluster(file, {.drafting = drafting});
      const Answer answer = cluster.Run(request);
      EXPECT_EQ(answer.tokens, want.tokens);
      EXPECT_EQ(answer.text, want.text);
      EXPECT_EQ(answer.finished.reason, want.finished.reason);
    }
  }
  EXPECT_GT(stopped_by_text, 3);
  EXPECT_GT(stopped_by_token, 0);
}

TEST(EmbeddedDrafts, SessionsAtOnceGiveWhatEachGivesAlone) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  std::vector<GenerateRequest> requests;
  std::vector<std::vector<Token>> logs;
  for (uint64_t seed = 1; seed <= 7; ++seed) {
    requests.push_back(RequestOf(static_cast<int>(20 * seed), 40, 1, seed));
    requests.back().chunk_rows = 16;
    logs.push_back(LogOf(*file, requests.back()));
  }
  for (const auto& [kind, drafting] : AllKinds(kDraftMax, logs)) {
    EmbeddedCluster cluster(file, {.n_workers = 2, .n_parallel = 4, .drafting = drafting});
    const std::vector<Answer> answers = cluster.RunAll(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto n_prompt = static_cast<std::ptrdiff_t>(requests[i].prompt.size());
      EXPECT_EQ(answers[i].tokens, std::vector<Token>(logs[i].begin() + n_prompt, logs[i].end()))
          << kind << ", seed " << i + 1;
    }
  }
}

TEST(EmbeddedDrafts, EveryArchitectureVerifiesGuessesAsItDecodes) {
  for (NamedTinyModel& model : TinyModelOfEveryArchitecture()) {
    model.options.n_ctx = 512;  // as the embedded cluster's context wants
    model.options.type = TensorType::kQ4_1;
    model.options.head_dim = 32;
    const std::shared_ptr<GgufFile> file = TinyFile(model.options);
    const GenerateRequest request = RequestOf(50, 40, 1, 79);
    const std::vector<Token> log = LogOf(*file, request);
    for (const auto& [kind, drafting] : AllKinds(kDraftMax, {log})) {
      EmbeddedCluster cluster(file, {.front = 1, .back = 1, .drafting = drafting});
      EXPECT_EQ(cluster.Run(request).tokens, std::vector<Token>(log.begin() + 50, log.end()))
          << model.name << ", " << kind;
    }
  }
}

// A worker that dies while guesses are on their way leaves a spare with nothing.
TEST(EmbeddedDrafts, AWorkerThatDiesIsReplacedByASpareAndTheTokensAreTheSame) {
  const std::shared_ptr<GgufFile> file = SmallFile();
  const GenerateRequest request = RequestOf(40, 60, 1, 11);
  const std::vector<Token> log = LogOf(*file, request);
  for (const auto& [kind, drafting] : AllKinds(kDraftMax, {log})) {
    EmbeddedCluster cluster(file, {.n_workers = 2, .workers_expected = 1, .drafting = drafting});
    ASSERT_TRUE(cluster.edge().Submit(request).ok());
    std::vector<Token> tokens;
    std::vector<std::string> routes;
    std::optional<Finished> finished;
    bool killed = false;
    cluster.PumpUntil([&] {
      while (const std::optional<EdgeOutput> output = cluster.edge().PollOutput()) {
        if (const auto* routed = std::get_if<Routed>(&output->what)) {
          routes.push_back(routed->hops.at(0).name);
        } else if (const auto* token = std::get_if<TokenOut>(&output->what)) {
          tokens.push_back(token->token);
        } else if (const auto* end = std::get_if<Finished>(&output->what)) {
          finished = *end;
        }
      }
      const EdgeSlot& slot = cluster.edge().state().slots[0];
      if (!killed && tokens.size() >= 10 && !slot.in_flight.empty()) {
        cluster.Kill(routes.back() == "worker-1" ? 0 : 1);
        killed = true;
      }
      return finished.has_value();
    });
    ASSERT_TRUE(finished->status.ok()) << finished->status;
    EXPECT_EQ(routes.size(), 2u) << kind;
    EXPECT_EQ(tokens, std::vector<Token>(log.begin() + 40, log.end())) << kind;
  }
}

}  // namespace
}  // namespace mortar
