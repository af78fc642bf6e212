// Bricks as bytes, by their digests, for whoever sends and fetches them: what they are made of is
// the engine's (engine/brick/shelf.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/digest.h"
#include "common/status.h"

namespace mortar {

// Find is for any thread and returns at once; the others touch files: for jobs, one at a time.
class BrickStore {
 public:
  virtual ~BrickStore() = default;

  // How many bytes a public brick or an outline has that is whole here; nothing for any other.
  virtual std::optional<uint64_t> Find(const Digest& digest) const = 0;
  // Bytes [offset, offset + out.size()) of one that Find knows.
  virtual absl::Status Read(const Digest& digest, uint64_t offset, std::span<uint8_t> out) = 0;

  // --- Of one that is fetched, from its first byte to its last ---
  struct Begun {
    bool whole = false;  // it is here already
    uint64_t bytes = 0;  // of it that are here
  };
  // Makes room for it. `bytes`: that it will have; 0: not known. ResourceExhausted, with the
  // numbers, when there is none.
  virtual absl::StatusOr<Begun> Begin(const Digest& digest, uint64_t bytes) = 0;
  // Adds what follows the `offset` bytes that are here.
  virtual absl::Status Append(const Digest& digest, uint64_t offset,
                              std::span<const uint8_t> bytes) = 0;
  // All bytes are here: hashes them and keeps the brick under its name, safe from a loss of power.
  // DataLoss when they have another digest; they are gone then.
  virtual absl::Status Finish(const Digest& digest) = 0;
  // Forgets the bytes that Append has added.
  virtual absl::Status Discard(const Digest& digest) = 0;
};

}  // namespace mortar
