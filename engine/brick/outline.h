// The outline of a model as a blob with a digest of its own: what a node needs that has no file, to
// know the model's shape, its bricks, and what each brick must be.
//
// It is a GGUF outline (engine/gguf/outline.h) with the keys that say what the model computes,
// general.name, and the digests of all bricks; nothing of its tokens. The tensors that belong to
// every layer have their bytes. Two files of one model have the same outline when they say the same
// of it, whatever else stands in them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/file_bytes.h"
#include "engine/gguf/gguf.h"
#include "engine/model/config.h"

namespace mortar {

// Of a model all of whose bricks are public and have their digests. FailedPrecondition when one is
// private; ResourceExhausted when the outline exceeds `bytes_max`.
absl::StatusOr<std::vector<uint8_t>> OutlineOf(const GgufFile& file, const Manifest& manifest,
                                               uint64_t bytes_max);

struct Outline {
  std::shared_ptr<GgufFile> file;  // its tensors listed, most without bytes
  ModelConfig config;
  Manifest manifest;  // every brick has its digest
};
// Errors begin with `name`: of GGUF, of the model's shape, InvalidArgument where the digests are
// not those of its bricks. Hostile bytes get an error.
absl::StatusOr<Outline> ReadOutline(std::span<const uint8_t> bytes, const std::string& name);

// The bytes of a brick, as the image of image.h.
struct BrickImage {
  const Brick* brick = nullptr;
  FileBytes bytes;
};
// The model with the tensors of these bricks where their images have them. DataLoss when an image
// is not its brick's, or says something else than the outline of a tensor that both have.
absl::StatusOr<std::shared_ptr<GgufFile>> WithBricks(const Outline& outline,
                                                     std::vector<BrickImage> images,
                                                     const std::string& name);

}  // namespace mortar
