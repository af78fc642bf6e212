// Goal: whatever of a cluster is killed, stopped, cut or restarted at a random moment of an answer,
// over ZeroMQ with keys, the reader gets the tokens of the undisturbed answer, each of them once,
// after a pause that is bounded. 20 of each kind with a tiny model; hundreds with a real one:
// recovery_soak.cc.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/integration/recovery_cluster.h"
#include "tests/support/sanitized.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

using std::chrono::milliseconds;

// The first hit; those of a failure are made again with its number.
constexpr uint64_t kFirst = 0;
constexpr int kHits = kSanitized ? 4 : 20;
// The bar is 4 s on a machine that does nothing else (docs/testing.md). Here others run beside.
constexpr milliseconds kPauseMax{kSanitized ? 60'000 : 8'000};

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() {
    TinyModelOptions options;
    // Wide and deep enough that an answer takes a tenth of a second.
    options.n_embd = 192;
    options.n_ff = 512;
    options.n_layers = 10;
    options.n_ctx = 1024;
    options.deviation = 0.2f;  // so that the answer is not one token again and again
    WriteTinyModel(options, folder_.Path("tiny.gguf"));
    model_ = {.path = folder_.Path("tiny.gguf"),
              .cut = {"--front", "2", "--back", "2"},
              .prompt = kPrompt,
              .long_prompt = {},
              .prefill_max = milliseconds(60)};
    for (int i = 0; i < 8; ++i) model_.long_prompt += kPrompt;
  }

  void HitAll(HitKind kind, int hits = kHits) {
    RecoveryCluster cluster(model_, kind);
    int hit = 0, other_routes = 0;
    for (uint64_t number = kFirst; hit < hits && number < kFirst + 2 * static_cast<uint64_t>(hits);
         ++number) {
      const HitResult result = cluster.Hit(number);
      SCOPED_TRACE("hit " + std::to_string(number) + ", " + Name(result.asked) + ", after " +
                   std::to_string(result.token) + " tokens: " + result.what);
      EXPECT_TRUE(result.ended) << result.errors;
      EXPECT_EQ(result.lost, 0);
      EXPECT_EQ(result.repeated, 0);
      EXPECT_LT(result.pause, kPauseMax);
      if (HasFailure()) FAIL() << cluster.Said();
      hit += result.too_late ? 0 : 1;
      other_routes += result.routes > 1 ? 1 : 0;
    }
    EXPECT_EQ(hit, hits) << "the others were over before they were hit";
    // Of a coordinator's restarts, only half meet answers that went through it.
    EXPECT_GE(other_routes, hits / 4) << "hits that nobody noticed are none";
  }

  TestFolder folder_;
  RecoveryModel model_;
};

TEST_F(RecoveryTest, AnAnswerSurvivesKilledWorkers) { HitAll(HitKind::kWorker); }
TEST_F(RecoveryTest, AnAnswerSurvivesCutLinks) { HitAll(HitKind::kLink); }
TEST_F(RecoveryTest, AnAnswerSurvivesRestartsOfTheRelay) { HitAll(HitKind::kRelay); }
TEST_F(RecoveryTest, AnAnswerSurvivesRestartsOfTheCoordinator) { HitAll(HitKind::kCoordinator); }
// Each of them takes the second in which it is found.
TEST_F(RecoveryTest, AnAnswerSurvivesSilentWorkers) { HitAll(HitKind::kSilence, kHits / 4); }

// The check itself: a token too few, one too many, and one that is another.
TEST(CompareTokens, CountsWhatIsLostAndWhatIsRepeated) {
  const std::vector<int> tokens = {1, 2, 3, 4};
  const auto difference = [&](const std::vector<int>& came) {
    const TokenDifference found = CompareTokens(tokens, came);
    return std::pair(found.lost, found.repeated);
  };
  EXPECT_EQ(difference({1, 2, 3, 4}), std::pair(0, 0));
  EXPECT_EQ(difference({1, 2, 4}), std::pair(1, 0));
  EXPECT_EQ(difference({1, 2, 2, 3, 4}), std::pair(0, 1));
  EXPECT_EQ(difference({1, 2, 5, 4}), std::pair(1, 1));
  EXPECT_EQ(difference({1, 3, 2, 4}), std::pair(1, 1));
  EXPECT_EQ(difference({}), std::pair(4, 0));
}

}  // namespace
}  // namespace mortar
