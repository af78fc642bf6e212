// compare: how far two models, or two settings of one model, differ over a text.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "cli/prompt.h"
#include "cli/scoring.h"

namespace mortar {
namespace {

// Logits of side A that wait for side B: those of the second half of a window.
constexpr uint64_t kLogitBytesMax = uint64_t{1} << 30;

struct Sides {
  std::shared_ptr<GgufFile> file_a;
  std::shared_ptr<GgufFile> file_b;
  Compute compute;
  ScoringModel a;
  ScoringModel b;
};

absl::StatusOr<Sides> LoadSides(const CommandContext& context) {
  const Settings& settings = context.settings;
  const auto against_kv = settings.OptionalString("against-kv");
  const auto against_isa = settings.OptionalString("against-isa");
  const auto against = settings.OptionalString("against");
  if (!against && !against_kv && !against_isa) {
    return UsageError("both sides are the same; give --against, --against-kv or --against-isa");
  }
  Sides sides;
  ASSIGN_OR_RETURN(sides.file_a, OpenModel(settings, context.environment));
  sides.file_b = sides.file_a;
  if (against) {
    ASSIGN_OR_RETURN(sides.file_b, OpenModelAt(*against, "none"));
  }
  ASSIGN_OR_RETURN(const ModelConfig config_a, ReadDecoderConfig(*sides.file_a));
  ASSIGN_OR_RETURN(const ModelConfig config_b, ReadDecoderConfig(*sides.file_b));
  if (config_a.n_vocab != config_b.n_vocab) {
    return InvalidArgument("the models have vocabularies of " + std::to_string(config_a.n_vocab) +
                           " and " + std::to_string(config_b.n_vocab) +
                           " tokens; only models with the same one compare");
  }
  ScoringOptions options;
  ASSIGN_OR_RETURN(options.window,
                   ContextSize(settings, std::min(config_a.n_ctx_train, config_b.n_ctx_train)));
  options.ubatch_size = static_cast<int>(settings.Int("ubatch-size"));
  options.kv_type = KvTypeOf(settings.String("kv"));
  const uint64_t held = static_cast<uint64_t>(options.window) *
                        static_cast<uint64_t>(config_a.n_vocab) * sizeof(float) / 2;
  if (held > kLogitBytesMax) {
    return ResourceExhausted("logits of half a window of " + std::to_string(options.window) +
                             " would take " + std::to_string(held >> 20) +
                             " MiB; give a smaller -c");
  }
  ASSIGN_OR_RETURN(sides.compute, MakeCompute(settings));
  const KernelTable* kernels_b = sides.compute.kernels;
  if (against_isa) {
    ASSIGN_OR_RETURN(kernels_b, KernelsOf(*against_isa));
  }
  ASSIGN_OR_RETURN(sides.a, LoadScoringModel(*sides.file_a, options, *sides.compute.kernels,
                                             *sides.compute.pool));
  if (against_kv) options.kv_type = KvTypeOf(*against_kv);
  ASSIGN_OR_RETURN(sides.b,
                   LoadScoringModel(*sides.file_b, options, *kernels_b, *sides.compute.pool));
  return sides;
}

// What is kept of each position.
struct Scores {
  std::vector<double> kl;
  std::vector<double> nll_a;
  std::vector<double> nll_b;
};

// Adds the differences of one window's second half, where `perplexity` scores it too: the last
// token has none to predict and is not fed.
absl::Status CompareWindow(Sides& sides, std::span<const Token> window, std::vector<float>& held,
                           Scores& scores, CompareReport& report) {
  const int first = static_cast<int>(window.size()) / 2;
  const std::span<const Token> fed = window.first(window.size() - 1);
  held.clear();
  RETURN_IF_ERROR(sides.a.teacher->Run(fed, first, [&](int, std::span<const float> logits) {
    held.insert(held.end(), logits.begin(), logits.end());
  }));
  return sides.b.teacher->Run(fed, first, [&](int position, std::span<const float> logits) {
    const size_t row = static_cast<size_t>(position - first) * logits.size();
    const LogitDifference difference =
        CompareLogits(std::span(held).subspan(row, logits.size()), logits,
                      window[static_cast<size_t>(position) + 1]);
    scores.kl.push_back(difference.kl);
    scores.nll_a.push_back(difference.nll_a);
    scores.nll_b.push_back(difference.nll_b);
    report.kl_max = std::max(report.kl_max, difference.kl);
    report.logit_difference_max = std::max(report.logit_difference_max, difference.largest);
    if (difference.same_top) ++report.same_top;
  });
}

void Summarise(const Scores& scores, CompareReport& report) {
  const MeanAndError kl = MeanWithError(scores.kl);
  report.positions = scores.kl.size();
  report.kl_mean = kl.mean;
  report.kl_error = kl.standard_error;
  report.ppl = std::exp(MeanWithError(scores.nll_a).mean);
  report.against_ppl = std::exp(MeanWithError(scores.nll_b).mean);
  std::vector<double> paired(scores.nll_a.size());
  std::transform(scores.nll_b.begin(), scores.nll_b.end(), scores.nll_a.begin(), paired.begin(),
                 std::minus<>());
  const MeanAndError difference = MeanWithError(paired);
  report.nll_difference = difference.mean;
  report.nll_difference_error = difference.standard_error;
}

std::string Text(const CompareReport& report) {
  char text[512];
  std::snprintf(text, sizeof text,
                "positions %zu\n"
                "KL divergence %.6g ± %.2g nats a token, largest %.6g\n"
                "perplexity %.4f, against %.4f: %+.6g ± %.2g nats a token\n"
                "same likeliest token %.2f %% (%zu differ)\n"
                "largest logit difference %.6g\n",
                report.positions, report.kl_mean, report.kl_error, report.kl_max, report.ppl,
                report.against_ppl, report.nll_difference, report.nll_difference_error,
                100 * report.top1_agreement(), report.positions - report.same_top,
                report.logit_difference_max);
  return text;
}

}  // namespace

absl::Status CompareCommand(const CommandContext& context) {
  ASSIGN_OR_RETURN(const PromptText text, ReadPrompt(context.settings));
  ASSIGN_OR_RETURN(Sides sides, LoadSides(context));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::FromGguf(*sides.file_a));
  ASSIGN_OR_RETURN(const TextWindows windows,
                   CutWindows(*tokenizer, text, sides.a.engine->options().context_max,
                              context.settings.OptionalInt("chunks")));
  CompareReport report;
  std::vector<float> held;
  Scores scores;
  for (int i = 0; i < windows.count; ++i) {
    RETURN_IF_ERROR(CompareWindow(sides, windows.Window(i), held, scores, report));
    RETURN_IF_ERROR(CheckInterrupted());
    context.console.Progress("window " + std::to_string(i + 1) + " of " +
                             std::to_string(windows.count));
  }
  context.console.Progress("");
  Summarise(scores, report);
  return context.console.Write(context.settings.Bool("json") ? ToJson(report) : Text(report));
}

}  // namespace mortar
