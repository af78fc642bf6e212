// Guesses at what follows a token log, so that one step can give several tokens.
//
// A step carries the newest token and behind it the guesses. The sampler then draws position by
// position as if there were none, and a guess is kept exactly when it is the token drawn. So the
// tokens are those of an edge that never guesses, whatever a drafter says, greedy or sampled:
// a drafter decides how fast an answer comes, and nothing else.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>

#include "common/check.h"
#include "engine/text/tokenizer.h"
#include "protocol/limits.h"

namespace mortar {

// Guesses of one step. With the newest token they are a frame that counts as decode at every node.
inline constexpr int kDraftMax = kDecodeRowsMax - 1;

// Tokens of one step, in place, so that a step allocates nothing.
struct StepTokens {
  std::array<Token, kDecodeRowsMax> at{};
  int n = 0;

  void Push(Token token) {
    CHECK(n < kDecodeRowsMax);
    at[static_cast<size_t>(n++)] = token;
  }
  std::span<const Token> view() const { return std::span(at).first(static_cast<size_t>(n)); }
};

// Guesses for one session. Used by the thread of the edge's loop, which waits for it: a call may
// take a fraction of a millisecond. One that computes for longer (a model) needs a job of its own.
class Drafter {
 public:
  virtual ~Drafter() = default;

  // Writes what may follow `log` to the front of `guesses`, the next token first, and returns how
  // many: tokens of the vocabulary, none where it has no idea. `log` is the prompt and the answer
  // so far; from call to call it grows at its end and changes nowhere else. `guesses` may be
  // empty, and then the call is the time to read on in the log.
  virtual int Draft(std::span<const Token> log, std::span<Token> guesses) = 0;
};

// How an edge's sessions guess.
struct Drafting {
  // Makes the drafter of a session that has at most so many positions; empty: nobody guesses.
  std::function<std::unique_ptr<Drafter>(int positions_max)> make{};
  int max = 0;  // guesses of one step, at most kDraftMax

  // Positions of a step that gives tokens, at most.
  int step_rows() const { return make ? 1 + max : 1; }
};

}  // namespace mortar
