// embed: one row of numbers for a text.
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "cli/prompt.h"
#include "cli/prompt_tokens.h"
#include "common/check.h"
#include "engine/batch/embedder.h"
#include "engine/text/tokenizer.h"

namespace mortar {
namespace {

constexpr int kChunkRows = 512;  // of a decoder, whose text may come in steps

constexpr std::array<const char*, 4> kPoolings = {"none", "mean", "cls", "last"};  // as of Pooling

// --pooling, or what the file says.
absl::StatusOr<Pooling> ReadPooling(const Settings& settings, const GgufFile& file,
                                    const ModelConfig& config) {
  Pooling pooling = config.pooling;
  if (const auto given = settings.OptionalString("pooling")) {
    const auto* at = std::ranges::find(kPoolings, *given);
    CHECK(at != kPoolings.end());
    pooling = static_cast<Pooling>(at - kPoolings.begin());
  }
  if (pooling == Pooling::kNone) {
    return FailedPrecondition(file.path() + " says no pooling, " + config.architecture +
                              ".pooling_type; say with --pooling how rows become one: mean, cls "
                              "or last");
  }
  // The first position of a decoder has seen nothing of the text behind it.
  if (pooling == Pooling::kCls && !config.traits.encoder) {
    return FailedPrecondition("the first row of a " + config.architecture +
                              " model knows nothing of the text; give --pooling mean or last");
  }
  return pooling;
}

absl::StatusOr<std::vector<Token>> ReadTokens(const Tokenizer& tokenizer, const ModelConfig& config,
                                              const PromptText& text) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens,
                   WholeTextTokens(tokenizer, text.text, /*trusted=*/false));
  const int tokens_max = EmbeddingTokensMax(config);
  if (tokens.size() > static_cast<size_t>(tokens_max)) {
    return InvalidArgument(text.name + ": " + std::to_string(tokens.size()) +
                           " tokens are more than the " + std::to_string(tokens_max) +
                           " that this model embeds at once; shorten the text");
  }
  return tokens;
}

absl::StatusOr<std::vector<float>> Embed(const GgufFile& file, const Settings& settings,
                                         const ModelConfig& config,
                                         const std::vector<Token>& tokens, Pooling pooling) {
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));
  const int n_tokens = static_cast<int>(tokens.size());
  EngineOptions options;
  options.kv_type = KvTypeOf(settings.String("kv"));
  options.context_max = n_tokens;
  options.kv_positions_max = n_tokens;
  options.rows_max = config.traits.encoder ? n_tokens : std::min(n_tokens, kChunkRows);
  options.logit_rows_max = 0;
  ASSIGN_OR_RETURN(const auto engine, Engine::Load(file, {EmbeddingPart(config)}, options,
                                                   *compute.kernels, *compute.pool));
  ASSIGN_OR_RETURN(const auto embedder, Embedder::Create(*engine, 0));
  embedder->StopWhen([] { return InterruptSignal() != 0; });
  return embedder->Embed(tokens, pooling, settings.Bool("normalize"));
}

// The shortest text of each number that reads as the same binary32.
std::string Text(const std::vector<float>& row) {
  std::string text;
  for (const float value : row) {
    std::array<char, 32> digits;
    const auto [end, error] = std::to_chars(digits.begin(), digits.end(), value);
    CHECK(error == std::errc());
    text += (text.empty() ? "" : " ") + std::string(digits.begin(), end);
  }
  return text + "\n";
}

}  // namespace

absl::Status EmbedCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  ASSIGN_OR_RETURN(const PromptText text, ReadPrompt(settings));
  ASSIGN_OR_RETURN(const auto file, OpenModel(settings, context.environment));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(*file));
  ASSIGN_OR_RETURN(const Pooling pooling, ReadPooling(settings, *file, config));
  ASSIGN_OR_RETURN(const auto tokenizer, TokenizerOf(*file, config));
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, ReadTokens(*tokenizer, config, text));
  EmbedReport report;
  ASSIGN_OR_RETURN(report.embedding, Embed(*file, settings, config, tokens, pooling));
  if (!settings.Bool("json")) return context.console.Write(Text(report.embedding));
  report.model = file->GetString("general.name").value_or(file->path());
  report.tokens = tokens.size();
  report.pooling = kPoolings[static_cast<size_t>(pooling)];
  report.normalized = settings.Bool("normalize");
  return context.console.Write(ToJson(report));
}

}  // namespace mortar
