#include "engine/brick/outline.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/brick/digest.h"
#include "engine/brick/image.h"
#include "engine/gguf/outline.h"

namespace mortar {
namespace {

constexpr char kDigestsKey[] = "mortar.bricks.sha256";

GgufMetadata MetadataOf(const GgufFile& file, const Manifest& manifest) {
  GgufMetadata kept;
  const std::string of_architecture = manifest.architecture + ".";
  for (const auto& [key, value] : file.metadata()) {
    const bool names = key == "general.architecture" || key == "general.name";
    if (names || key.starts_with(of_architecture)) kept.emplace(key, value);
  }
  std::vector<std::string> digests;
  for (const Brick& brick : manifest.bricks) digests.push_back(ToHex(*brick.digest));
  kept[kDigestsKey] = GgufArray(std::move(digests));
  return kept;
}

absl::Status AddDigests(const GgufFile& file, Manifest& manifest) {
  ASSIGN_OR_RETURN(const std::vector<std::string>* digests, file.GetStrings(kDigestsKey));
  if (digests->size() != manifest.bricks.size()) {
    return InvalidArgument(file.path() + ": " + std::to_string(digests->size()) + " digests for " +
                           std::to_string(manifest.bricks.size()) + " bricks");
  }
  for (size_t i = 0; i < digests->size(); ++i) {
    const std::optional<Digest> digest = ParseDigest((*digests)[i]);
    if (!digest) {
      return InvalidArgument(file.path() + ": brick " + manifest.bricks[i].name +
                             " has a digest that is none");
    }
    manifest.bricks[i].digest = *digest;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> OutlineOf(const GgufFile& file, const Manifest& manifest,
                                               uint64_t bytes_max) {
  for (const Brick& brick : manifest.bricks) {
    if (brick.sensitivity == Sensitivity::kPublic) continue;
    return FailedPrecondition("brick " + brick.name + " is private: the model has no outline");
  }
  std::vector<uint8_t> bytes = EncodeOutline(MetadataOf(file, manifest), file,
                                             [](const TensorInfo& t) { return IsOfEveryLayer(t); });
  if (bytes.size() <= bytes_max) return bytes;
  return ResourceExhausted("an outline of " + std::to_string(bytes.size()) + " bytes, at most " +
                           std::to_string(bytes_max) + " are sent");
}

absl::StatusOr<Outline> ReadOutline(std::span<const uint8_t> bytes, const std::string& name) {
  Outline outline;
  ASSIGN_OR_RETURN(outline.file, DecodeOutline(bytes, name));
  auto config = ReadModelConfig(*outline.file);
  if (!config.ok()) return WithContext(config.status(), name);
  outline.config = *std::move(config);
  ASSIGN_OR_RETURN(outline.manifest, BuildManifest(*outline.file, outline.config.n_layers));
  RETURN_IF_ERROR(AddDigests(*outline.file, outline.manifest));
  for (const Brick& brick : outline.manifest.bricks) {
    RETURN_IF_ERROR(WithContext(LayoutOf(brick).status(), name));
  }
  return outline;
}

absl::StatusOr<std::shared_ptr<GgufFile>> WithBricks(const Outline& outline,
                                                     std::vector<BrickImage> images,
                                                     const std::string& name) {
  GgufParts parts{outline.file->metadata(), outline.file->tensors(), {}};
  std::unordered_map<std::string, TensorInfo*> by_name;
  for (TensorInfo& tensor : parts.tensors) {
    tensor.part = kNoPart;
    tensor.offset = 0;
    by_name[tensor.name] = &tensor;
  }
  for (BrickImage& image : images) {
    const std::string where = name + ": brick " + image.brick->name;
    ASSIGN_OR_RETURN(const ImageLayout layout, LayoutOf(*image.brick));
    const std::span<const uint8_t> bytes = image.bytes.span();
    RETURN_IF_ERROR(WithContext(CheckImage(layout, bytes), where));
    const auto part = static_cast<uint32_t>(parts.parts.size());
    for (size_t i = 0; i < image.brick->tensors.size(); ++i) {
      TensorInfo& tensor = *by_name.at(image.brick->tensors[i].name);
      const uint64_t offset = layout.tensors[i].offset;
      // A tensor of every layer is in the outline too, from which the rotation was read.
      const TensorInfo& known = *outline.file->FindTensor(tensor.name);
      if (known.part != kNoPart &&
          !std::ranges::equal(outline.file->Data(known), bytes.subspan(offset, tensor.bytes))) {
        return DataLoss(where + ": tensor " + tensor.name + " is another one in the outline");
      }
      tensor.part = part;
      tensor.offset = offset;
    }
    parts.parts.push_back(std::move(image.bytes));
  }
  for (TensorInfo& tensor : parts.tensors) {
    const TensorInfo& known = *outline.file->FindTensor(tensor.name);
    if (tensor.part != kNoPart || known.part == kNoPart) continue;
    tensor.part = static_cast<uint32_t>(parts.parts.size());
    tensor.offset = 0;
    parts.parts.push_back(FileBytes::Copy(outline.file->Data(known)));
  }
  return GgufFile::Assemble(std::move(parts), name);
}

}  // namespace mortar
