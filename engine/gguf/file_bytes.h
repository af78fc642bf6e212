// The bytes of a file, read-only: mapped from the file itself or held in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "common/status.h"

namespace mortar {

// Both kinds begin on at least 64 bytes, so that what is aligned in the file is aligned here.
// Movable; const after it is made. The file must not be cut short while it is mapped: the kernel
// kills a process that reads a page which is gone.
class FileBytes {
 public:
  FileBytes() = default;
  // NotFound and the like from the system; InvalidArgument for a directory, a pipe or a device;
  // DataLoss for an empty file. Messages do not repeat the path.
  static absl::StatusOr<FileBytes> Map(const std::string& path);
  static FileBytes Copy(std::span<const uint8_t> bytes);
  ~FileBytes();
  FileBytes(FileBytes&& other) noexcept { *this = std::move(other); }
  FileBytes& operator=(FileBytes&& other) noexcept;

  std::span<const uint8_t> span() const { return {base_, size_}; }

  // Gives the pages wholly inside `part` back to the kernel; reading them again reads the file
  // again. Does nothing to bytes held in memory. Needs: `part` inside span().
  void DropPages(std::span<const uint8_t> part) const;

 private:
  void Release();

  const uint8_t* base_ = nullptr;
  uint64_t size_ = 0;
  bool mapped_ = false;
};

}  // namespace mortar
