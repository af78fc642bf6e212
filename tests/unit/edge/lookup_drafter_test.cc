// Goal: what a log repeats is guessed, from its longest and newest place, and nothing where it
// repeats nothing; a call reads no more than it may, and finds what a search of everything finds.
#include "edge/lookup_drafter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace mortar {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kPositions = 1 << 15;

std::vector<Token> LogOf(const std::string& letters) { return {letters.begin(), letters.end()}; }

std::vector<Token> GuessesOf(LookupDrafter& drafter, const std::vector<Token>& log, size_t n) {
  std::vector<Token> guesses(n);
  guesses.resize(static_cast<size_t>(drafter.Draft(log, guesses)));
  return guesses;
}

std::string GuessesAfter(const std::string& log, size_t n) {
  LookupDrafter drafter(kPositions);
  const std::vector<Token> guesses = GuessesOf(drafter, LogOf(log), n);
  return {guesses.begin(), guesses.end()};
}

TEST(LookupDrafter, ContinuesWhatStoodInTheLogBefore) {
  EXPECT_EQ(GuessesAfter("the quick brown fox and the q", 5), "uick ");
  EXPECT_EQ(GuessesAfter("the quick brown fox and the q", 1), "u");
}

TEST(LookupDrafter, GuessesNothingWhereTheTailIsNew) {
  for (const char* log : {"", "a", "ab", "abc", "abcdefgh", "ab-ab"}) {
    EXPECT_EQ(GuessesAfter(log, 4), "") << log;
  }
}

TEST(LookupDrafter, TakesTheLongestMatchAndTheNewestOfEquals) {
  EXPECT_EQ(GuessesAfter("xabc1 yabc2 xabc", 1), "1") << "four letters against three";
  EXPECT_EQ(GuessesAfter("-xabc1-xabc2+xabc", 1), "2");
}

TEST(LookupDrafter, WhatRepeatsGoesOnForAsLongAsIsAsked) {
  EXPECT_EQ(GuessesAfter("abcabc", 8), "abcabcab");
  EXPECT_EQ(GuessesAfter("aaaa", 15), std::string(15, 'a'));
}

TEST(LookupDrafter, ALogThatGrowsTokenByTokenIsTheLogAtOnce) {
  const std::string text = "one two three, one two four, one two three, one two f";
  LookupDrafter drafter(kPositions);
  for (size_t n = 1; n <= text.size(); ++n) {
    const std::string log = text.substr(0, n);
    const std::vector<Token> guesses = GuessesOf(drafter, LogOf(log), 6);
    EXPECT_EQ(std::string(guesses.begin(), guesses.end()), GuessesAfter(log, 6)) << log;
  }
}

TEST(LookupDrafter, ALongLogIsReadInPiecesWithOrWithoutGuesses) {
  std::vector<Token> log(2 * LookupDrafter::kReadPerCall + 100);
  for (size_t i = 0; i < log.size(); ++i) log[i] = static_cast<Token>(i);
  const size_t at = log.size() - 50;  // read by the third call alone
  log.insert(log.end(), log.begin() + static_cast<ptrdiff_t>(at),
             log.begin() + static_cast<ptrdiff_t>(at) + 5);
  LookupDrafter drafter(kPositions);
  EXPECT_THAT(GuessesOf(drafter, log, 2), IsEmpty());
  EXPECT_THAT(GuessesOf(drafter, log, 0), IsEmpty());
  EXPECT_THAT(GuessesOf(drafter, log, 2),
              ElementsAre(static_cast<Token>(at + 5), static_cast<Token>(at + 6)));
}

TEST(LookupDrafter, ALogMayFillAllPositions) {
  LookupDrafter drafter(8);
  EXPECT_THAT(GuessesOf(drafter, LogOf("abcdabcd"), 2), ElementsAre('a', 'b'));
  LookupDrafter least(1);
  EXPECT_THAT(GuessesOf(least, LogOf("a"), 2), IsEmpty());
}

// Every place that a drafter may look at, without chains: the longest match, the newest of equals.
std::vector<Token> SearchEverywhere(const std::vector<Token>& log, size_t n) {
  size_t best = 0;
  int longest = LookupDrafter::kMatchMin - 1;
  for (size_t place = log.size() - 1; place-- > 0;) {
    int match = 0;
    while (match < LookupDrafter::kMatchMax && static_cast<size_t>(match) <= place &&
           log[log.size() - 1 - static_cast<size_t>(match)] ==
               log[place - static_cast<size_t>(match)]) {
      ++match;
    }
    if (match > longest) {
      longest = match;
      best = place;
    }
  }
  std::vector<Token> guesses;
  if (longest < LookupDrafter::kMatchMin) return guesses;
  std::vector<Token> known = log;
  for (size_t i = 0; i < n; ++i) {
    guesses.push_back(known[best + 1 + i]);
    known.push_back(guesses.back());
  }
  return guesses;
}

TEST(LookupDrafter, FindsWhatASearchOfEverythingFinds) {
  // So many different tokens that no chain is longer than what is looked at.
  std::mt19937 random(5);
  std::vector<Token> log;
  LookupDrafter drafter(4096);
  int found = 0;
  while (log.size() < 1500) {
    const bool copy = log.size() > 40 && random() % 3 == 0;
    const size_t from = copy ? random() % (log.size() - 20) : 0;
    const size_t n = 1 + random() % 20;
    for (size_t i = 0; i < n; ++i) {
      log.push_back(copy ? log[from + i] : static_cast<Token>(random() % 500));
      const std::vector<Token> guesses = GuessesOf(drafter, log, 6);
      EXPECT_EQ(guesses, SearchEverywhere(log, 6)) << log.size();
      found += guesses.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(found, 200);
}

}  // namespace
}  // namespace mortar
