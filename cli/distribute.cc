#include "cli/distribute.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/brick/digest.h"
#include "engine/brick/image.h"
#include "protocol/limits.h"

namespace mortar {
namespace {

absl::Status SendBrick(const HostedModel& model, const Brick& brick, MpiBroadcast& broadcast) {
  ASSIGN_OR_RETURN(const ImageLayout layout, LayoutOf(brick));
  std::vector<uint8_t> piece(std::min<uint64_t>(layout.bytes, kMpiPieceBytes));
  for (uint64_t at = 0; at < layout.bytes; at += piece.size()) {
    piece.resize(std::min<uint64_t>(piece.size(), layout.bytes - at));
    RETURN_IF_ERROR(ReadImage(*model.file, brick, layout, at, piece));
    RETURN_IF_ERROR(broadcast.Share(piece));
  }
  return absl::OkStatus();
}

// One that this rank does not host: it is part of every broadcast nevertheless.
absl::Status PassBrick(uint64_t bytes, MpiBroadcast& broadcast) {
  std::vector<uint8_t> piece(std::min<uint64_t>(bytes, kMpiPieceBytes));
  while (bytes > 0) {
    piece.resize(std::min<uint64_t>(piece.size(), bytes));
    RETURN_IF_ERROR(broadcast.Share(piece));
    bytes -= piece.size();
  }
  return absl::OkStatus();
}

absl::StatusOr<BrickImage> TakeBrick(const Brick& brick, uint64_t bytes, MpiBroadcast& broadcast) {
  absl::Status came;
  ASSIGN_OR_RETURN(FileBytes image, FileBytes::Make(bytes, [&](std::span<uint8_t> into) {
                     came = broadcast.Share(into);
                   }));
  RETURN_IF_ERROR(came);
  const Digest digest = DigestOf(image.span());
  if (digest == *brick.digest) return BrickImage{&brick, std::move(image)};
  return DataLoss("brick " + brick.name + " came from rank 0 with the digest " +
                  ToHex(digest).substr(0, 16) + "…, expected " +
                  ToHex(*brick.digest).substr(0, 16) + "…");
}

}  // namespace

absl::Status SendModel(const HostedModel& model, MpiBroadcast& broadcast) {
  ASSIGN_OR_RETURN(std::vector<uint8_t> outline,
                   OutlineOf(*model.file, model.manifest, kOutlineBytesMax));
  uint64_t bytes = outline.size();
  RETURN_IF_ERROR(broadcast.Share({reinterpret_cast<uint8_t*>(&bytes), sizeof bytes}));
  RETURN_IF_ERROR(broadcast.Share(outline));
  for (const Brick& brick : model.manifest.bricks) {
    if (brick.kind != BrickKind::kLayers) continue;
    RETURN_IF_ERROR(SendBrick(model, brick, broadcast));
  }
  return absl::OkStatus();
}

absl::StatusOr<HostedModel> TakeModel(
    const std::function<absl::StatusOr<LayerRange>(int n_layers)>& layers_of,
    MpiBroadcast& broadcast) {
  uint64_t bytes = 0;
  RETURN_IF_ERROR(broadcast.Share({reinterpret_cast<uint8_t*>(&bytes), sizeof bytes}));
  if (bytes == 0 || bytes > kOutlineBytesMax) {
    return InvalidArgument("rank 0 sends an outline of " + std::to_string(bytes) +
                           " bytes, expected 1 to " + std::to_string(kOutlineBytesMax));
  }
  std::vector<uint8_t> text(bytes);
  RETURN_IF_ERROR(broadcast.Share(text));
  ASSIGN_OR_RETURN(Outline outline, ReadOutline(text, "the model that rank 0 sends"));
  ASSIGN_OR_RETURN(const LayerRange own, layers_of(outline.config.n_layers));
  std::vector<BrickImage> images;
  for (const Brick& brick : outline.manifest.bricks) {
    if (brick.kind != BrickKind::kLayers) continue;
    ASSIGN_OR_RETURN(const ImageLayout layout, LayoutOf(brick));
    if (!own.Contains(brick.layers.begin)) {
      RETURN_IF_ERROR(PassBrick(layout.bytes, broadcast));
      continue;
    }
    ASSIGN_OR_RETURN(BrickImage image, TakeBrick(brick, layout.bytes, broadcast));
    images.push_back(std::move(image));
  }
  HostedModel model{nullptr, outline.config, nullptr, outline.manifest};
  ASSIGN_OR_RETURN(model.file, WithBricks(outline, std::move(images), outline.file->path()));
  return model;
}

}  // namespace mortar
