// The measurements of `mortar bench`, as llama-bench defines them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/forward_loop.h"
#include "cli/reports.h"
#include "common/clock.h"
#include "common/status.h"

namespace mortar {

struct BenchTest {
  int n_prompt = 0;  // a prefill test of so many tokens, or 0
  int n_gen = 0;     // a decode test of so many steps, or 0
  int batch = 1;     // sessions that decode together
  int depth = 0;     // positions that each session holds before

  int positions() const { return depth + n_prompt + n_gen; }
  std::string Name() const;  // "pp512", "tg128", "tg128@16", "tg128@d4096"
};

// One run: random tokens, and how long they took. Cancelled by a signal.
struct BenchSample {
  double seconds = 0;
  uint64_t bytes = 0;  // of weights and KV that were read
};
// Bytes that the decode steps of a test read: its sessions share the weights of a step, and each
// reads its own KV.
uint64_t BytesOfDecode(const ForwardLoop& loop, const BenchTest& test);
// What fills the sessions up to the test's depth is not measured, and is kept for the next run.
absl::StatusOr<BenchSample> RunBenchTest(ForwardLoop& loop, const BenchTest& test, int ubatch_size,
                                         const Clock& clock);

// Speed over the samples: the mean of tokens per second and its standard deviation.
// `bandwidth` in bytes per second.
BenchResult Summarize(const BenchTest& test, const std::vector<BenchSample>& samples,
                      double bandwidth);

// Mean and standard deviation (n - 1) of values; the deviation of one value is 0.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
Spread SpreadOf(const std::vector<double>& values);

}  // namespace mortar
