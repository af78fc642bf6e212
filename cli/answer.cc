#include "cli/answer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/cut.h"
#include "cli/json_output.h"
#include "cli/prompt.h"
#include "cli/prompt_tokens.h"
#include "cli/sampling.h"
#include "common/random.h"
#include "edge/state.h"
#include "engine/text/utf8.h"

namespace mortar {
namespace {

// A seed that --json can show exactly and that a person can type again.
uint64_t RandomSeed() {
  std::array<uint8_t, 4> bytes{};
  SystemRandom().Fill(bytes.data(), static_cast<int>(bytes.size()));
  uint64_t seed = 0;
  for (const uint8_t byte : bytes) seed = seed << 8 | byte;
  return seed;
}

absl::StatusOr<std::vector<Token>> ReadPromptTokens(const Settings& settings, const GgufFile& file,
                                                    const Tokenizer& tokenizer,
                                                    const PromptText& prompt) {
  const std::string system = settings.OptionalString("system").value_or("");
  if (settings.Bool("raw")) {
    if (!system.empty()) {
      return UsageError("--system needs the chat template, which --raw leaves out; give one");
    }
    return RawPromptTokens(tokenizer, prompt.text);
  }
  if (const auto offset = FindInvalidUtf8(system)) {
    return InvalidArgument(settings.Where("system") + ": byte " + std::to_string(*offset) +
                           " is not valid UTF-8; convert the text to UTF-8");
  }
  return ChatPromptTokens(file, tokenizer, prompt.text, system);
}

std::string RouteTable(const std::vector<RouteNode>& route) {
  std::string text =
      "| node     | role   | layers   |      MiB |\n"
      "| -------- | ------ | -------- | -------: |\n";
  for (const RouteNode& node : route) {
    char line[512];  // a name of 64 bytes, each as \xNN
    std::snprintf(line, sizeof line, "| %-8s | %-6s | %-8s | %8.2f |\n", OneLine(node.node).c_str(),
                  node.role.c_str(), ToString(node.layers).c_str(),
                  static_cast<double>(node.bytes) / (1 << 20));
    text += line;
  }
  return text;
}

// Bytes for each row that crossed, resent ones included.
std::string BytesPerToken(const HopTraffic& hop) {
  if (!hop.figures || hop.figures->rows == 0) return "?";
  return std::to_string(hop.figures->bytes / hop.figures->rows);
}

// "24 tokens, 98.1 tokens/s, first token after 312 ms; 12 of 15 guesses held; bytes per token:
// edge → worker-1 2408, …"
std::string Figures(const RunReport& report) {
  char text[160];
  std::snprintf(text, sizeof text, "%zu tokens, %.1f tokens/s, first token after %.0f ms",
                report.tokens.size(), report.decode_tok_s, report.ttft_ms);
  std::string line = text;
  if (report.drafts_proposed > 0) {
    line += "; " + std::to_string(report.drafts_accepted) + " of " +
            std::to_string(report.drafts_proposed) + " guesses held";
  }
  if (report.tokens_alone > 0) {
    line += "; " + std::to_string(report.tokens_alone) + " of them by this edge alone";
  }
  for (const HopTraffic& hop : report.hops) {
    line += (&hop == &report.hops.front() ? "; bytes per token: " : ", ") + OneLine(hop.from) +
            " → " + OneLine(hop.to) + " " + BytesPerToken(hop);
  }
  return line;
}

absl::StatusOr<AnswerInput> ReadInput(const CommandContext& context) {
  const Settings& settings = context.settings;
  AnswerInput in;
  // Before the model is loaded, as every mistake of a call.
  if (const absl::Status stops = CheckStops(settings.Strings("stop")); !stops.ok()) {
    return UsageError(settings.Where("stop") + ": " + Message(stops));
  }
  ASSIGN_OR_RETURN(const PromptText prompt, ReadPrompt(settings));
  ASSIGN_OR_RETURN(in.model, OpenHostedModel(settings, context.environment, context.log));
  ASSIGN_OR_RETURN(in.session, ReadSessionOptions(settings, in.model.config));
  ASSIGN_OR_RETURN(in.prompt,
                   ReadPromptTokens(settings, *in.model.file, *in.model.tokenizer, prompt));
  if (in.prompt.size() >= static_cast<size_t>(in.session.context)) {
    return InvalidArgument(prompt.name + ": " + std::to_string(in.prompt.size()) +
                           " tokens leave no room in a context of " +
                           std::to_string(in.session.context) + "; shorten the prompt or raise -c");
  }
  ASSIGN_OR_RETURN(in.compute, MakeCompute(settings));
  return in;
}

GenerateRequest RequestOf(const Settings& settings, const AnswerInput& in, uint64_t seed) {
  GenerateRequest request;
  request.prompt = in.prompt;
  request.sampler = ReadSampler(settings, seed);
  request.n_predict = static_cast<int>(settings.Int("n-predict"));
  request.stops = settings.Strings("stop");
  request.chunk_rows = static_cast<int>(settings.Int("ubatch-size"));
  return request;
}

double PerSecond(size_t n, Duration time) {
  return time > Duration::zero() ? static_cast<double>(n) / Seconds(time) : 0;
}

// Sets what lies between tokens that came at these times.
void SetInterTokenTimes(const std::vector<Time>& came, RunReport& report) {
  if (came.size() < 2) return;
  std::vector<Duration> gaps;
  for (size_t i = 1; i < came.size(); ++i) gaps.push_back(came[i] - came[i - 1]);
  std::ranges::sort(gaps);
  report.inter_token_ms_p50 = Milliseconds(gaps[gaps.size() / 2]);
  report.inter_token_ms_p99 = Milliseconds(gaps[gaps.size() * 99 / 100]);
  report.inter_token_ms_max = Milliseconds(gaps.back());
}

// Generates, filling the report; writes text as it comes when `stream` is set.
absl::Status Answer(const CommandContext& context, AnsweringNodes& nodes, GenerateRequest request,
                    bool stream, RunReport& report) {
  std::vector<Time> came;  // of the tokens
  const bool events = context.settings.Bool("json-events");
  const auto ms = [&] { return Milliseconds(context.clock.Now() - context.started); };
  const auto on_route = [&](const std::vector<RouteNode>& route) -> absl::Status {
    // A later one replaces a worker amid the text: no place for a table.
    const bool shown = report.route.empty() && !context.settings.Bool("json");
    report.route = route;
    if (events) return context.console.Write(ToJson(RouteReport{route, ms()}));
    if (shown) context.console.Note(context.console.Dim(RouteTable(route)));
    return absl::OkStatus();
  };
  const auto on_token = [&](const TokenOut& out) -> absl::Status {
    came.push_back(context.clock.Now());
    report.tokens.push_back(out.token);
    report.text += out.text;
    if (events) return context.console.Write(ToJson(TokenReport{out.token, out.text, ms()}));
    return stream ? context.console.Write(out.text) : absl::OkStatus();
  };
  ASSIGN_OR_RETURN(const Finished finished,
                   nodes.Generate(std::move(request), {on_route, on_token}));
  const Time first = came.empty() ? context.clock.Now() : came.front();
  SetInterTokenTimes(came, report);
  report.text += finished.text;
  report.finish_reason = Name(finished.reason);
  report.ttft_ms = Milliseconds(first - context.started);
  report.prefill_tok_s = PerSecond(report.prompt_tokens.size(), finished.timings.prefill);
  if (report.tokens.size() > 1) {
    report.decode_tok_s = PerSecond(report.tokens.size() - 1, finished.timings.decode);
  }
  report.drafts_proposed = finished.timings.guesses;
  report.drafts_accepted = finished.timings.guesses_held;
  report.tokens_alone = finished.timings.tokens_alone;
  report.hops = nodes.Traffic();
  return stream ? context.console.Write(finished.text) : absl::OkStatus();
}

}  // namespace

absl::Status AnswerPrompt(const CommandContext& context, const StartNodes& start) {
  const bool json = context.settings.Bool("json");
  if (context.settings.Bool("json-events") && !json) {
    return UsageError(context.settings.Where("json-events") +
                      " goes before what --json says; add it");
  }
  ASSIGN_OR_RETURN(AnswerInput in, ReadInput(context));
  if (const std::string warning = CutWarning(in.session.cut); !warning.empty()) {
    context.console.Note("mortar: warning: " + warning);
  }
  if (!json) context.console.Progress("loading " + OneLine(in.model.manifest.model));
  ASSIGN_OR_RETURN(const auto nodes, start(in));
  RunReport report;
  report.load_ms = Milliseconds(context.clock.Now() - context.started);
  report.prompt_tokens = in.prompt;
  const auto seed = context.settings.OptionalInt("seed");
  report.seed = seed ? static_cast<uint64_t>(*seed) : RandomSeed();
  const bool stream = !json && context.settings.Bool("stream");
  RETURN_IF_ERROR(
      Answer(context, *nodes, RequestOf(context.settings, in, report.seed), stream, report));
  if (json) {
    RETURN_IF_ERROR(context.console.Write(ToJson(report)));
    return nodes->Afterwards();
  }
  if (!stream) RETURN_IF_ERROR(context.console.Write(report.text));
  if (!report.text.ends_with('\n')) RETURN_IF_ERROR(context.console.Write("\n"));
  context.console.Note(context.console.Dim(Figures(report)));
  return nodes->Afterwards();
}

}  // namespace mortar
