#include "cli/bench.h"

#include <algorithm>
#include <cmath>

#include "cli/console.h"
#include "common/check.h"
#include "common/random.h"

namespace mortar {
namespace {

constexpr uint64_t kTokenSeed = 1;  // the same tokens in every run, so that runs compare

// Token `index` of session `session`: any token will do, what is measured does not look at it.
int32_t RandomToken(int session, int index, int n_vocab) {
  const float draw =
      UniformDraw(kTokenSeed, static_cast<uint32_t>(session), static_cast<uint64_t>(index), 0);
  return std::min(static_cast<int32_t>(draw * static_cast<float>(n_vocab)), n_vocab - 1);
}

// The tokens of session `session` from `index` on.
void DrawTokens(int session, int index, int n_vocab, std::span<int32_t> tokens) {
  for (int32_t& token : tokens) token = RandomToken(session, index++, n_vocab);
}

// Session `session` holds `end` positions after this. Returns the bytes that it read.
absl::StatusOr<uint64_t> PrefillTo(ForwardLoop& loop, int session, int end, int ubatch_size) {
  std::vector<int32_t> tokens(static_cast<size_t>(ubatch_size));
  uint64_t bytes = 0;
  for (int at = loop.positions(session); at < end; at = loop.positions(session)) {
    const auto part = std::span(tokens).first(static_cast<size_t>(std::min(ubatch_size, end - at)));
    DrawTokens(session, at, loop.config().n_vocab, part);
    loop.Prefill(session, part);
    bytes += loop.weight_bytes() +
             static_cast<uint64_t>(loop.positions(session)) * loop.kv_bytes_per_position();
    RETURN_IF_ERROR(CheckInterrupted());
  }
  return bytes;
}

// Every session of the test holds `depth` positions. Tokens depend on nothing but their place, and
// so what is there stays.
absl::Status FillToDepth(ForwardLoop& loop, const BenchTest& test, int ubatch_size) {
  loop.Rewind(test.depth);
  RETURN_IF_ERROR(loop.Reserve(test.batch, test.positions()));
  for (int session = 0; session < test.batch; ++session) {
    RETURN_IF_ERROR(PrefillTo(loop, session, test.depth, ubatch_size).status());
  }
  return absl::OkStatus();
}

}  // namespace

std::string BenchTest::Name() const {
  std::string name = n_gen == 0 ? "pp" + std::to_string(n_prompt) : "tg" + std::to_string(n_gen);
  if (batch > 1) name += "@" + std::to_string(batch);
  if (depth > 0) name += "@d" + std::to_string(depth);
  return name;
}

uint64_t BytesOfDecode(const ForwardLoop& loop, const BenchTest& test) {
  const auto n = static_cast<uint64_t>(test.n_gen);
  const uint64_t positions = n * static_cast<uint64_t>(test.depth) + n * (n + 1) / 2;
  return n * loop.weight_bytes() +
         static_cast<uint64_t>(test.batch) * positions * loop.kv_bytes_per_position();
}

absl::StatusOr<BenchSample> RunBenchTest(ForwardLoop& loop, const BenchTest& test, int ubatch_size,
                                         const Clock& clock) {
  CHECK((test.n_prompt > 0) != (test.n_gen > 0));
  RETURN_IF_ERROR(FillToDepth(loop, test, ubatch_size));
  std::vector<int32_t> tokens(static_cast<size_t>(test.batch));
  BenchSample sample;
  const Time start = clock.Now();
  ASSIGN_OR_RETURN(sample.bytes, PrefillTo(loop, 0, test.depth + test.n_prompt, ubatch_size));
  for (int step = 0; step < test.n_gen; ++step) {
    for (int i = 0; i < test.batch; ++i) {
      tokens[static_cast<size_t>(i)] = RandomToken(i, test.depth + step, loop.config().n_vocab);
    }
    loop.Decode(tokens);
    RETURN_IF_ERROR(CheckInterrupted());
  }
  sample.seconds = Seconds(clock.Now() - start);
  sample.bytes += BytesOfDecode(loop, test);
  return sample;
}

Spread SpreadOf(const std::vector<double>& values) {
  Spread spread;
  if (values.empty()) return spread;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) spread.mean += value / n;
  if (values.size() < 2) return spread;
  double squares = 0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  spread.deviation = std::sqrt(squares / (n - 1));
  return spread;
}

BenchResult Summarize(const BenchTest& test, const std::vector<BenchSample>& samples,
                      double bandwidth) {
  const double n_tokens = test.n_prompt + static_cast<double>(test.n_gen) * test.batch;
  std::vector<double> speeds;
  std::vector<double> rates;
  for (const BenchSample& sample : samples) {
    speeds.push_back(n_tokens / sample.seconds);
    rates.push_back(static_cast<double>(sample.bytes) / sample.seconds);
  }
  const Spread speed = SpreadOf(speeds);
  const double rate = SpreadOf(rates).mean;
  BenchResult result;
  result.test = test.Name();
  result.tok_s = speed.mean;
  result.stddev = speed.deviation;
  result.gb_s = rate / 1e9;
  result.bandwidth_fraction = rate / bandwidth;
  return result;
}

}  // namespace mortar
