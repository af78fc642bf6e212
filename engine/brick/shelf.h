// The bricks that a node has, for those that it sends to and for the fetch that adds some: public
// ones of its model's file, what it fetched, and the model's outline.
//
// A private brick is not on the shelf: whoever asks for it by its digest hears what he hears of one
// that nobody has.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/brick_store.h"
#include "engine/brick/cache.h"
#include "engine/brick/image.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/gguf.h"

namespace mortar {

class BrickShelf final : public BrickStore {
 public:
  // Of a file, whose manifest has all digests, and its outline, which OutlineOf made.
  BrickShelf(std::shared_ptr<const GgufFile> file, const Manifest& manifest,
             std::vector<uint8_t> outline);
  // Of what is fetched, which outlives the shelf.
  explicit BrickShelf(BrickCache& cache) : cache_(&cache) {}

  // Of a shelf with a file; its digest is that of the outline's bytes.
  const std::optional<Digest>& outline() const { return outline_digest_; }

  std::optional<uint64_t> Find(const Digest& digest) const override;
  absl::Status Read(const Digest& digest, uint64_t offset, std::span<uint8_t> out) override;
  absl::StatusOr<Begun> Begin(const Digest& digest, uint64_t bytes) override;
  absl::Status Append(const Digest& digest, uint64_t offset,
                      std::span<const uint8_t> bytes) override;
  absl::Status Finish(const Digest& digest) override;
  absl::Status Discard(const Digest& digest) override;

 private:
  struct Shown {
    Brick brick;
    ImageLayout layout;
  };
  std::shared_ptr<const GgufFile> file_;
  std::unordered_map<Digest, Shown, DigestHash> of_file_;
  std::vector<uint8_t> outline_;
  std::optional<Digest> outline_digest_;
  BrickCache* cache_ = nullptr;
};

}  // namespace mortar
