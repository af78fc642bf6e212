#include "edge/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "common/check.h"
#include "common/random.h"
#include "engine/kernels/math.h"

namespace mortar {
namespace {

// One after the other, best first, as cuts and draws walk over them: another order would give
// another total in the last bits, and a draw near 1 would fall behind the last token.
float RunningSum(const std::vector<float>& values) {
  float sum = 0;
  for (const float value : values) sum += value;
  return sum;
}

absl::Status OutOfBounds(const char* name, float value, const char* expected) {
  return InvalidArgument(std::string(name) + ": expected " + expected + ", got " +
                         std::to_string(value));
}

}  // namespace

absl::Status CheckSamplerOptions(const SamplerOptions& o) {
  if (!std::isfinite(o.temperature)) return OutOfBounds("temperature", o.temperature, "a number");
  if (!(o.top_p >= 0 && o.top_p <= 1)) return OutOfBounds("top_p", o.top_p, "0 to 1");
  if (!(o.min_p >= 0 && o.min_p <= 1)) return OutOfBounds("min_p", o.min_p, "0 to 1");
  if (!(o.repeat_penalty > 0 && std::isfinite(o.repeat_penalty))) {
    return OutOfBounds("repeat_penalty", o.repeat_penalty, "more than 0");
  }
  if (!std::isfinite(o.presence_penalty)) {
    return OutOfBounds("presence_penalty", o.presence_penalty, "a number");
  }
  if (!std::isfinite(o.frequency_penalty)) {
    return OutOfBounds("frequency_penalty", o.frequency_penalty, "a number");
  }
  if (o.repeat_last_n < -1) {
    return InvalidArgument("repeat_last_n: expected -1 or more, got " +
                           std::to_string(o.repeat_last_n));
  }
  return absl::OkStatus();
}

Token Sampler::Sample(std::span<float> logits, std::span<const Token> history,
                      uint64_t output_index, std::span<const Token> then) {
  CHECK(!logits.empty());
  Penalise(logits, history, then);
  if (options_.temperature <= 0) {
    // The first of equal maxima is the lowest id.
    return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  KeepTopK(logits);
  Weigh(1.0f);
  KeepTopP();
  KeepMinP();
  Weigh(options_.temperature);
  const float u = UniformDraw(options_.seed, options_.choice, output_index, 0);
  // The best weighs 1, so the total is a normal number and u < 1 makes the target less than it.
  const float target = u * RunningSum(weights_);
  float passed = 0;
  size_t drawn = 0;  // the last that raised the sum: one that cannot move it is never drawn
  for (size_t i = 0; i < weights_.size() && !(passed > target); ++i) {
    if (passed + weights_[i] > passed) drawn = i;
    passed += weights_[i];
  }
  return candidates_[drawn].id;
}

void Sampler::Penalise(std::span<float> logits, std::span<const Token> history,
                       std::span<const Token> then) {
  const SamplerOptions& o = options_;
  if (o.repeat_penalty == 1.0f && o.presence_penalty == 0.0f && o.frequency_penalty == 0.0f) return;
  const size_t all = history.size() + then.size();
  const size_t n = o.repeat_last_n < 0 ? all : std::min(all, static_cast<size_t>(o.repeat_last_n));
  const size_t newest = std::min(n, then.size());
  const auto of_history = history.last(n - newest);
  const auto of_then = then.last(newest);
  recent_.assign(of_history.begin(), of_history.end());
  recent_.insert(recent_.end(), of_then.begin(), of_then.end());
  std::sort(recent_.begin(), recent_.end());
  for (size_t i = 0; i < recent_.size();) {
    const Token id = recent_[i];
    size_t end = i;
    while (end < recent_.size() && recent_[end] == id) ++end;
    const float count = static_cast<float>(end - i);
    i = end;
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit <= 0 ? logit * o.repeat_penalty : logit / o.repeat_penalty;
    logit -= count * o.frequency_penalty + o.presence_penalty;
  }
}

void Sampler::KeepTopK(std::span<const float> logits) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  const size_t k = options_.top_k <= 0
                       ? logits.size()
                       : std::min(logits.size(), static_cast<size_t>(options_.top_k));
  candidates_.clear();
  // A heap whose top is the worst of the k best so far: most logits fail the first comparison.
  // Ids come in ascending order, so an equal logit later is never better.
  for (size_t i = 0; i < logits.size(); ++i) {
    if (candidates_.size() == k) {
      if (!(logits[i] > candidates_.front().logit)) continue;
      std::pop_heap(candidates_.begin(), candidates_.end(), better);
      candidates_.pop_back();
    }
    candidates_.push_back({logits[i], static_cast<Token>(i)});
    if (k < logits.size()) std::push_heap(candidates_.begin(), candidates_.end(), better);
  }
  std::sort(candidates_.begin(), candidates_.end(), better);
}

void Sampler::Weigh(float temperature) {
  weights_.resize(candidates_.size());
  for (size_t i = 0; i < candidates_.size(); ++i) {
    weights_[i] = Exp((candidates_[i].logit - candidates_[0].logit) / temperature);
  }
}

void Sampler::KeepTopP() {
  if (options_.top_p >= 1) return;
  const float wanted = options_.top_p * RunningSum(weights_);
  float passed = 0;
  size_t keep = 0;
  while (keep < weights_.size() && passed < wanted) passed += weights_[keep++];
  keep = std::max<size_t>(keep, 1);
  candidates_.resize(keep);
  weights_.resize(keep);
}

void Sampler::KeepMinP() {
  // Weights are relative to the best, whose weight is 1, and descend.
  size_t keep = 1;
  while (keep < weights_.size() && weights_[keep] >= options_.min_p) ++keep;
  candidates_.resize(keep);
  weights_.resize(keep);
}

}  // namespace mortar
