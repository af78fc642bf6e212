// What perplexity and compare share: a text cut into windows, and models that predict it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/prompt.h"
#include "common/status.h"
#include "engine/batch/engine.h"
#include "engine/batch/teacher.h"
#include "engine/text/tokenizer.h"

namespace mortar {

// Windows of `size` tokens each, one after the other; what is left over at the end is not scored.
struct TextWindows {
  std::vector<Token> tokens;  // [count * size]
  int size = 0;
  int count = 0;

  std::span<const Token> Window(int i) const {
    return std::span(tokens).subspan(static_cast<size_t>(i) * static_cast<size_t>(size),
                                     static_cast<size_t>(size));
  }
};

// As llama-perplexity cuts: special tokens in the text are plain text, and where the model
// begins a text with a token of its own, every window does. InvalidArgument when the text fills
// no window.
absl::StatusOr<TextWindows> CutWindows(const Tokenizer& tokenizer, const PromptText& text, int size,
                                       std::optional<int64_t> count_max);

// A model with the whole of it in one engine.
struct ScoringModel {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Teacher> teacher;
};
struct ScoringOptions {
  KvType kv_type = KvType::kF16;
  int window = 512;
  int ubatch_size = 512;
};
// `kernels` and `pool` outlive the model.
absl::StatusOr<ScoringModel> LoadScoringModel(const GgufFile& file, const ScoringOptions& options,
                                              const KernelTable& kernels, ThreadPool& pool);

// How two predictions of one token differ. In nats.
struct LogitDifference {
  double kl = 0;     // sum of p ln(p / q)
  double nll_a = 0;  // -ln p and -ln q of the token that follows
  double nll_b = 0;
  bool same_top = false;  // the likeliest token is the same
  double largest = 0;     // of |a - b| over all logits
};
// p and q are the distributions of logits a and b, of equal size, which holds `next`.
LogitDifference CompareLogits(std::span<const float> a, std::span<const float> b, Token next);

}  // namespace mortar
