// perplexity: how well a model predicts a text.
#include <cmath>
#include <cstdio>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "cli/prompt.h"
#include "cli/scoring.h"

namespace mortar {

absl::Status PerplexityCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  ASSIGN_OR_RETURN(const PromptText text, ReadPrompt(settings));
  ASSIGN_OR_RETURN(const auto file, OpenModel(settings, context.environment));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadDecoderConfig(*file));
  ScoringOptions options;
  options.kv_type = KvTypeOf(settings.String("kv"));
  ASSIGN_OR_RETURN(options.window, ContextSize(settings, config.n_ctx_train));
  options.ubatch_size = static_cast<int>(settings.Int("ubatch-size"));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::FromGguf(*file));
  ASSIGN_OR_RETURN(const TextWindows windows,
                   CutWindows(*tokenizer, text, options.window, settings.OptionalInt("chunks")));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));
  ASSIGN_OR_RETURN(const ScoringModel model,
                   LoadScoringModel(*file, options, *compute.kernels, *compute.pool));

  std::vector<double> nll;  // -ln p of each scored token
  for (int i = 0; i < windows.count; ++i) {
    RETURN_IF_ERROR(ScoreContext(*model.teacher, windows.Window(i), nll));
    RETURN_IF_ERROR(CheckInterrupted());
    context.console.Progress("window " + std::to_string(i + 1) + " of " +
                             std::to_string(windows.count));
  }
  context.console.Progress("");
  const MeanAndError mean = MeanWithError(nll);
  PerplexityReport report;
  report.ppl = std::exp(mean.mean);
  report.ppl_error = report.ppl * mean.standard_error;  // to first order
  report.tokens = nll.size();
  report.chunks = windows.count;
  report.ctx_size = windows.size;
  if (settings.Bool("json")) return context.console.Write(ToJson(report));
  char line[160];
  std::snprintf(line, sizeof line,
                "perplexity %.4f ± %.4f over %zu tokens, second halves of %d windows of %d\n",
                report.ppl, report.ppl_error, report.tokens, report.chunks, report.ctx_size);
  return context.console.Write(line);
}

}  // namespace mortar
