// Prompt lookup: what followed the last tokens of the log when they stood in it before. No model:
// it copies where an answer copies, from its prompt or from itself.
//
// Every place of the log is chained to the one before it whose last kMatchMin tokens hash alike, as
// deflate finds its matches (RFC 1951, section 4). The newest kCandidatesMax places of the tail's
// chain are compared with it token by token, and the one with the longest match is continued, the
// newest of equals. The continuation may run into its own beginning: what repeats goes on.
#pragma once

#include <cstdint>
#include <vector>

#include "edge/drafter.h"

namespace mortar {

class LookupDrafter final : public Drafter {
 public:
  // Tokens that must match; one more or fewer costs guesses or truth (docs/decisions).
  static constexpr int kMatchMin = 3;
  // Tokens compared: longer ones are as good.
  static constexpr int kMatchMax = 16;
  // Places compared, so that a call takes microseconds in any log.
  static constexpr int kCandidatesMax = 32;
  // Tokens that one call reads on: some 0.1 ms. A prompt is read while its chunks are computed.
  static constexpr int kReadPerCall = 4096;

  // Takes 8 to 12 bytes a position, here and never again.
  explicit LookupDrafter(int positions_max);

  // As many guesses as `guesses` holds, or none. Needs: a log of at most positions_max tokens.
  int Draft(std::span<const Token> log, std::span<Token> guesses) override;

 private:
  // The chain of the tokens that end at `place`.
  uint32_t& ChainOf(std::span<const Token> log, size_t place);
  void ReadOn(std::span<const Token> log);

  static constexpr uint32_t kNowhere = UINT32_MAX;
  int chain_bits_ = 0;
  std::vector<uint32_t> newest_;  // [2^chain_bits] newest place of each chain
  std::vector<uint32_t> before_;  // [positions_max] the place before, in its chain
  size_t read_ = kMatchMin - 1;   // places chained so far: [kMatchMin - 1, read_)
};

}  // namespace mortar
