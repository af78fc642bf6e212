// Goal: each cut of the distribution does what its name says, ties go to the lowest id, and a
// draw depends on seed and place alone.
#include "edge/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "common/random.h"

namespace mortar {
namespace {

using testing::HasSubstr;

// Everything off but temperature 1: the plain softmax.
SamplerOptions Plain() {
  SamplerOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  return o;
}

Token Draw(const SamplerOptions& options, std::vector<float> logits,
           const std::vector<Token>& history = {}, uint64_t index = 0) {
  return Sampler(options).Sample(logits, history, index);
}

// How often each token comes in 4,000 draws.
std::map<Token, int> Counts(const SamplerOptions& options, const std::vector<float>& logits) {
  std::map<Token, int> counts;
  Sampler sampler(options);
  for (uint64_t i = 0; i < 4000; ++i) {
    std::vector<float> copy = logits;
    ++counts[sampler.Sample(copy, {}, i)];
  }
  return counts;
}

TEST(Sampler, TheDefaultsAreLlamaCpps) {
  const SamplerOptions o;
  EXPECT_EQ(o.temperature, 0.8f);
  EXPECT_EQ(o.top_k, 40);
  EXPECT_EQ(o.top_p, 0.95f);
  EXPECT_EQ(o.min_p, 0.05f);
  EXPECT_EQ(o.repeat_penalty, 1.0f);
  EXPECT_EQ(o.repeat_last_n, 64);
}

TEST(Sampler, GreedyTakesTheBestAndTheLowestIdOfEquals) {
  SamplerOptions o;
  o.temperature = 0;
  EXPECT_EQ(Draw(o, {1, 5, 3}), 1);
  EXPECT_EQ(Draw(o, {1, 5, 5, 5}), 1);
  EXPECT_EQ(Draw(o, {-INFINITY, -INFINITY}), 0);
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  const std::map<Token, int> counts =
      Counts(Plain(), {std::log(1.0f), std::log(2.0f), std::log(5.0f)});
  // Binomial with n = 4,000: five standard deviations are at most 158.
  EXPECT_NEAR(counts.at(0), 500, 158);
  EXPECT_NEAR(counts.at(1), 1000, 158);
  EXPECT_NEAR(counts.at(2), 2500, 158);
}

TEST(Sampler, TheSameSeedAndPlaceGiveTheSameTokenWhateverWasDrawnBefore) {
  SamplerOptions o = Plain();
  o.seed = 42;
  std::vector<float> logits(100, 0.0f);
  Sampler warm(o);
  for (uint64_t i = 0; i < 50; ++i) {
    std::vector<float> copy = logits;
    EXPECT_EQ(warm.Sample(copy, {}, i), Draw(o, logits, {}, i)) << "seed 42, index " << i;
  }
  std::set<Token> other_seeds;
  for (o.seed = 0; o.seed < 20; ++o.seed) other_seeds.insert(Draw(o, logits));
  EXPECT_GT(other_seeds.size(), 5u);
  std::set<Token> other_choices;
  for (o.choice = 0; o.choice < 20; ++o.choice) other_choices.insert(Draw(o, logits));
  EXPECT_GT(other_choices.size(), 5u);
}

TEST(Sampler, TheLastTokenOfALongTailIsNoMoreLikelyThanItsWeight) {
  // Zipf's law over a whole vocabulary: the last token should come once in two million draws.
  std::vector<float> logits(49152);
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = -1.2f * std::log(static_cast<float>(i) + 1);
  }
  Sampler sampler(Plain());
  int draws = 0;
  int last = 0;
  for (uint64_t i = 0; i < 1 << 19; ++i) {
    if (UniformDraw(0, 0, i, 0) < 0.9999f) continue;  // only these can come to the end of the tail
    std::vector<float> copy = logits;
    ++draws;
    if (sampler.Sample(copy, {}, i) == static_cast<Token>(logits.size()) - 1) ++last;
  }
  EXPECT_GT(draws, 30);
  // Half a time is expected; a total of another order of summing gave dozens.
  EXPECT_LE(last, 3) << "of " << draws << " draws above 0.9999, seed 0";
}

TEST(Sampler, AUniformDistributionIsCutAtTheUniformDraw) {
  // Sixteen equal weights sum exactly, so the token is floor(16 u).
  SamplerOptions o = Plain();
  o.seed = 7;
  for (uint64_t i = 0; i < 100; ++i) {
    const float u = UniformDraw(7, 0, i, 0);
    EXPECT_EQ(Draw(o, std::vector<float>(16, 3.0f), {}, i), static_cast<Token>(u * 16));
  }
}

TEST(Sampler, TopKKeepsTheBestKAndTheLowestIdsOfEquals) {
  SamplerOptions o = Plain();
  o.top_k = 2;
  std::set<Token> seen;
  for (const auto& [token, count] : Counts(o, {1, 1, 1, 2, 1})) seen.insert(token);
  EXPECT_EQ(seen, (std::set<Token>{0, 3}));
  o.top_k = 1;
  EXPECT_EQ(Draw(o, {0, 9, 9}), 1);
  o.top_k = 1000;  // more than there are
  EXPECT_EQ(Counts(o, {0, 0, 0}).size(), 3u);
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  SamplerOptions o = Plain();
  o.top_p = 0.7f;
  const std::map<Token, int> counts =
      Counts(o, {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)});
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_NEAR(counts.at(0), 2500, 158);
  o.top_p = 0.01f;
  EXPECT_EQ(Counts(o, {0, 1, 0}).size(), 1u) << "one always stays";
  o.top_p = 0;
  EXPECT_TRUE(CheckSamplerOptions(o).ok());
  EXPECT_EQ(Counts(o, {0, 1, 0}).size(), 1u);
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  SamplerOptions o = Plain();
  o.min_p = 0.25f;
  const std::map<Token, int> counts = Counts(o, {std::log(8.0f), std::log(2.5f), std::log(1.5f)});
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.count(2), 0u);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  SamplerOptions o = Plain();
  o.temperature = 0.1f;
  EXPECT_GT(Counts(o, {0, 1})[1], 3990);
  o.temperature = 100;
  EXPECT_NEAR(Counts(o, {0, 1})[1], 2010, 158);
}

TEST(Sampler, PenaltiesLookBackOnlySoFar) {
  SamplerOptions o;
  o.temperature = 0;
  o.repeat_penalty = 2;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0}), 1);
  EXPECT_EQ(Draw(o, {-1, -1.5, -9}, {0}), 1) << "negative logits go further down";
  o.repeat_last_n = 2;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0, 2, 2}), 0);
  o.repeat_last_n = -1;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0, 2, 2}), 1);
  o.repeat_last_n = 0;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0}), 0);
}

TEST(Sampler, WhatWasDrawnAndIsNotLoggedYetIsHistoryToo) {
  const std::vector<Token> log = {5, 1, 4, 1, 2, 3, 0, 2};
  SamplerOptions o;
  o.repeat_penalty = 1.5f;
  o.frequency_penalty = 0.3f;
  for (const int last_n : {-1, 0, 1, 2, 3, 5, 64}) {
    o.repeat_last_n = last_n;
    for (size_t logged = 0; logged <= log.size(); ++logged) {
      std::vector<float> logits = {3, 3.1f, 3.2f, 3.3f, 3.4f, 3.5f};
      std::vector<float> same = logits;
      const std::span<const Token> all = log;
      const Token token = Sampler(o).Sample(logits, all.first(logged), 4, all.subspan(logged));
      EXPECT_EQ(token, Sampler(o).Sample(same, all, 4)) << last_n << ", " << logged;
      EXPECT_EQ(logits, same) << last_n << ", " << logged;
    }
  }
}

TEST(Sampler, PresenceCountsOnceAndFrequencyEachTime) {
  SamplerOptions o;
  o.temperature = 0;
  o.presence_penalty = 0.5f;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0, 0, 0, 0}), 0);
  o.presence_penalty = 0;
  o.frequency_penalty = 0.5f;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0}), 0);
  EXPECT_EQ(Draw(o, {4, 3, 1}, {0, 0, 0}), 1);
}

TEST(Sampler, IgnoresHistoryOutsideTheVocabulary) {
  SamplerOptions o;
  o.temperature = 0;
  o.repeat_penalty = 2;
  EXPECT_EQ(Draw(o, {4, 3, 1}, {-1, 3, 1 << 30}), 0);
}

TEST(CheckSamplerOptions, NamesWhatIsOutOfRange) {
  const auto refusal = [](auto change) {
    SamplerOptions o;
    change(o);
    return Message(CheckSamplerOptions(o));
  };
  EXPECT_TRUE(CheckSamplerOptions(SamplerOptions{}).ok());
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.temperature = NAN; }), HasSubstr("temperature"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.top_p = -0.1f; }), HasSubstr("top_p"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.top_p = 1.5f; }), HasSubstr("top_p"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.min_p = -1; }), HasSubstr("min_p"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.repeat_penalty = 0; }), HasSubstr("repeat"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.presence_penalty = INFINITY; }),
              HasSubstr("presence"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.frequency_penalty = NAN; }),
              HasSubstr("frequency"));
  EXPECT_THAT(refusal([](SamplerOptions& o) { o.repeat_last_n = -2; }), HasSubstr("last_n"));
}

}  // namespace
}  // namespace mortar
