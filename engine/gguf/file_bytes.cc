#include "engine/gguf/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "common/check.h"

namespace mortar {
namespace {

constexpr std::align_val_t kHeldAlignment{64};

FileStamp ToStamp(const struct stat& info) {
  return {static_cast<uint64_t>(info.st_size),
          info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec,
          static_cast<uint64_t>(info.st_ino)};
}

struct Mapping {
  const uint8_t* base = nullptr;
  FileStamp stamp;
};

// The mapping of all of an open file.
absl::StatusOr<Mapping> MapDescriptor(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, "cannot read its size");
  if (S_ISDIR(info.st_mode)) return InvalidArgument("is a directory, expected a file");
  if (!S_ISREG(info.st_mode)) return InvalidArgument("is not a regular file");
  if (info.st_size == 0) return DataLoss("the file is empty (is the download complete?)");
  const auto size = static_cast<size_t>(info.st_size);
  void* const address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return ErrnoStatus(errno, "cannot map it");
  // Weights do not belong into core dumps. A kernel without the advice loses nothing else.
  madvise(address, size, MADV_DONTDUMP);
  return Mapping{static_cast<const uint8_t*>(address), ToStamp(info)};
}

}  // namespace

absl::StatusOr<FileStamp> StampOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot read its size");
  return ToStamp(info);
}

absl::StatusOr<FileBytes> FileBytes::Map(const std::string& path) {
  // O_NONBLOCK: a named pipe without a writer is refused instead of waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, "cannot open it");
  const auto mapping = MapDescriptor(fd);
  if (!mapping.ok()) {
    close(fd);
    return mapping.status();
  }
  FileBytes bytes;
  bytes.fd_ = fd;
  bytes.base_ = mapping->base;
  bytes.size_ = mapping->stamp.bytes;
  bytes.stamp_ = mapping->stamp;
  bytes.is_mapping_ = true;
  bytes.path_ = path;
  return bytes;
}

absl::StatusOr<FileBytes> FileBytes::Make(uint64_t n_bytes,
                                          const std::function<void(std::span<uint8_t>)>& fill) {
  FileBytes bytes;
  if (n_bytes == 0) return bytes;
  void* const address =
      mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    return ErrnoStatus(errno, "map " + std::to_string(n_bytes) + " bytes of memory");
  }
  madvise(address, n_bytes, MADV_DONTDUMP);
  bytes.base_ = static_cast<const uint8_t*>(address);
  bytes.size_ = n_bytes;
  bytes.is_mapping_ = true;
  fill({static_cast<uint8_t*>(address), n_bytes});
  return bytes;
}

FileBytes FileBytes::Copy(std::span<const uint8_t> source) {
  auto* const held = static_cast<uint8_t*>(::operator new(source.size(), kHeldAlignment));
  if (!source.empty()) std::memcpy(held, source.data(), source.size());
  FileBytes bytes;
  bytes.base_ = held;
  bytes.size_ = source.size();
  return bytes;
}

FileBytes::~FileBytes() { Release(); }

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  if (this == &other) return *this;
  Release();
  base_ = std::exchange(other.base_, nullptr);
  size_ = std::exchange(other.size_, 0);
  stamp_ = std::exchange(other.stamp_, std::nullopt);
  is_mapping_ = std::exchange(other.is_mapping_, false);
  fd_ = std::exchange(other.fd_, -1);
  path_ = std::move(other.path_);
  return *this;
}

void FileBytes::Release() {
  if (base_ == nullptr) return;
  auto* const address = const_cast<uint8_t*>(base_);
  if (fd_ >= 0) close(fd_);
  if (is_mapping_) {
    munmap(address, size_);
  } else {
    ::operator delete(address, kHeldAlignment);
  }
}

absl::Status FileBytes::CheckUnchanged() const {
  if (!stamp_) return absl::OkStatus();
  struct stat info = {};
  if (fstat(fd_, &info) != 0) return ErrnoStatus(errno, path_ + ": cannot read its size");
  if (ToStamp(info) == *stamp_) return absl::OkStatus();
  return FailedPrecondition(
      path_ +
      ": was written to since this process opened it; end the process and start it anew to use it "
      "as it is now");
}

void FileBytes::DropPages(std::span<const uint8_t> part) const {
  if (!stamp_ || part.empty()) return;
  CHECK(part.data() >= base_ && part.size() <= size_);
  const uint64_t begin = static_cast<uint64_t>(part.data() - base_);
  CHECK(begin <= size_ - part.size());
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t first = (begin + page - 1) / page * page;
  const uint64_t end = begin + part.size();
  // The file's last page is whole for the kernel although the file ends inside it.
  const uint64_t last = end == size_ ? (end + page - 1) / page * page : end / page * page;
  if (first >= last) return;
  madvise(const_cast<uint8_t*>(base_) + first, last - first, MADV_DONTNEED);
}

}  // namespace mortar
