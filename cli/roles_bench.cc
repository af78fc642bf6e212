#include "cli/roles_bench.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "edge/sampler.h"

namespace mortar {
namespace {

// Both paths continue this one token: what they say does not matter, that it is the same does.
constexpr Token kFirstToken = 1;

// The bare loop and what it chose, one token at a time.
class BarePath {
 public:
  BarePath(ForwardLoop& loop, const Clock& clock)
      : loop_(loop), clock_(clock), sampler_(Greedy()) {}

  absl::Status Begin(int n_gen) {
    loop_.Clear();
    return loop_.Reserve(1, n_gen);
  }

  // The next token, and how long it took.
  Token Next(double& seconds) {
    const Time start = clock_.Now();
    const Token last = tokens_.empty() ? kFirstToken : tokens_.back();
    loop_.Decode(std::span(&last, 1));
    tokens_.push_back(sampler_.Sample(loop_.mutable_logits(), tokens_, tokens_.size()));
    seconds = Seconds(clock_.Now() - start);
    return tokens_.back();
  }

 private:
  static SamplerOptions Greedy() {
    SamplerOptions options;
    options.temperature = 0;
    return options;
  }

  ForwardLoop& loop_;
  const Clock& clock_;
  Sampler sampler_;
  std::vector<Token> tokens_;
};

// The value below which `part` of the sorted values lie, between neighbours by their distance.
double Quantile(const std::vector<double>& sorted, double part) {
  const double place = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

absl::StatusOr<std::vector<RolesSample>> RunRoles(Embedded& nodes, ForwardLoop& bare, int n_gen,
                                                  const Clock& clock) {
  CHECK(n_gen >= 2);
  GenerateRequest request;
  request.prompt = {kFirstToken};
  request.sampler.temperature = 0;
  request.n_predict = n_gen;
  request.ignore_end = true;
  BarePath path(bare, clock);
  RETURN_IF_ERROR(path.Begin(n_gen));
  std::vector<RolesSample> samples;
  Time since{};
  bool first = true;
  const auto on_route = [](const std::vector<RouteNode>&) { return absl::OkStatus(); };
  const auto on_token = [&](const TokenOut& out) -> absl::Status {
    RolesSample sample;
    sample.roles_seconds = Seconds(clock.Now() - since);
    const Token expected = path.Next(sample.bare_seconds);
    if (out.token != expected) {
      return absl::InternalError("the three roles and the bare loop gave different tokens");
    }
    if (!first) samples.push_back(sample);  // the first one holds the prompt
    first = false;
    since = clock.Now();
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(nodes.Generate(std::move(request), {on_route, on_token}).status());
  return samples;
}

RolesCost CostOf(const std::vector<RolesSample>& samples) {
  CHECK(!samples.empty());
  std::vector<double> added;
  for (const RolesSample& sample : samples) {
    added.push_back((sample.roles_seconds - sample.bare_seconds) * 1e6);
  }
  std::ranges::sort(added);
  RolesCost cost;
  cost.added_us_per_token = Quantile(added, 0.5);
  // Quartiles of a bell curve lie 1.349 deviations apart; the median of n values errs by
  // sqrt(pi / 2) deviations over sqrt(n).
  const double deviation = (Quantile(added, 0.75) - Quantile(added, 0.25)) / 1.349;
  cost.added_us_per_token_error = 1.2533 * deviation / std::sqrt(static_cast<double>(added.size()));
  return cost;
}

}  // namespace mortar
