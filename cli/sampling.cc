#include "cli/sampling.h"

namespace mortar {

SamplerOptions ReadSampler(const Settings& settings, uint64_t seed) {
  SamplerOptions sampler;
  sampler.temperature = static_cast<float>(settings.Float("temp"));
  sampler.top_k = static_cast<int>(settings.Int("top-k"));
  sampler.top_p = static_cast<float>(settings.Float("top-p"));
  sampler.min_p = static_cast<float>(settings.Float("min-p"));
  sampler.repeat_penalty = static_cast<float>(settings.Float("repeat-penalty"));
  sampler.repeat_last_n = static_cast<int>(settings.Int("repeat-last-n"));
  sampler.presence_penalty = static_cast<float>(settings.Float("presence-penalty"));
  sampler.frequency_penalty = static_cast<float>(settings.Float("frequency-penalty"));
  sampler.seed = seed;
  return sampler;
}

}  // namespace mortar
