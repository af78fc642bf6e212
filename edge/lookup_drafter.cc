#include "edge/lookup_drafter.h"

#include <algorithm>
#include <bit>

namespace mortar {
namespace {

// Tokens that match, of those that end at `place` and those at the end of the log; kMatchMax is
// enough. Needs: place before the last.
int MatchAt(std::span<const Token> log, size_t place) {
  const int most = std::min<int>(LookupDrafter::kMatchMax, static_cast<int>(place) + 1);
  const Token* ours = log.data() + log.size() - 1;
  const Token* theirs = log.data() + place;
  int n = 0;
  while (n < most && ours[-n] == theirs[-n]) ++n;
  return n;
}

}  // namespace

LookupDrafter::LookupDrafter(int positions_max) {
  CHECK(positions_max >= 1);
  const auto positions = static_cast<uint32_t>(positions_max);
  chain_bits_ = std::max(1, static_cast<int>(std::bit_width(positions - 1)));
  newest_.assign(size_t{1} << chain_bits_, kNowhere);
  before_.assign(positions, kNowhere);
}

uint32_t& LookupDrafter::ChainOf(std::span<const Token> log, size_t place) {
  uint32_t hash = 0;
  for (size_t i = 0; i < kMatchMin; ++i) {
    hash = (hash + static_cast<uint32_t>(log[place - i])) * 0x9E3779B1u;  // 2^32 / golden ratio
    hash ^= hash >> 15;
  }
  return newest_[(hash * 0x9E3779B1u) >> (32 - chain_bits_)];
}

void LookupDrafter::ReadOn(std::span<const Token> log) {
  // The last place stays out: the tail is no match for itself.
  const size_t end = std::min(log.size() - 1, read_ + kReadPerCall);
  for (; read_ < end; ++read_) {
    uint32_t& newest = ChainOf(log, read_);
    before_[read_] = newest;
    newest = static_cast<uint32_t>(read_);
  }
}

int LookupDrafter::Draft(std::span<const Token> log, std::span<Token> guesses) {
  CHECK(log.size() <= before_.size());
  if (log.size() <= kMatchMin) return 0;
  ReadOn(log);
  if (guesses.empty()) return 0;
  size_t best = 0;
  int longest = kMatchMin - 1;
  uint32_t place = ChainOf(log, log.size() - 1);
  for (int i = 0; i < kCandidatesMax && place != kNowhere; ++i) {
    const int match = MatchAt(log, place);
    if (match > longest) {
      longest = match;
      best = place;
    }
    if (longest == kMatchMax) break;
    place = before_[place];
  }
  if (longest < kMatchMin) return 0;
  for (size_t i = 0; i < guesses.size(); ++i) {
    const size_t from = best + 1 + i;
    guesses[i] = from < log.size() ? log[from] : guesses[from - log.size()];
  }
  return static_cast<int>(guesses.size());
}

}  // namespace mortar
