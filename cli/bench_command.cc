// bench: prefill and decode speed of one process, beside the bound that memory sets.
#include <algorithm>
#include <cstdio>

#include "cli/bandwidth.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/embedded.h"
#include "cli/hosted_model.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "cli/roles_bench.h"

namespace mortar {
namespace {

std::vector<BenchTest> TestsOf(const Settings& settings) {
  std::vector<BenchTest> tests;
  for (const int64_t depth : settings.Ints("depth")) {
    BenchTest test = {.depth = static_cast<int>(depth)};
    for (const int64_t n : settings.Ints("n-prompt")) {
      test.n_prompt = static_cast<int>(n);
      if (n > 0) tests.push_back(test);
    }
    test.n_prompt = 0;
    for (const int64_t n : settings.Ints("n-gen")) {
      test.n_gen = static_cast<int>(n);
      for (const int64_t batch : settings.Ints("batch")) {
        test.batch = static_cast<int>(batch);
        if (n > 0) tests.push_back(test);
      }
    }
  }
  return tests;
}

std::string Row(const BenchResult& result) {
  char line[128];
  std::snprintf(line, sizeof line, "| %-12s | %9.2f ± %-7.2f | %7.2f | %6.1f %% |\n",
                result.test.c_str(), result.tok_s, result.stddev, result.gb_s,
                100 * result.bandwidth_fraction);
  return line;
}

absl::StatusOr<std::unique_ptr<ForwardLoop>> LoopFor(const CommandContext& context,
                                                     const GgufFile& file, const Compute& compute,
                                                     const std::vector<BenchTest>& tests) {
  ForwardLoop::Options options;
  options.kv_type = KvTypeOf(context.settings.String("kv"));
  options.ubatch_size = static_cast<int>(context.settings.Int("ubatch-size"));
  options.positions = 1;
  for (const BenchTest& test : tests) {
    options.positions = std::max(options.positions, test.positions());
    options.sessions = std::max(options.sessions, test.batch);
  }
  return ForwardLoop::Create(file, options, *compute.kernels, *compute.pool);
}

absl::Status MeasureTests(const CommandContext& context, const HostedModel& model,
                          const Compute& compute, const std::vector<BenchTest>& tests,
                          double bandwidth, BenchReport& report) {
  const int ubatch_size = static_cast<int>(context.settings.Int("ubatch-size"));
  const auto repetitions = context.settings.Int("repetitions");
  ASSIGN_OR_RETURN(const auto loop, LoopFor(context, *model.file, compute, tests));
  for (const BenchTest& test : tests) {
    std::vector<BenchSample> samples;
    for (int64_t i = -1; i < repetitions; ++i) {  // the first one warms up
      context.console.Progress(test.Name() + ": run " + std::to_string(i + 1) + " of " +
                               std::to_string(repetitions));
      ASSIGN_OR_RETURN(const BenchSample sample,
                       RunBenchTest(*loop, test, ubatch_size, context.clock));
      if (i >= 0) samples.push_back(sample);
    }
    report.results.push_back(Summarize(test, samples, bandwidth));
  }
  return absl::OkStatus();
}

// tgN@roles: N greedy tokens through the three roles, beside the bare loop.
absl::Status MeasureRoles(const CommandContext& context, const HostedModel& model,
                          const Compute& compute, int n_gen, double bandwidth,
                          BenchReport& report) {
  ASSIGN_OR_RETURN(EmbeddedOptions embedded, ReadEmbeddedOptions(context.settings, model.config));
  embedded.session.context = n_gen + 1;
  ASSIGN_OR_RETURN(const auto nodes,
                   Embedded::Start(embedded, {model, *compute.kernels, *compute.pool, context.clock,
                                              context.log}));
  const BenchTest test = {.n_gen = n_gen};
  ASSIGN_OR_RETURN(const auto bare, LoopFor(context, *model.file, compute, {test}));
  const auto repetitions = context.settings.Int("repetitions");
  std::vector<RolesSample> all;
  std::vector<BenchSample> by_roles;
  std::vector<double> bare_speeds;
  for (int64_t i = -1; i < repetitions; ++i) {  // the first one warms up
    context.console.Progress(test.Name() + "@roles: run " + std::to_string(i + 1) + " of " +
                             std::to_string(repetitions));
    ASSIGN_OR_RETURN(const std::vector<RolesSample> samples,
                     RunRoles(*nodes, *bare, n_gen, context.clock));
    if (i < 0) continue;
    RolesSample sum;
    for (const RolesSample& sample : samples) {
      sum.bare_seconds += sample.bare_seconds;
      sum.roles_seconds += sample.roles_seconds;
      all.push_back(sample);
    }
    // The first token is not among the samples: it counts as the others do.
    const double per_run = static_cast<double>(n_gen) / static_cast<double>(samples.size());
    by_roles.push_back({sum.roles_seconds * per_run, BytesOfDecode(*bare, test)});
    bare_speeds.push_back(static_cast<double>(samples.size()) / sum.bare_seconds);
  }
  BenchResult result = Summarize(test, by_roles, bandwidth);
  result.test += "@roles";
  const RolesCost cost = CostOf(all);
  result.roles = BenchResult::Roles{SpreadOf(bare_speeds).mean, cost.added_us_per_token,
                                    cost.added_us_per_token_error};
  report.results.push_back(std::move(result));
  return absl::OkStatus();
}

std::string Text(const BenchReport& report) {
  char head[512];
  std::snprintf(head, sizeof head,
                ", %d threads, %s kernels, memory reads %.2f GB/s\n"
                "| test         |       tokens / second |    GB/s | of bound |\n"
                "| ------------ | --------------------: | ------: | -------: |\n",
                report.threads, report.isa.c_str(), report.bandwidth_gb_s);
  std::string text = OneLine(report.model) + head;
  for (const BenchResult& result : report.results) text += Row(result);
  for (const BenchResult& result : report.results) {
    if (!result.roles) continue;
    char line[160];
    std::snprintf(line, sizeof line,
                  "%s: %+.1f ± %.1f us a token beside the bare loop's %.2f tokens/s\n",
                  result.test.c_str(), result.roles->added_us_per_token,
                  result.roles->added_us_per_token_error, result.roles->bare_tok_s);
    text += line;
  }
  return text;
}

}  // namespace

absl::Status BenchCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  const std::vector<BenchTest> tests = TestsOf(settings);
  const int64_t roles_tokens = settings.Bool("roles") ? settings.Ints("n-gen").front() : 0;
  if (tests.empty()) {
    return UsageError("nothing to measure: -p and -n are both 0; give one, e.g. -n 128");
  }
  if (settings.Bool("roles") && roles_tokens < 2) {
    return UsageError("--roles compares decode: give -n 2 or more, e.g. -n 128");
  }
  ASSIGN_OR_RETURN(const HostedModel model,
                   OpenHostedModel(settings, context.environment, context.log));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));
  BenchReport report;
  report.model = model.file->path();
  report.threads = compute.pool->ThreadsFor(1);
  report.threads_batch = compute.pool->ThreadsFor(2);
  report.isa = compute.kernels->name;
  context.console.Progress("measuring memory bandwidth");
  ASSIGN_OR_RETURN(const double bandwidth, MeasureReadBandwidth(*compute.pool, context.clock));
  report.bandwidth_gb_s = bandwidth / 1e9;
  RETURN_IF_ERROR(MeasureTests(context, model, compute, tests, bandwidth, report));
  if (roles_tokens > 0) {
    RETURN_IF_ERROR(
        MeasureRoles(context, model, compute, static_cast<int>(roles_tokens), bandwidth, report));
  }
  context.console.Progress("");
  return context.console.Write(settings.Bool("json") ? ToJson(report) : Text(report));
}

}  // namespace mortar
