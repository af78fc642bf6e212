// Goal: Mortar predicts a stored text as well as plain f32 arithmetic on the same weights, but
// for what rounded activations cost.
//
// llama-perplexity's definition: contexts of 512 tokens, the second half of each scored. Both
// sides score the same tokens, so that the difference is taken token by token; its mean has a
// much smaller error than either perplexity. In nats per token:
//   mean difference <= ln(1.004) + 2 standard errors.
// 0.4 % is what the contract's rounded activations may cost; the standard errors keep a text that
// is only so long from deciding by chance.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "tests/golden/golden_data.h"
#include "tests/golden/golden_model.h"

namespace mortar {
namespace {

constexpr double kPerplexityRatio = 1.004;
constexpr size_t kContextsOfPart = 2;

double Perplexity(std::span<const double> nll) {
  const double n = static_cast<double>(nll.size());
  return std::exp(std::accumulate(nll.begin(), nll.end(), 0.0) / n);
}

void PrintLlamaCpp() {
  for (const char* setting : kSettings) {
    const auto number = [&](const char* key) {
      const absl::StatusOr<double> value =
          ReadNumber("llama_cpp.json", {"settings", setting, "perplexity", key});
      EXPECT_TRUE(value.ok()) << Message(value.status());
      return value.ok() ? *value : std::nan("");
    };
    const bool llama_cpp = std::string(setting) != kSettings[2];
    std::printf("  %s%s: %.4f, difference %+.5f +- %.5f nats a token\n",
                llama_cpp ? "llama.cpp " : "", setting, number("ppl"),
                number("mean_difference_nats"), number("standard_error_nats"));
  }
}

TEST(Perplexity, IsWithinFourPerMilleOfTheReference) {
  const absl::StatusOr<TokenLists> contexts = ReadTokenLists("perplexity");
  ASSERT_TRUE(contexts.ok()) << Message(contexts.status());
  const absl::StatusOr<std::vector<float>> stored = ReadFloats("perplexity.nll");
  ASSERT_TRUE(stored.ok()) << Message(stored.status());
  absl::StatusOr<std::unique_ptr<GoldenModel>> model = GoldenModel::Load(IsaOfEnvironment());
  ASSERT_TRUE(model.ok()) << Message(model.status());
  const size_t n_contexts = WholeData() ? contexts->size() : kContextsOfPart;
  std::vector<double> ours;
  for (size_t i = 0; i < n_contexts; ++i) {
    const absl::Status status = ScoreContext((*model)->teacher(), (*contexts)[i], ours);
    ASSERT_TRUE(status.ok()) << Message(status);
  }
  ASSERT_EQ(stored->size() / contexts->size(), ours.size() / n_contexts);
  const std::vector<double> reference(stored->begin(),
                                      stored->begin() + static_cast<std::ptrdiff_t>(ours.size()));
  std::vector<double> differences(ours.size());
  std::transform(ours.begin(), ours.end(), reference.begin(), differences.begin(), std::minus<>());
  const MeanAndError paired = MeanWithError(differences);
  std::printf("perplexity over %zu contexts, %zu tokens scored, %s kernels\n", n_contexts,
              ours.size(), (*model)->kernels());
  std::printf("  f32 reference: %.4f\n", Perplexity(reference));
  std::printf("  Mortar: %.4f, difference %+.5f +- %.5f nats a token\n", Perplexity(ours),
              paired.mean, paired.standard_error);
  PrintLlamaCpp();
  EXPECT_LE(paired.mean, std::log(kPerplexityRatio) + 2 * paired.standard_error);
  // Better than exact arithmetic by as much would be a sign of comparing the wrong things.
  EXPECT_GE(paired.mean, -std::log(kPerplexityRatio) - 2 * paired.standard_error);
}

}  // namespace
}  // namespace mortar
