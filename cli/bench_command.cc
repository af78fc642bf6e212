// bench: prefill and decode speed of one process, beside the bound that memory sets.
#include <algorithm>
#include <cstdio>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/machine.h"
#include "cli/model.h"

namespace mortar {
namespace {

std::vector<BenchTest> TestsOf(const Settings& settings) {
  std::vector<BenchTest> tests;
  for (const int64_t n : settings.Ints("n-prompt")) {
    if (n > 0) tests.push_back({.n_prompt = static_cast<int>(n)});
  }
  for (const int64_t n : settings.Ints("n-gen")) {
    for (const int64_t batch : settings.Ints("batch")) {
      if (n > 0) {
        tests.push_back({.n_gen = static_cast<int>(n), .batch = static_cast<int>(batch)});
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
    options.positions = std::max({options.positions, test.n_prompt, test.n_gen});
    options.sessions = std::max(options.sessions, test.batch);
  }
  return ForwardLoop::Create(file, options, *compute.kernels, *compute.pool);
}

}  // namespace

absl::Status BenchCommand(const CommandContext& context) {
  const Settings& settings = context.settings;
  const std::vector<BenchTest> tests = TestsOf(settings);
  if (tests.empty()) {
    return UsageError("nothing to measure: -p and -n are both 0; give one, e.g. -n 128");
  }
  ASSIGN_OR_RETURN(const auto file, OpenModel(settings, context.environment));
  ASSIGN_OR_RETURN(const Compute compute, MakeCompute(settings));
  const int ubatch_size = static_cast<int>(settings.Int("ubatch-size"));
  const auto repetitions = settings.Int("repetitions");

  BenchReport report;
  report.model = file->path();
  report.threads = compute.pool->n_threads();
  report.isa = compute.kernels->name;
  context.console.Progress("measuring memory bandwidth");
  const double bandwidth = MeasureReadBandwidth(*compute.pool, context.clock);
  report.bandwidth_gb_s = bandwidth / 1e9;

  ASSIGN_OR_RETURN(const auto loop, LoopFor(context, *file, compute, tests));
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
  context.console.Progress("");
  if (settings.Bool("json")) return context.console.Write(ToJson(report));

  char head[256];
  std::snprintf(head, sizeof head,
                "%s, %d threads, %s kernels, memory reads %.2f GB/s\n"
                "| test         |       tokens / second |    GB/s | of bound |\n"
                "| ------------ | --------------------: | ------: | -------: |\n",
                report.model.c_str(), report.threads, report.isa.c_str(), report.bandwidth_gb_s);
  std::string text = head;
  for (const BenchResult& result : report.results) text += Row(result);
  return context.console.Write(text);
}

}  // namespace mortar
