#include "engine/brick/image.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"

namespace mortar {
namespace {

template <typename T>
void PutNumber(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Of bytes that begin at `begin` in the image, those that fall into the window.
void CopyInto(std::span<uint8_t> window, uint64_t window_at, std::span<const uint8_t> bytes,
              uint64_t begin) {
  const uint64_t from = std::max(begin, window_at);
  const uint64_t end = std::min(begin + bytes.size(), window_at + window.size());
  if (from >= end) return;
  std::memcpy(window.data() + (from - window_at), bytes.data() + (from - begin), end - from);
}

std::span<const uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string FrameOf(const BrickTensor& tensor) {
  std::string frame;
  PutNumber(uint64_t{tensor.name.size()}, frame);
  frame += tensor.name;
  PutNumber(static_cast<uint32_t>(tensor.type), frame);
  PutNumber(static_cast<uint32_t>(tensor.shape.size()), frame);
  for (const uint64_t extent : tensor.shape) PutNumber(extent, frame);
  PutNumber(tensor.bytes, frame);
  return frame;
}

absl::StatusOr<ImageLayout> LayoutOf(const Brick& brick) {
  ImageLayout layout;
  for (const BrickTensor& tensor : brick.tensors) {
    ImagePlace place{.frame = (layout.tensors.empty() ? kImageHead : "") + FrameOf(tensor)};
    place.offset = layout.bytes + place.frame.size();
    if (__builtin_add_overflow(place.offset, tensor.bytes, &layout.bytes)) {
      return InvalidArgument("brick " + brick.name + ": its size exceeds 64 bits");
    }
    layout.tensors.push_back(std::move(place));
  }
  return layout;
}

absl::Status ReadImage(const GgufFile& file, const Brick& brick, const ImageLayout& layout,
                       uint64_t offset, std::span<uint8_t> out) {
  CHECK(layout.tensors.size() == brick.tensors.size());
  CHECK(offset <= layout.bytes && out.size() <= layout.bytes - offset);
  RETURN_IF_ERROR(file.CheckUnchanged());
  for (size_t i = 0; i < brick.tensors.size(); ++i) {
    const ImagePlace& place = layout.tensors[i];
    const uint64_t begin = place.offset - place.frame.size();
    const uint64_t end = place.offset + brick.tensors[i].bytes;
    if (end <= offset || begin >= offset + out.size()) continue;
    CopyInto(out, offset, BytesOf(place.frame), begin);
    const TensorInfo* tensor = file.FindTensor(brick.tensors[i].name);
    CHECK(tensor != nullptr && tensor->bytes == brick.tensors[i].bytes);
    const std::span<const uint8_t> data = file.Data(*tensor);
    CopyInto(out, offset, data, place.offset);
    const uint64_t first = std::max(place.offset, offset) - place.offset;
    const uint64_t last = std::min(end, offset + out.size()) - place.offset;
    if (last > first && last <= data.size()) {
      file.DropPages(*tensor, data.subspan(first, last - first));
    }
  }
  // What was copied is what the digest speaks of.
  return file.CheckUnchanged();
}

absl::Status CheckImage(const ImageLayout& layout, std::span<const uint8_t> image) {
  if (image.size() != layout.bytes) {
    return DataLoss("a brick of " + std::to_string(image.size()) + " bytes, expected " +
                    std::to_string(layout.bytes));
  }
  for (const ImagePlace& place : layout.tensors) {
    const auto frame = image.subspan(place.offset - place.frame.size(), place.frame.size());
    if (!std::ranges::equal(frame, BytesOf(place.frame))) {
      return DataLoss("a brick with another frame at " +
                      std::to_string(place.offset - place.frame.size()));
    }
  }
  return absl::OkStatus();
}

}  // namespace mortar
