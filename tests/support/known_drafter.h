// Drafters for tests: they know the answers, and guess right or wrong as they are told.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "edge/drafter.h"

namespace mortar {

class KnownDrafter final : public Drafter {
 public:
  // `logs`: prompt and undisturbed answer of every request. `holds` says of a position whether the
  // guess there is to be the right token, or another one of the vocabulary.
  KnownDrafter(std::vector<std::vector<Token>> logs, std::function<bool(size_t)> holds, int n_vocab)
      : logs_(std::move(logs)), holds_(std::move(holds)), n_vocab_(n_vocab) {}

  int Draft(std::span<const Token> log, std::span<Token> guesses) override {
    for (const std::vector<Token>& known : logs_) {
      if (known.size() < log.size() || !std::equal(log.begin(), log.end(), known.begin())) continue;
      const size_t n = std::min(guesses.size(), known.size() - log.size());
      for (size_t i = 0; i < n; ++i) {
        const size_t position = log.size() + i;
        guesses[i] = holds_(position) ? known[position] : (known[position] + 1) % n_vocab_;
      }
      return static_cast<int>(n);
    }
    return 0;
  }

 private:
  const std::vector<std::vector<Token>> logs_;
  const std::function<bool(size_t)> holds_;
  const int n_vocab_;
};

inline Drafting KnownDrafts(int max, std::vector<std::vector<Token>> logs,
                            std::function<bool(size_t)> holds, int n_vocab) {
  return {.make = [logs = std::move(logs), holds = std::move(holds),
                   n_vocab](int) { return std::make_unique<KnownDrafter>(logs, holds, n_vocab); },
          .max = max};
}

}  // namespace mortar
