#include "engine/hf/checkpoint.h"

#include <filesystem>
#include <set>
#include <utility>

#include "engine/gguf/reader.h"
#include "engine/hf/json.h"
#include "engine/hf/limits.h"

namespace mortar {
namespace {

constexpr char kWhole[] = "model.safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";

std::string Inside(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

bool Exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

absl::Status AddFile(const std::string& path, Checkpoint& checkpoint) {
  auto bytes = FileBytes::Map(path);
  if (!bytes.ok()) return WithContext(bytes.status(), path);
  auto tensors = ParseSafetensors(bytes->span());
  if (!tensors.ok()) return WithContext(tensors.status(), path);
  const auto file = static_cast<uint32_t>(checkpoint.files.size());
  for (SafeTensor& tensor : *tensors) {
    const std::string name = tensor.name;
    if (!checkpoint.tensors.try_emplace(name, StoredTensor{std::move(tensor), file}).second) {
      return InvalidArgument(path + ": tensor " + Quoted(name) + " is in another shard as well");
    }
  }
  if (checkpoint.tensors.size() > hf_limits::kTensorsMax) {
    return ResourceExhausted(path + ": more than " + std::to_string(hf_limits::kTensorsMax) +
                             " tensors in this and the shards before it");
  }
  checkpoint.files.push_back(std::move(bytes).value());
  return absl::OkStatus();
}

// A name inside the folder: an index from elsewhere may not lead out of it.
bool IsPlainFile(const std::string& name) {
  return IsPlainName(name) && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos;
}

using WeightMap = std::map<std::string, std::string>;  // from a tensor's name to its shard's

absl::StatusOr<WeightMap> ReadIndex(const std::string& path) {
  ASSIGN_OR_RETURN(const Json json,
                   ReadJsonFile(path, {hf_limits::kIndexBytesMax, hf_limits::kIndexValuesMax}));
  ASSIGN_OR_RETURN(const Fields fields, Fields::Of(json, path));
  RETURN_IF_ERROR(fields.Object("weight_map").status());
  WeightMap map;
  for (const auto& [tensor, shard] : fields.Find("weight_map")->items()) {
    if (!shard.is_string() || !IsPlainFile(shard.get_ref<const std::string&>())) {
      return fields.Wrong("weight_map", "tensor " + Quoted(tensor) +
                                            ": expected the name of a file in the same folder");
    }
    map.emplace(tensor, shard.get_ref<const std::string&>());
  }
  if (map.empty()) return fields.Wrong("weight_map", "it names no tensor");
  return map;
}

absl::StatusOr<Checkpoint> OpenShards(const std::string& folder) {
  const std::string index = Inside(folder, kIndex);
  ASSIGN_OR_RETURN(const WeightMap map, ReadIndex(index));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);
  if (shards.size() > hf_limits::kShardsMax) {
    return ResourceExhausted(index + ": " + std::to_string(shards.size()) +
                             " shards, the limit is " + std::to_string(hf_limits::kShardsMax));
  }
  std::string missing;
  for (const std::string& shard : shards) {
    if (!Exists(Inside(folder, shard))) missing += (missing.empty() ? "" : ", ") + shard;
  }
  if (!missing.empty()) return NotFound(index + ": the folder lacks " + missing);
  Checkpoint checkpoint;
  std::map<std::string, uint32_t> numbers;
  for (const std::string& shard : shards) {
    numbers.emplace(shard, static_cast<uint32_t>(checkpoint.files.size()));
    RETURN_IF_ERROR(AddFile(Inside(folder, shard), checkpoint));
  }
  for (const auto& [tensor, shard] : map) {
    const auto found = checkpoint.tensors.find(tensor);
    if (found == checkpoint.tensors.end() || found->second.file != numbers[shard]) {
      return InvalidArgument(index + ": tensor " + Quoted(tensor) + " is not in " + shard);
    }
  }
  return checkpoint;
}

}  // namespace

absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& folder) {
  const std::string whole = Inside(folder, kWhole);
  if (!Exists(whole)) {
    if (Exists(Inside(folder, kIndex))) return OpenShards(folder);
    return NotFound(folder + ": no weights here; looked for " + kWhole + " and " + kIndex);
  }
  Checkpoint checkpoint;
  RETURN_IF_ERROR(AddFile(whole, checkpoint));
  return checkpoint;
}

}  // namespace mortar
