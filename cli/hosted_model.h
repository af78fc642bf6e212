// A model as the nodes of this process host it: file, shape, tokens and bricks with digests.
#pragma once

#include <memory>

#include "cli/settings.h"
#include "common/log.h"
#include "common/status.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/gguf.h"
#include "engine/model/config.h"
#include "engine/text/tokenizer.h"

namespace mortar {

struct HostedModel {
  std::shared_ptr<GgufFile> file;
  ModelConfig config;
  std::unique_ptr<Tokenizer> tokenizer;
  Manifest manifest;  // every brick has its digest
};

// --model. Digests come from the sidecar; without one this reads the whole file once.
absl::StatusOr<HostedModel> OpenHostedModel(const Settings& settings,
                                            const Environment& environment, const Logger& log);

// Adds the digests of a manifest, with a warning when they cannot be kept for the next time.
void AddKeptDigests(const GgufFile& file, const Environment& environment, const Logger& log,
                    Manifest& manifest);

}  // namespace mortar
