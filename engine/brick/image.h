// A brick as bytes: exactly those that its digest is over, so that whoever has them all can prove
// that they are the brick. They are the frame of digest.h: a line, then for each tensor what names
// it and its bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/gguf.h"

namespace mortar {

// What stands before the tensors, and before the bytes of each.
inline constexpr char kImageHead[] = "mortar brick 1\n";
std::string FrameOf(const BrickTensor& tensor);

// Where the parts of an image lie, in bytes from its beginning.
struct ImagePlace {
  std::string frame;    // before the tensor's bytes, the head of the image included
  uint64_t offset = 0;  // of the tensor's bytes
};
struct ImageLayout {
  std::vector<ImagePlace> tensors;  // as the brick's
  uint64_t bytes = 0;               // of the image
};
// InvalidArgument when the bytes exceed 64 bits.
absl::StatusOr<ImageLayout> LayoutOf(const Brick& brick);

// Bytes [offset, offset + out.size()) of the image of a brick whose tensors `file` has. The file's
// pages are given back. FailedPrecondition when the file was written to since it was opened.
// Needs: `brick` comes from this file, and the bytes lie in the image.
absl::Status ReadImage(const GgufFile& file, const Brick& brick, const ImageLayout& layout,
                       uint64_t offset, std::span<uint8_t> out);

// Whether `image` has this layout: its size and every frame. DataLoss says where not. What the
// tensors hold is the digest's to prove.
absl::Status CheckImage(const ImageLayout& layout, std::span<const uint8_t> image);

}  // namespace mortar
