// Goal: merging takes pairs by rank and then from the left, as the plain definition does, and
// stays fast on one long piece.
#include "engine/text/merger.h"

#include <gtest/gtest.h>

#include <map>

#include "common/random.h"

namespace mortar {
namespace {

using Tokens = std::vector<int32_t>;

struct Rules {
  Merger merger;
  std::map<std::pair<int32_t, int32_t>, std::pair<uint32_t, int32_t>> plain;

  void Add(int32_t left, int32_t right, uint32_t rank, int32_t result) {
    if (merger.Add(left, right, rank, result)) plain[{left, right}] = {rank, result};
  }
  Tokens Fast(const Tokens& tokens) const {
    Merger::Scratch scratch;
    Tokens out;
    merger.Merge(tokens, &scratch, &out);
    return out;
  }
  // The definition: find the pair of lowest rank, leftmost, and join it; again until none is left.
  Tokens Slow(Tokens tokens) const {
    for (;;) {
      uint32_t best_rank = UINT32_MAX;
      size_t best = 0;
      int32_t result = 0;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        const auto rule = plain.find({tokens[i], tokens[i + 1]});
        if (rule == plain.end() || rule->second.first >= best_rank) continue;
        best_rank = rule->second.first;
        best = i;
        result = rule->second.second;
      }
      if (best_rank == UINT32_MAX) return tokens;
      tokens[best] = result;
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
  }
};

TEST(Merger, LowestRankGoesFirstThenTheLeftmost) {
  Rules rules;
  rules.Add(1, 1, 5, 2);  // aa -> A
  rules.Add(2, 1, 3, 3);  // Aa -> B
  EXPECT_EQ(rules.Fast({1, 1, 1}), (Tokens{3}));
  EXPECT_EQ(rules.Fast({1, 1, 1, 1}), (Tokens{3, 1}));
  EXPECT_EQ(rules.Fast({}), Tokens{});
  EXPECT_EQ(rules.Fast({9}), Tokens{9});
}

TEST(Merger, RefusesASecondRuleForAPair) {
  Merger merger;
  EXPECT_TRUE(merger.Add(1, 2, 0, 3));
  EXPECT_FALSE(merger.Add(1, 2, 1, 4));
  EXPECT_TRUE(merger.Add(2, 1, 1, 4));
}

TEST(Merger, EqualsTheDefinitionOnRandomRulesAndTexts) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    uint8_t bytes[200];
    random.Fill(bytes, 200);
    Rules rules;
    for (int i = 0; i < 20; ++i) {
      const int n = 4 + i;
      rules.Add(bytes[2 * i] % n, bytes[2 * i + 1] % n, static_cast<uint32_t>(i), n);
    }
    Tokens tokens;
    for (int i = 40; i < 200; ++i) tokens.push_back(bytes[i] % 4);
    ASSERT_EQ(rules.Fast(tokens), rules.Slow(tokens));
  }
}

// A quadratic algorithm would need 10^12 steps here, and the test's limit would end it.
TEST(Merger, AMillionEqualSymbolsMergeInTime) {
  Rules rules;
  for (int32_t i = 0; i < 12; ++i) rules.Add(i, i, static_cast<uint32_t>(i), i + 1);
  const Tokens out = rules.Fast(Tokens(1 << 20, 0));
  EXPECT_EQ(out, Tokens(1 << 8, 12));
}

}  // namespace
}  // namespace mortar
