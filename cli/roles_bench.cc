#include "cli/roles_bench.h"

#include <algorithm>
#include <cmath>

#include "cli/bench.h"
#include "cli/console.h"
#include "common/check.h"
#include "edge/sampler.h"

namespace mortar {
namespace {

// Both paths continue this one token: what they say does not matter, that it is the same does.
constexpr Token kFirstToken = 1;

struct Timed {
  double seconds_per_token = 0;
  std::vector<Token> tokens;
};

absl::StatusOr<Timed> RunBare(ForwardLoop& bare, int n_gen, const Clock& clock) {
  SamplerOptions greedy;
  greedy.temperature = 0;
  Sampler sampler(greedy);
  Timed timed;
  bare.Clear();
  RETURN_IF_ERROR(bare.Reserve(1, n_gen));
  Token token = kFirstToken;
  Time first{};
  for (int i = 0; i < n_gen; ++i) {
    RETURN_IF_ERROR(CheckInterrupted());
    bare.Decode(std::span(&token, 1));
    token = sampler.Sample(bare.mutable_logits(), timed.tokens, static_cast<uint64_t>(i));
    timed.tokens.push_back(token);
    if (i == 0) first = clock.Now();
  }
  timed.seconds_per_token = Seconds(clock.Now() - first) / (n_gen - 1);
  return timed;
}

absl::StatusOr<Timed> RunRoles(Embedded& nodes, int n_gen) {
  GenerateRequest request;
  request.prompt = {kFirstToken};
  request.sampler.temperature = 0;
  request.n_predict = n_gen;
  request.ignore_end = true;
  Timed timed;
  ASSIGN_OR_RETURN(const Finished finished,
                   nodes.Generate(std::move(request), [&timed](const TokenOut& out) {
                     timed.tokens.push_back(out.token);
                     return absl::OkStatus();
                   }));
  timed.seconds_per_token = Seconds(finished.timings.decode) / (n_gen - 1);
  return timed;
}

}  // namespace

absl::StatusOr<RolesSample> RunRolesPair(Embedded& nodes, ForwardLoop& bare, int n_gen,
                                         bool roles_first, const Clock& clock) {
  CHECK(n_gen >= 2);
  Timed roles;
  if (roles_first) {
    ASSIGN_OR_RETURN(roles, RunRoles(nodes, n_gen));
  }
  ASSIGN_OR_RETURN(const Timed alone, RunBare(bare, n_gen, clock));
  if (!roles_first) {
    ASSIGN_OR_RETURN(roles, RunRoles(nodes, n_gen));
  }
  if (roles.tokens != alone.tokens) {
    return absl::InternalError("the three roles and the bare loop gave different tokens");
  }
  return RolesSample{alone.seconds_per_token, roles.seconds_per_token};
}

RolesCost CostOf(const std::vector<RolesSample>& samples) {
  CHECK(!samples.empty());
  std::vector<double> added;
  for (const RolesSample& sample : samples) {
    added.push_back((sample.roles_seconds - sample.bare_seconds) * 1e6);
  }
  RolesCost cost;
  cost.added_us_per_token_error =
      SpreadOf(added).deviation / std::sqrt(static_cast<double>(added.size()));
  std::ranges::sort(added);
  const size_t n = added.size();
  cost.added_us_per_token = n % 2 == 1 ? added[n / 2] : (added[n / 2 - 1] + added[n / 2]) / 2;
  return cost;
}

}  // namespace mortar
