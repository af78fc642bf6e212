#include "cli/hosted_model.h"

#include "cli/model.h"
#include "engine/brick/digest_cache.h"

namespace mortar {

absl::StatusOr<HostedModel> OpenHostedModel(const Settings& settings,
                                            const Environment& environment, const Logger& log) {
  HostedModel model;
  ASSIGN_OR_RETURN(model.file, OpenModel(settings, environment));
  ASSIGN_OR_RETURN(model.config, ReadDecoderConfig(*model.file));
  ASSIGN_OR_RETURN(model.tokenizer, TokenizerOf(*model.file, model.config));
  ASSIGN_OR_RETURN(model.manifest, BuildManifest(*model.file, model.config.n_layers));
  AddKeptDigests(*model.file, environment, log, model.manifest);
  return model;
}

void AddKeptDigests(const GgufFile& file, const Environment& environment, const Logger& log,
                    Manifest& manifest) {
  const DigestOutcome outcome = AddDigests(file, DigestFolder(environment), manifest);
  if (!outcome.kept.ok()) {
    log.Warning("digests_not_kept", {{"why", Message(outcome.kept)}});
  }
}

}  // namespace mortar
