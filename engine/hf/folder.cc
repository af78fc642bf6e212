#include "engine/hf/folder.h"

#include <filesystem>
#include <utility>

#include "engine/hf/checkpoint.h"
#include "engine/hf/config_keys.h"
#include "engine/hf/json.h"
#include "engine/hf/limits.h"
#include "engine/hf/tokenizer_keys.h"
#include "engine/hf/weights.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kHead[] = "lm_head.weight";

std::string NameOf(const std::string& folder) {
  std::filesystem::path path(folder);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

// Rows of the embedding, which is there, and the head as config.json says.
absl::StatusOr<uint64_t> CheckEnds(const std::string& folder, const HfConfig& config,
                                   const Checkpoint& checkpoint) {
  const auto embedding = checkpoint.tensors.find(kEmbedding);
  if (embedding == checkpoint.tensors.end() || embedding->second.tensor.shape.size() != 2) {
    return InvalidArgument(folder + ": no tensor '" + kEmbedding + "' of two dimensions");
  }
  if (!config.tied_head && !checkpoint.tensors.contains(kHead)) {
    return InvalidArgument(folder + ": no tensor '" + kHead +
                           "', and config.json does not tie the head to the embedding");
  }
  return embedding->second.tensor.shape[0];
}

}  // namespace

absl::StatusOr<std::shared_ptr<GgufFile>> OpenHfFolder(const std::string& folder, Quantize quantize,
                                                       ThreadPool& pool) {
  const std::string config_path = (std::filesystem::path(folder) / "config.json").string();
  ASSIGN_OR_RETURN(const Json json, ReadJsonFile(config_path, {hf_limits::kConfigBytesMax,
                                                               hf_limits::kConfigValuesMax}));
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(json, config_path));
  ASSIGN_OR_RETURN(HfConfig config, ReadHfConfig(fields));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, OpenCheckpoint(folder));
  ASSIGN_OR_RETURN(const uint64_t n_rows, CheckEnds(folder, config, checkpoint));

  GgufParts parts;
  parts.metadata = std::move(config.metadata);
  parts.metadata["general.name"] = NameOf(folder);
  RETURN_IF_ERROR(AddTokenizerKeys({folder, &fields, n_rows}, parts.metadata));
  const absl::Status added = AddTensors(std::move(checkpoint), config, quantize, pool, parts);
  if (!added.ok()) return WithContext(added, folder);
  return GgufFile::Assemble(std::move(parts), folder);
}

}  // namespace mortar
