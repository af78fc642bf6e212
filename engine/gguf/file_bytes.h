// The bytes of a file, read-only: mapped from the file itself, held in memory, or made there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "common/status.h"

namespace mortar {

// What tells one state of a file from another: by these, what was computed from a file is known
// to be still true of it.
struct FileStamp {
  uint64_t bytes = 0;
  int64_t modified_ns = 0;  // since 1970
  uint64_t inode = 0;

  bool operator==(const FileStamp&) const = default;
};

// All kinds begin on at least 64 bytes, so that what is aligned in the file is aligned here.
// Movable; const after it is made. A file that is written to in place shows its new bytes here, and
// the kernel kills a process that reads a page which was cut off: CheckUnchanged() before reading
// leaves only the time in between. A file that was replaced or deleted is read as it was.
class FileBytes {
 public:
  FileBytes() = default;
  // NotFound and the like from the system; InvalidArgument for a directory, a pipe or a device;
  // DataLoss for an empty file. These messages do not repeat the path.
  static absl::StatusOr<FileBytes> Map(const std::string& path);
  static FileBytes Copy(std::span<const uint8_t> bytes);
  // `bytes` of memory that `fill` writes once; they stay out of core dumps. ResourceExhausted when
  // the system does not give so many.
  static absl::StatusOr<FileBytes> Make(uint64_t bytes,
                                        const std::function<void(std::span<uint8_t>)>& fill);
  ~FileBytes();
  FileBytes(FileBytes&& other) noexcept { *this = std::move(other); }
  FileBytes& operator=(FileBytes&& other) noexcept;

  std::span<const uint8_t> span() const { return {base_, size_}; }
  const std::string& path() const { return path_; }  // empty for bytes held in memory
  // Of the file when it was mapped; nothing for bytes held in memory.
  const std::optional<FileStamp>& stamp() const { return stamp_; }

  // FailedPrecondition, with the file's path, when the mapped file was written to or cut short
  // since. Always OK for bytes held in memory. What a clock tick (some 4 ms) hides from the file's
  // time is not seen.
  absl::Status CheckUnchanged() const;

  // Gives the pages wholly inside `part` back to the kernel; reading them again reads the file
  // again. Does nothing to bytes held in memory. Needs: `part` inside span().
  void DropPages(std::span<const uint8_t> part) const;

 private:
  void Release();

  const uint8_t* base_ = nullptr;
  uint64_t size_ = 0;
  std::optional<FileStamp> stamp_;  // absent: no file
  bool is_mapping_ = false;         // the memory came from mmap
  int fd_ = -1;                     // of the mapped file
  std::string path_;                // of the mapped file
};

// The stamp of the file that `path` names now. Errors do not repeat the path.
absl::StatusOr<FileStamp> StampOf(const std::string& path);

}  // namespace mortar
