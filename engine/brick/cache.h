// Bricks that were fetched, in a folder: each a file whose name is its digest and whose bytes are
// its image (image.h). For one process at a time.
//
//   DIGEST.brick   whole: it had this digest when it was put here
//   DIGEST.part    as far as it came; a fetch goes on where it ends
//   index          what the whole ones were like when they were hashed, and when each was used; it
//                  has a check line. A brick is trusted while its file has the size, the time and
//                  the inode that stand there, and is hashed anew when not
//   lock           held by the process that has the folder
//
// All together take at most the bytes that were given. Those that were used longest ago go first;
// those in use stay.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/brick_store.h"
#include "common/digest.h"
#include "common/status.h"
#include "engine/gguf/file_bytes.h"

namespace mortar {

// Thread-safe. Begin, Append, Finish and Discard are of one fetch at a time; they and Map touch
// files, and nobody waits for them: the others return at once.
class BrickCache {
 public:
  // Makes the folder where it is not there. FailedPrecondition while another process has it; errors
  // of the system name the path.
  static absl::StatusOr<std::unique_ptr<BrickCache>> Open(const std::string& folder,
                                                          uint64_t bytes_max);
  ~BrickCache();
  BrickCache(const BrickCache&) = delete;
  BrickCache& operator=(const BrickCache&) = delete;

  // Bytes of a whole one.
  std::optional<uint64_t> Find(const Digest& digest) const;
  // One that is here, as it was when it was hashed. NotFound; FailedPrecondition when its file was
  // changed since.
  absl::StatusOr<FileBytes> Map(const Digest& digest);
  // These stay, and no others; they count as used now. Touches no file.
  void Keep(std::set<Digest> in_use);

  // As of BrickStore.
  absl::StatusOr<BrickStore::Begun> Begin(const Digest& digest, uint64_t bytes);
  absl::Status Append(const Digest& digest, uint64_t offset, std::span<const uint8_t> bytes);
  absl::Status Finish(const Digest& digest);
  absl::Status Discard(const Digest& digest);

  uint64_t bytes_max() const { return bytes_max_; }
  uint64_t bytes() const;  // of all files
  int hashed() const;      // bricks that Open had to hash

 private:
  struct Entry {
    FileStamp stamp;
    uint64_t used = 0;  // grows with each use, over all starts
  };
  BrickCache(std::string folder, uint64_t bytes_max)
      : folder_(std::move(folder)), bytes_max_(bytes_max) {}

  std::string WholePath(const Digest& digest) const;
  std::string PartPath(const Digest& digest) const;
  absl::Status Lock();
  absl::Status ReadFolder();
  // The index's entries, none where it is damaged.
  std::unordered_map<Digest, Entry, DigestHash> ReadIndex() const;
  // Lost, it costs a hash at the next start.
  void WriteIndex() const;
  // Forgets what was used longest ago. ResourceExhausted, and nothing is forgotten, where all of
  // that is not enough.
  absl::Status MakeRoom(const Digest& coming, uint64_t bytes);
  std::optional<FileStamp> StampOfWhole(const Digest& digest) const;
  uint64_t PartBytes(const Digest& digest) const;  // 0: nothing of it is here
  // Under mutex_:
  absl::Status CheckRoom(const Digest& coming, uint64_t bytes) const;
  // What CheckRoom has seen that can go: the paths of its files.
  std::vector<std::string> Evict(const Digest& coming, uint64_t bytes);
  uint64_t BytesNow() const;

  const std::string folder_;
  const uint64_t bytes_max_;
  int lock_ = -1;
  int hashed_ = 0;
  mutable std::mutex mutex_;  // guards what follows; held while no file is touched
  std::unordered_map<Digest, Entry, DigestHash> whole_;
  std::unordered_map<Digest, uint64_t, DigestHash> parts_;  // bytes of each
  std::set<Digest> in_use_;
  uint64_t uses_ = 0;
};

}  // namespace mortar
