#include "engine/brick/shelf.h"

#include <cstring>
#include <utility>

#include "common/check.h"
#include "engine/brick/digest.h"

namespace mortar {
namespace {

absl::Status FetchesNothing() {
  return FailedPrecondition("this node has its model's file and fetches no bricks");
}

}  // namespace

BrickShelf::BrickShelf(std::shared_ptr<const GgufFile> file, const Manifest& manifest,
                       std::vector<uint8_t> outline)
    : file_(std::move(file)), outline_(std::move(outline)), outline_digest_(DigestOf(outline_)) {
  for (const Brick& brick : manifest.bricks) {
    if (brick.sensitivity != Sensitivity::kPublic) continue;
    CHECK(brick.digest.has_value());
    auto layout = LayoutOf(brick);
    CHECK(layout.ok());  // its tensors lie in a file
    of_file_.emplace(*brick.digest, Shown{brick, *std::move(layout)});
  }
}

std::optional<uint64_t> BrickShelf::Find(const Digest& digest) const {
  if (cache_ != nullptr) return cache_->Find(digest);
  if (digest == outline_digest_) return outline_.size();
  const auto found = of_file_.find(digest);
  return found == of_file_.end() ? std::nullopt : std::optional(found->second.layout.bytes);
}

absl::Status BrickShelf::Read(const Digest& digest, uint64_t offset, std::span<uint8_t> out) {
  if (cache_ != nullptr) {
    ASSIGN_OR_RETURN(const FileBytes bytes, cache_->Map(digest));
    const std::span<const uint8_t> all = bytes.span();
    if (offset > all.size() || out.size() > all.size() - offset) {
      return FailedPrecondition("the brick is shorter than it was");
    }
    std::memcpy(out.data(), all.data() + offset, out.size());
    return bytes.CheckUnchanged();
  }
  if (digest == outline_digest_) {
    CHECK(offset <= outline_.size() && out.size() <= outline_.size() - offset);
    std::memcpy(out.data(), outline_.data() + offset, out.size());
    return absl::OkStatus();
  }
  const auto found = of_file_.find(digest);
  CHECK(found != of_file_.end());
  return ReadImage(*file_, found->second.brick, found->second.layout, offset, out);
}

absl::StatusOr<BrickStore::Begun> BrickShelf::Begin(const Digest& digest, uint64_t bytes) {
  if (cache_ == nullptr) return FetchesNothing();
  return cache_->Begin(digest, bytes);
}

absl::Status BrickShelf::Append(const Digest& digest, uint64_t offset,
                                std::span<const uint8_t> bytes) {
  return cache_ == nullptr ? FetchesNothing() : cache_->Append(digest, offset, bytes);
}

absl::Status BrickShelf::Finish(const Digest& digest) {
  return cache_ == nullptr ? FetchesNothing() : cache_->Finish(digest);
}

absl::Status BrickShelf::Discard(const Digest& digest) {
  return cache_ == nullptr ? FetchesNothing() : cache_->Discard(digest);
}

}  // namespace mortar
