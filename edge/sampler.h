// From logits to a token: greedy, or one draw from a distribution cut by penalties, top-k,
// top-p, min-p and temperature, in that order (the order and the defaults of llama.cpp).
//
// The same logits, history, seed and place give the same token on every machine: sums have a fixed
// order (docs/numerics.md, rule 10), exp is the engine's own, ties go to the lowest id, and the
// random number is a function of (seed, choice, output index), not of the draws before it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/status.h"
#include "engine/text/tokenizer.h"

namespace mortar {

struct SamplerOptions {
  float temperature = 0.8f;  // 0 or less: greedy
  int top_k = 40;            // 0 or less: all tokens
  float top_p = 0.95f;       // 1: off; 0: the likeliest alone
  float min_p = 0.05f;       // 0: off
  float repeat_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  int repeat_last_n = 64;  // tokens that the penalties look back on; -1: all
  uint64_t seed = 0;
  uint32_t choice = 0;  // which of several answers to one request
};

// InvalidArgument names the value that is not finite or out of its range.
absl::Status CheckSamplerOptions(const SamplerOptions& options);

// What stands for a token where the logits name none.
inline constexpr Token kNoToken = -1;

// Used by one thread at a time. Allocates nothing after the first draw over a vocabulary.
class Sampler {
 public:
  Sampler() = default;
  explicit Sampler(const SamplerOptions& options) : options_(options) {}

  const SamplerOptions& options() const { return options_; }

  // `logits` [n_vocab], finite, are changed by the penalties. `history` is the token log so far,
  // prompt included; ids outside the vocabulary are ignored. `output_index` counts sampled tokens.
  // `then` follows the history: tokens that were drawn and are not logged yet.
  Token Sample(std::span<float> logits, std::span<const Token> history, uint64_t output_index,
               std::span<const Token> then = {});

 private:
  struct Candidate {
    float logit;
    Token id;
  };

  void Penalise(std::span<float> logits, std::span<const Token> history,
                std::span<const Token> then);
  void KeepTopK(std::span<const float> logits);  // fills candidates_, best first
  void Weigh(float temperature);  // weights_[i] = exp((logit_i - best) / temperature)
  void KeepTopP();
  void KeepMinP();

  SamplerOptions options_;
  std::vector<Candidate> candidates_;
  std::vector<float> weights_;
  std::vector<Token> recent_;  // history looked at, sorted
};

}  // namespace mortar
