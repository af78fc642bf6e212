// The flags of the group Sampling as the sampler takes them.
#pragma once

#include <cstdint>

#include "cli/settings.h"
#include "edge/sampler.h"

namespace mortar {

// What the flag table lets pass, CheckSamplerOptions accepts.
SamplerOptions ReadSampler(const Settings& settings, uint64_t seed);

}  // namespace mortar
