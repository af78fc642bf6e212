// Goal: figures are what llama-bench would print for the same samples.
#include "cli/bench.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cli/bandwidth.h"
#include "cli/roles_bench.h"
#include "tests/support/tiny_model.h"

namespace mortar {
namespace {

TEST(Bench, TestsAreNamedAsLlamaBenchNamesThem) {
  EXPECT_EQ((BenchTest{.n_prompt = 512}.Name()), "pp512");
  EXPECT_EQ((BenchTest{.n_gen = 128}.Name()), "tg128");
  EXPECT_EQ((BenchTest{.n_gen = 128, .batch = 16}.Name()), "tg128@16");
  EXPECT_EQ((BenchTest{.n_prompt = 512, .depth = 4096}.Name()), "pp512@d4096");
  EXPECT_EQ((BenchTest{.n_gen = 128, .batch = 16, .depth = 4096}.Name()), "tg128@16@d4096");
}

TEST(Bench, SpreadIsThatOfASample) {
  const Spread spread = SpreadOf({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_EQ(spread.mean, 5);
  EXPECT_NEAR(spread.deviation, std::sqrt(32.0 / 7), 1e-12);
  EXPECT_EQ(SpreadOf({3}).deviation, 0);
  EXPECT_EQ(SpreadOf({}).mean, 0);
}

TEST(Bench, SpeedIsTheMeanOverRepetitions) {
  // 128 tokens in 1 s and in 2 s: 128 and 64 tokens a second.
  const BenchResult result =
      Summarize({.n_gen = 128}, {{1.0, 1'000'000'000}, {2.0, 1'000'000'000}}, 1.5e9);
  EXPECT_EQ(result.tok_s, 96);
  EXPECT_NEAR(result.stddev, 64 / std::sqrt(2.0), 1e-9);
  EXPECT_NEAR(result.gb_s, 0.75, 1e-12);
  EXPECT_NEAR(result.bandwidth_fraction, 0.5, 1e-12);
}

TEST(Bench, EverySessionOfABatchCounts) {
  EXPECT_EQ(Summarize({.n_gen = 10, .batch = 4}, {{2.0, 1}}, 1).tok_s, 20);
}

// What a session holds before is computed and kept, and not counted but where it is read.
TEST(Bench, EverySessionStartsAtItsDepthInEveryRun) {
  const auto pool = *ThreadPool::Create(1);
  const auto file = *GgufFile::FromBytes(MakeTinyModel({}).Bytes(), "tiny.gguf");
  const BenchTest test = {.n_gen = 2, .batch = 2, .depth = 40};
  const ForwardLoop::Options options = {
      .positions = test.positions(), .sessions = test.batch, .ubatch_size = 16};
  const auto loop = *ForwardLoop::Create(*file, options, **SelectKernels(""), *pool);
  const uint64_t positions_read = 2 * (2 * 40 + 3);  // by two sessions; a step reads its own too
  for (int run = 0; run < 2; ++run) {
    const auto sample = RunBenchTest(*loop, test, options.ubatch_size, SteadyClock());
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(loop->positions(0), 42);
    EXPECT_EQ(loop->positions(1), 42);
    EXPECT_EQ(sample->bytes,
              2 * loop->weight_bytes() + positions_read * loop->kv_bytes_per_position());
  }
}

TEST(Roles, TheCostIsAMedianThatASlowTokenDoesNotMove) {
  std::vector<RolesSample> samples;
  for (int i = 0; i < 99; ++i) samples.push_back({0.010, 0.010 + 1e-6 * (i % 3 + 19)});
  samples.push_back({0.010, 1.0});
  const RolesCost cost = CostOf(samples);
  EXPECT_NEAR(cost.added_us_per_token, 20, 1e-6);
  EXPECT_LT(cost.added_us_per_token_error, 1);
  EXPECT_EQ(CostOf({{0.5, 0.25}}).added_us_per_token, -250000);
}

TEST(Bandwidth, IsThatOfMemory) {
  const std::unique_ptr<ThreadPool> pool = *ThreadPool::Create(2);
  const double bandwidth = *MeasureReadBandwidth(*pool, SteadyClock());
  EXPECT_GT(bandwidth, 1e8);   // slower than any memory of the last twenty years
  EXPECT_LT(bandwidth, 1e13);  // faster than any: the reads were optimised away
}

}  // namespace
}  // namespace mortar
