#include "cli/scoring.h"

#include <algorithm>
#include <cmath>

#include "cli/console.h"
#include "common/check.h"

namespace mortar {
namespace {

// Rows of logits that are kept at once: 12 MiB for a vocabulary of 49,152.
constexpr int kLogitRows = 64;

}  // namespace

absl::StatusOr<TextWindows> CutWindows(const Tokenizer& tokenizer, const PromptText& text, int size,
                                       std::optional<int64_t> count_max) {
  TextWindows windows;
  windows.size = size;
  ASSIGN_OR_RETURN(windows.tokens, tokenizer.Encode({{text.text, /*trusted=*/false}}));
  if (tokenizer.adds_bos()) windows.tokens.insert(windows.tokens.begin(), tokenizer.bos());
  const auto whole = static_cast<int64_t>(windows.tokens.size()) / size;
  if (whole == 0) {
    return InvalidArgument(text.name + ": " + std::to_string(windows.tokens.size()) +
                           " tokens do not fill a window of " + std::to_string(size) +
                           "; give a longer text or a smaller -c");
  }
  windows.count = static_cast<int>(std::min(whole, count_max.value_or(whole)));
  windows.tokens.resize(static_cast<size_t>(windows.count) * static_cast<size_t>(size));
  for (int i = 0; i < windows.count && tokenizer.adds_bos(); ++i) {
    windows.tokens[static_cast<size_t>(i) * static_cast<size_t>(size)] = tokenizer.bos();
  }
  return windows;
}

absl::StatusOr<ScoringModel> LoadScoringModel(const GgufFile& file, const ScoringOptions& options,
                                              const KernelTable& kernels, ThreadPool& pool) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(file));
  EngineOptions engine_options;
  engine_options.kv_type = options.kv_type;
  engine_options.context_max = options.window;
  engine_options.kv_positions_max = options.window;
  engine_options.rows_max = options.ubatch_size;
  engine_options.logit_rows_max = std::min(kLogitRows, options.ubatch_size);
  ScoringModel model;
  const PartSpec whole = {true, {0, config.n_layers}, true};
  ASSIGN_OR_RETURN(model.engine, Engine::Load(file, {whole}, engine_options, kernels, pool));
  ASSIGN_OR_RETURN(model.teacher, Teacher::Create(*model.engine, 0));
  model.teacher->StopWhen([] { return InterruptSignal() != 0; });
  return model;
}

LogitDifference CompareLogits(std::span<const float> a, std::span<const float> b, Token next) {
  CHECK(a.size() == b.size() && next >= 0 && static_cast<size_t>(next) < a.size());
  const double norm_a = LogSumExp(a);
  const double norm_b = LogSumExp(b);
  LogitDifference difference;
  difference.nll_a = norm_a - static_cast<double>(a[static_cast<size_t>(next)]);
  difference.nll_b = norm_b - static_cast<double>(b[static_cast<size_t>(next)]);
  for (size_t i = 0; i < a.size(); ++i) {
    const double log_p = static_cast<double>(a[i]) - norm_a;
    const double log_q = static_cast<double>(b[i]) - norm_b;
    difference.kl += std::exp(log_p) * (log_p - log_q);
    difference.largest = std::max(difference.largest,
                                  std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  difference.same_top = Argmax(a) == Argmax(b);
  return difference;
}

}  // namespace mortar
