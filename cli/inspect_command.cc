// inspect: what a model file holds, as bricks.
#include <string>

#include "cli/commands.h"
#include "cli/hosted_model.h"
#include "cli/json_output.h"
#include "cli/model.h"
#include "engine/brick/manifest.h"
#include "engine/model/config.h"

namespace mortar {
namespace {

std::string Text(const InspectReport& report) {
  const ModelConfig& c = report.config;
  std::string text = "file          " + OneLine(report.path) + ", " +
                     std::to_string(report.file_bytes) + " bytes\n";
  text += "architecture  " + OneLine(c.architecture) + "\n";
  text += "layers        " + std::to_string(c.n_layers) + "\n";
  text += "width         " + std::to_string(c.n_embd) + ", feed-forward " + std::to_string(c.n_ff) +
          "\n";
  text += "heads         " + std::to_string(c.n_heads) + " of " + std::to_string(c.head_dim) +
          ", " + std::to_string(c.n_kv_heads) + " for keys and values\n";
  text += "vocabulary    " + std::to_string(c.n_vocab) + (c.tied_head ? ", tied head\n" : "\n");
  text += "context       " + std::to_string(c.n_ctx_train) + "\n\n";
  return text + ToText(report.manifest);
}

}  // namespace

absl::Status InspectCommand(const CommandContext& context) {
  InspectReport report;
  ASSIGN_OR_RETURN(const auto file, OpenModel(context.settings, context.environment));
  ASSIGN_OR_RETURN(report.config, ReadModelConfig(*file));
  ASSIGN_OR_RETURN(report.manifest, BuildManifest(*file, report.config.n_layers));
  report.path = file->path();
  report.file_bytes = file->file_bytes();
  context.console.Progress("computing digests");
  AddKeptDigests(*file, context.environment, context.log, report.manifest);
  context.console.Progress("");
  return context.console.Write(context.settings.Bool("json") ? ToJson(report) : Text(report));
}

}  // namespace mortar
