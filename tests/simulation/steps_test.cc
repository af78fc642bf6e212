// Goal: the step rules hold whatever the network does. Edge, coordinator and workers run on one
// thread, on a simulated clock and a network that loses, doubles and reorders; under each of 200
// seeds no hop runs an old step, every session gives the tokens of an undisturbed run, and a seed
// repeats its run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>

#include "tests/integration/embedded_cluster.h"
#include "tests/support/known_drafter.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

constexpr uint64_t kSeeds = 200;

GenerateRequest RequestOf(uint64_t seed, int n_prompt, float temperature) {
  GenerateRequest request;
  for (int i = 0; i < n_prompt; ++i) {
    request.prompt.push_back(
        static_cast<Token>((seed * 7 + static_cast<uint64_t>(i) * 13) % kTinyVocab));
  }
  request.sampler.temperature = temperature;
  request.sampler.seed = seed;
  request.n_predict = 12;
  request.ignore_end = true;
  request.chunk_rows = 5;  // several frames of prefill in flight: they can overtake one another
  return request;
}

ClusterOptions OptionsOf(uint64_t seed) {
  ClusterOptions options;
  options.n_workers = 2 + static_cast<int>(seed % 2);
  options.n_parallel = 2;
  options.step_deadline = std::chrono::seconds(2);
  options.sim = SimOptions{.seed = seed};
  return options;
}

// What no network may bring about, looked at whenever a node sends: the tokens alone would not show
// it, since whatever goes wrong is tried again in the end.
class RuleWatch {
 public:
  void Watch(const EmbeddedCluster& cluster, int n_workers) {
    cluster_ = &cluster;
    n_workers_ = n_workers;
  }
  void Sent(NodeId from, const AnyMessage& message) {
    if (const auto* frame = std::get_if<Activation>(&message)) {
      Ran(from, frame->envelope);
    } else if (const auto* need = std::get_if<NeedPrefix>(&message)) {
      Refused(from, need->session, need->epoch);
    } else if (const auto* rejected = std::get_if<Rejected>(&message)) {
      Refused(from, rejected->session, rejected->epoch);
    }
  }
  const std::string& broken() const { return broken_; }

 private:
  // What is known of one session at one node.
  struct Seen {
    uint64_t step = 0;          // newest that it sent on
    uint32_t epoch = 0;         // newest that it adopted and refused a frame of
    uint64_t step_started = 0;  // newest that it had begun to run then
  };
  Seen& At(NodeId node, const SessionId& session) { return seen_[{node, session}]; }
  void Ran(NodeId node, const Envelope& e) {
    Seen& seen = At(node, e.session);
    if (e.step <= seen.step) broken_ = "node " + ToString(node) + " ran an old step";
    if (e.epoch < seen.epoch && e.step > seen.step_started) {
      broken_ = "node " + ToString(node) + " ran a frame of a lower epoch";
    }
    seen.step = std::max(seen.step, e.step);
  }
  void Refused(NodeId node, const SessionId& session, uint32_t epoch) {
    for (int w = 0; cluster_ != nullptr && w < n_workers_; ++w) {
      const WorkerState& worker = cluster_->worker(w);
      const auto place = worker.place_of.find(session);
      if (WorkerNode(w) != node || place == worker.place_of.end()) continue;
      Seen& seen = At(node, session);
      seen.epoch = std::max(seen.epoch, epoch);
      seen.step_started = worker.places[static_cast<size_t>(place->second)].applied_step;
    }
  }

  const EmbeddedCluster* cluster_ = nullptr;
  int n_workers_ = 0;
  std::map<std::pair<NodeId, SessionId>, Seen> seen_;
  std::string broken_;
};

TEST(Steps, EverySeedGivesTheTokensOfAnUndisturbedRun) {
  const auto file = TinyFile({.n_layers = 6});
  WorkerCounters seen;
  SimCounters network;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<GenerateRequest> requests = {RequestOf(seed, 23, 0),
                                                   RequestOf(seed + 1000, 9, 0.9f)};
    RuleWatch watch;
    ClusterOptions options = OptionsOf(seed);
    options.sim->tamper = [&](NodeId from, NodeId, AnyMessage& m) { watch.Sent(from, m); };
    EmbeddedCluster cluster(file, options);
    watch.Watch(cluster, options.n_workers);
    const std::vector<Answer> answers = cluster.RunAll(requests);
    ASSERT_EQ(watch.broken(), "");
    for (size_t i = 0; i < requests.size(); ++i) {
      ASSERT_TRUE(answers[i].finished.status.ok()) << answers[i].finished.status;
      ASSERT_EQ(answers[i].tokens, DecodeAlone(*file, requests[i]));
    }
    for (int w = 0; w < options.n_workers; ++w) {
      const WorkerCounters& c = cluster.worker(w).counters;
      seen.old_epoch += c.old_epoch;
      seen.old_step += c.old_step;
      seen.need_prefix += c.need_prefix;
    }
    network.lost += cluster.sim()->counters().lost;
    network.overtaken += cluster.sim()->counters().overtaken;
  }
  // What the rules are for has happened.
  EXPECT_GT(network.lost, kSeeds);
  EXPECT_GT(network.overtaken, kSeeds);
  EXPECT_GT(seen.old_epoch, 0u);
  EXPECT_GT(seen.old_step, 0u);
  EXPECT_GT(seen.need_prefix, 0u);
}

// Guesses that hold, fail, or were never looked at because a frame was lost: what a hop has of them
// is never taken for the log. Each session's drafter is right, wrong or both by turns.
TEST(Steps, EverySeedGivesTheTokensOfAnUndisturbedRunWithGuessesOnTheirWay) {
  const auto file = TinyFile({.n_layers = 6});
  int guesses = 0;
  int held = 0;
  int retries = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::vector<GenerateRequest> requests = {RequestOf(seed, 23, 0),
                                             RequestOf(seed + 1000, 9, 0.9f)};
    std::vector<std::vector<Token>> logs;
    for (GenerateRequest& request : requests) {
      request.n_predict = 40;
      logs.push_back(request.prompt);
      for (const Token token : DecodeAlone(*file, request)) logs.back().push_back(token);
    }
    RuleWatch watch;
    ClusterOptions options = OptionsOf(seed);
    options.sim->tamper = [&](NodeId from, NodeId, AnyMessage& m) { watch.Sent(from, m); };
    // One guess in seven to one in two is wrong; the same position is right another time.
    auto turn = std::make_shared<uint64_t>(seed);
    const auto holds = [turn, seed](size_t position) {
      return (position + ++*turn) % (2 + seed % 6) != 0;
    };
    options.drafting = KnownDrafts(1 + static_cast<int>(seed % kDraftMax), logs, holds, kTinyVocab);
    EmbeddedCluster cluster(file, options);
    watch.Watch(cluster, options.n_workers);
    const std::vector<Answer> answers = cluster.RunAll(requests);
    ASSERT_EQ(watch.broken(), "");
    for (size_t i = 0; i < requests.size(); ++i) {
      const Finished& finished = answers[i].finished;
      ASSERT_TRUE(finished.status.ok()) << finished.status;
      const auto n_prompt = static_cast<std::ptrdiff_t>(requests[i].prompt.size());
      ASSERT_EQ(answers[i].tokens, std::vector<Token>(logs[i].begin() + n_prompt, logs[i].end()));
      guesses += finished.timings.guesses;
      held += finished.timings.guesses_held;
      retries += finished.timings.retries;
    }
  }
  EXPECT_GT(held, static_cast<int>(10 * kSeeds));
  EXPECT_GT(guesses - held, static_cast<int>(10 * kSeeds));
  EXPECT_GT(retries, static_cast<int>(kSeeds));
}

TEST(Steps, ASeedRepeatsItsRunMessageForMessage) {
  const auto file = TinyFile({.n_layers = 6});
  const auto history = [&](uint64_t seed) {
    EmbeddedCluster cluster(file, OptionsOf(seed));
    cluster.RunAll({RequestOf(7, 23, 0)});
    return cluster.sim()->counters().history;
  };
  EXPECT_EQ(history(7), history(7));
  EXPECT_NE(history(7), history(9)) << "a hash that says nothing";
}

// Frames that a worker had no room for come again under the next epoch, while copies of the old
// ones are still on their way and arrive when there is room.
TEST(Steps, AWorkerWithoutRoomNeverRunsAFrameOfAnEpochThatIsOver) {
  const auto file = TinyFile({.n_layers = 6});
  WorkerCounters seen;
  for (uint64_t seed = 1; seed <= kSeeds / 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RuleWatch watch;
    ClusterOptions options = OptionsOf(seed);
    options.n_workers = 1;
    options.n_parallel = 4;
    options.worker_kv_positions = 256;
    options.sim->loss = 0;
    options.sim->duplicates = 0.5;
    options.sim->copies = 12;
    options.sim->delay_max = std::chrono::milliseconds(400);
    options.sim->tamper = [&](NodeId from, NodeId, AnyMessage& m) { watch.Sent(from, m); };
    EmbeddedCluster cluster(file, options);
    watch.Watch(cluster, options.n_workers);
    std::vector<GenerateRequest> requests;
    for (uint64_t i = 0; i < 4; ++i) requests.push_back(RequestOf(seed + i, 70, 0));
    for (GenerateRequest& request : requests) {
      request.chunk_rows = 50;
      request.n_predict = 3;
    }
    cluster.RunAll(requests);
    ASSERT_EQ(watch.broken(), "");
    seen.rejected += cluster.worker(0).counters.rejected;
    seen.old_epoch += cluster.worker(0).counters.old_epoch;
  }
  EXPECT_GT(seen.rejected, kSeeds / 4);
  EXPECT_GT(seen.old_epoch, 0u);
}

// A link that is lost ends the sessions that were made over it at one end, and the coordinator
// forgets a member: the edge asks for new routes, the node joins again.
TEST(Steps, LinksThatAreLostAndComeBackChangeNoToken) {
  const auto file = TinyFile({.n_layers = 6});
  uint64_t links_lost = 0;
  int retries = 0;
  for (uint64_t seed = 1; seed <= kSeeds / 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ClusterOptions options = OptionsOf(seed);
    options.sim->link_losses = 0.01;
    EmbeddedCluster cluster(file, options);
    const GenerateRequest request = RequestOf(seed, 23, 0.9f);
    const Answer answer = cluster.Run(request);
    ASSERT_TRUE(answer.finished.status.ok()) << answer.finished.status;
    ASSERT_EQ(answer.tokens, DecodeAlone(*file, request));
    links_lost += cluster.sim()->counters().links_lost;
    retries += answer.finished.timings.retries;
  }
  EXPECT_GT(links_lost, kSeeds / 4);
  EXPECT_GT(retries, static_cast<int>(kSeeds / 4));
}

TEST(Steps, ANetworkThatLosesEverythingEndsInAnErrorInItsTime) {
  ClusterOptions options = OptionsOf(1);
  options.sim->loss = 1;
  EmbeddedCluster cluster(TinyFile({.n_layers = 6}), options);
  const Answer answer = cluster.Run(RequestOf(1, 9, 0));
  EXPECT_TRUE(absl::IsUnavailable(answer.finished.status)) << answer.finished.status;
}

// --- Sealed rows ---

// The rows of every frame that crossed, each as its bytes.
std::set<std::string> RowsThatCross(const std::shared_ptr<GgufFile>& file, uint64_t seed,
                                    bool sealed) {
  std::set<std::string> rows;
  ClusterOptions options = OptionsOf(seed);
  options.sealed = sealed;
  options.sim->tamper = [&](NodeId, NodeId, AnyMessage& m) {
    const auto* frame = std::get_if<Activation>(&m);
    if (frame == nullptr) return;
    EXPECT_EQ(frame->envelope.is_sealed(), sealed);
    const auto* bytes = reinterpret_cast<const char*>(frame->rows.data());
    const size_t row_bytes = static_cast<size_t>(frame->rows.n_embd()) * sizeof(float);
    for (size_t at = 0; at < frame->rows.bytes(); at += row_bytes) {
      rows.emplace(bytes + at, row_bytes);
    }
  };
  EmbeddedCluster cluster(file, options);
  const Answer answer = cluster.Run(RequestOf(7, 23, 0));
  EXPECT_TRUE(answer.finished.status.ok()) << answer.finished.status;
  return rows;
}

TEST(Sealed, NothingThatCrossesIsARowOfHiddenStates) {
  const auto file = TinyFile({.n_layers = 6});
  const std::set<std::string> plain = RowsThatCross(file, 1, false);
  const auto known = [&](const std::set<std::string>& rows) {
    return std::ranges::count_if(rows, [&](const auto& row) { return plain.contains(row); });
  };
  EXPECT_GT(known(RowsThatCross(file, 2, false)), 20) << "another run's rows are recognised";
  const std::set<std::string> sealed = RowsThatCross(file, 2, true);
  EXPECT_GT(sealed.size(), 20u);
  EXPECT_EQ(known(sealed), 0);
}

// Keys are lost as everything is, and somebody on the way changes frames, makes up others and
// strips seals: what is not genuine is dropped, and the tokens are those of an undisturbed run.
TEST(Sealed, EverySeedGivesTheTokensOfAnUndisturbedRunThoughFramesAreForged) {
  const auto file = TinyFile({.n_layers = 6});
  uint64_t broken_at_workers = 0;
  uint64_t broken_at_edge = 0;
  int forged = 0;
  for (uint64_t seed = 1; seed <= kSeeds / 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<GenerateRequest> requests = {RequestOf(seed, 23, 0),
                                                   RequestOf(seed + 1000, 9, 0.9f)};
    ClusterOptions options = OptionsOf(seed);
    options.sealed = true;
    std::mt19937_64 random(seed);
    options.sim->tamper = [&](NodeId, NodeId, AnyMessage& m) {
      auto* frame = std::get_if<Activation>(&m);
      if (frame == nullptr || random() % 40 != 0) return;
      ++forged;
      switch (random() % 4) {
        case 0:
          frame->envelope.base ^= 1;
          break;
        case 1:
          frame->envelope.step += 1;
          break;
        case 2:
          frame->envelope.flags &= static_cast<uint16_t>(~kFlagSealed);
          break;
        default:
          if (!frame->rows.empty()) frame->rows.mutable_data()[0] = 1.0f;
      }
    };
    EmbeddedCluster cluster(file, options);
    const std::vector<Answer> answers = cluster.RunAll(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      ASSERT_TRUE(answers[i].finished.status.ok()) << answers[i].finished.status;
      ASSERT_EQ(answers[i].tokens, DecodeAlone(*file, requests[i]));
    }
    for (int w = 0; w < options.n_workers; ++w) {
      broken_at_workers += cluster.worker(w).counters.broken_seals;
    }
    broken_at_edge += cluster.edge().state().counters.broken_seals;
  }
  EXPECT_GT(forged, 20);
  EXPECT_GT(broken_at_workers, 10u);
  EXPECT_GT(broken_at_edge, 3u);
}

}  // namespace
}  // namespace mortar
