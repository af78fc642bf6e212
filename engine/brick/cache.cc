#include "engine/brick/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/check.h"
#include "common/files.h"
#include "engine/brick/digest.h"

namespace mortar {
namespace {

constexpr std::string_view kWholeEnd = ".brick";
constexpr std::string_view kPartEnd = ".part";
// Of ReplaceFile.
constexpr std::string_view kIndexLeft = "index.";
constexpr std::string_view kIndexHead = "mortar bricks 1\n";
// Of an index, in bytes: some 65,536 bricks of 128 bytes.
constexpr std::uintmax_t kIndexBytesMax = 8 << 20;

std::optional<Digest> DigestIn(std::string_view name, std::string_view end) {
  if (!name.ends_with(end)) return std::nullopt;
  return ParseDigest(name.substr(0, name.size() - end.size()));
}

// The next word of a line as a number.
template <typename T>
bool TakeNumber(std::string_view& line, T& value) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc()) return false;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  if (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return true;
}

absl::Status Sync(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path + ": cannot open it");
  const int synced = fsync(fd);
  const int error = errno;
  close(fd);
  return synced == 0 ? absl::OkStatus() : ErrnoStatus(error, path + ": cannot sync it");
}

}  // namespace

absl::StatusOr<std::unique_ptr<BrickCache>> BrickCache::Open(const std::string& folder,
                                                             uint64_t bytes_max) {
  RETURN_IF_ERROR(MakeFolder(folder));
  std::unique_ptr<BrickCache> cache(new BrickCache(folder, bytes_max));
  RETURN_IF_ERROR(cache->Lock());
  RETURN_IF_ERROR(cache->ReadFolder());
  if (cache->hashed_ > 0) cache->WriteIndex();
  return cache;
}

BrickCache::~BrickCache() {
  if (lock_ < 0) return;
  WriteIndex();  // with what was used since
  close(lock_);
}

std::string BrickCache::WholePath(const Digest& digest) const {
  return folder_ + "/" + ToHex(digest) + std::string(kWholeEnd);
}

std::string BrickCache::PartPath(const Digest& digest) const {
  return folder_ + "/" + ToHex(digest) + std::string(kPartEnd);
}

absl::Status BrickCache::Lock() {
  const std::string path = folder_ + "/lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return ErrnoStatus(errno, path + ": cannot open it");
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  const int error = errno;
  close(std::exchange(lock_, -1));
  if (error != EWOULDBLOCK) return ErrnoStatus(error, path + ": cannot lock it");
  return FailedPrecondition(folder_ +
                            ": another process has this folder of bricks; give each its own");
}

absl::Status BrickCache::ReadFolder() {
  const auto index = ReadIndex();
  std::error_code error;
  std::filesystem::directory_iterator files(folder_, error);
  if (error) return ErrnoStatus(error.value(), folder_ + ": cannot read this folder");
  for (const auto& file : files) {
    const std::string name = file.path().filename().string();
    const std::string path = file.path().string();
    // Of a write that was cut off: this process alone has the folder.
    if (name.starts_with(kIndexLeft)) unlink(path.c_str());
    const auto part = DigestIn(name, kPartEnd);
    const auto whole = DigestIn(name, kWholeEnd);
    if (!part && !whole) continue;
    // Opening a pipe under such a name would wait for whoever writes to it.
    const auto type = file.status(error).type();
    if (type == std::filesystem::file_type::fifo || type == std::filesystem::file_type::socket) {
      return FailedPrecondition(path + ": is a pipe or a socket, and no brick");
    }
    const auto stamp = StampOf(path);
    if (!stamp.ok()) return WithContext(stamp.status(), path);
    if (part) parts_[*part] = stamp->bytes;
    if (!whole) continue;
    const auto known = index.find(*whole);
    if (known != index.end() && known->second.stamp == *stamp) {
      whole_[*whole] = known->second;
      uses_ = std::max(uses_, known->second.used);
      continue;
    }
    ++hashed_;
    const auto digest = DigestFile(path);
    if (!digest.ok()) return WithContext(digest.status(), path);
    if (*digest == *whole) {
      whole_[*whole] = {.stamp = *stamp};
    } else if (unlink(path.c_str()) != 0) {
      return ErrnoStatus(errno, path + ": is not what its name says, and cannot be removed");
    }
  }
  return absl::OkStatus();
}

std::unordered_map<Digest, BrickCache::Entry, DigestHash> BrickCache::ReadIndex() const {
  const std::string path = folder_ + "/index";
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error || bytes > kIndexBytesMax || !std::filesystem::is_regular_file(path, error)) return {};
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  constexpr size_t kHexDigits = 2 * sizeof(Digest::bytes);
  const size_t check = text.rfind("check ");
  if (!file.good() || check == std::string::npos || !text.starts_with(kIndexHead) ||
      text.substr(check) != "check " + ToHex(DigestOf(text.substr(0, check))) + "\n") {
    return {};
  }
  std::unordered_map<Digest, Entry, DigestHash> entries;
  std::string_view rest = std::string_view(text).substr(0, check);
  rest.remove_prefix(kIndexHead.size());
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::optional<Digest> digest = ParseDigest(line.substr(0, kHexDigits));
    if (!digest || line.size() < kHexDigits + 1) return {};
    line.remove_prefix(kHexDigits + 1);
    Entry entry;
    if (!TakeNumber(line, entry.stamp.bytes) || !TakeNumber(line, entry.stamp.modified_ns) ||
        !TakeNumber(line, entry.stamp.inode) || !TakeNumber(line, entry.used)) {
      return {};
    }
    entries[*digest] = entry;
  }
  return entries;
}

void BrickCache::WriteIndex() const {
  std::unique_lock lock(mutex_);
  std::string text(kIndexHead);
  for (const auto& [digest, entry] : whole_) {
    text += ToHex(digest) + " " + std::to_string(entry.stamp.bytes) + " " +
            std::to_string(entry.stamp.modified_ns) + " " + std::to_string(entry.stamp.inode) +
            " " + std::to_string(entry.used) + "\n";
  }
  lock.unlock();
  (void)ReplaceFile(folder_ + "/index", text + "check " + ToHex(DigestOf(text)) + "\n");
}

std::optional<uint64_t> BrickCache::Find(const Digest& digest) const {
  std::lock_guard lock(mutex_);
  const auto found = whole_.find(digest);
  return found == whole_.end() ? std::nullopt : std::optional(found->second.stamp.bytes);
}

absl::StatusOr<FileBytes> BrickCache::Map(const Digest& digest) {
  FileStamp hashed;
  {
    std::lock_guard lock(mutex_);
    const auto found = whole_.find(digest);
    if (found == whole_.end()) return NotFound("no brick " + ToHex(digest) + " in " + folder_);
    hashed = found->second.stamp;
  }
  const std::string path = WholePath(digest);
  auto bytes = FileBytes::Map(path);
  if (!bytes.ok()) return WithContext(bytes.status(), path);
  if (bytes->stamp() != hashed) {
    return FailedPrecondition(path + ": was changed since it was hashed; remove it");
  }
  return bytes;
}

void BrickCache::Keep(std::set<Digest> in_use) {
  std::lock_guard lock(mutex_);
  in_use_ = std::move(in_use);
  for (const Digest& digest : in_use_) {
    const auto found = whole_.find(digest);
    if (found != whole_.end()) found->second.used = ++uses_;
  }
}

uint64_t BrickCache::BytesNow() const {
  uint64_t bytes = 0;
  for (const auto& [digest, entry] : whole_) bytes += entry.stamp.bytes;
  for (const auto& [digest, part] : parts_) bytes += part;
  return bytes;
}

uint64_t BrickCache::bytes() const {
  std::lock_guard lock(mutex_);
  return BytesNow();
}

int BrickCache::hashed() const { return hashed_; }

absl::Status BrickCache::CheckRoom(const Digest& coming, uint64_t bytes) const {
  uint64_t stays = 0;
  for (const auto& [digest, entry] : whole_) {
    if (in_use_.contains(digest)) stays += entry.stamp.bytes;
  }
  for (const auto& [digest, part] : parts_) {
    if (digest == coming || in_use_.contains(digest)) stays += part;
  }
  if (stays <= bytes_max_ && bytes <= bytes_max_ - stays) return absl::OkStatus();
  return ResourceExhausted(folder_ + ": " + std::to_string(bytes) +
                           " more bytes of bricks are wanted beside " + std::to_string(stays) +
                           " in use, and it may have " + std::to_string(bytes_max_));
}

std::vector<std::string> BrickCache::Evict(const Digest& coming, uint64_t bytes) {
  std::vector<std::string> out;
  // What was begun and is not wanted now goes before what is whole.
  while (BytesNow() > bytes_max_ - bytes) {
    const auto part = std::ranges::find_if(
        parts_, [&](const auto& p) { return p.first != coming && !in_use_.contains(p.first); });
    if (part != parts_.end()) {
      out.push_back(PartPath(part->first));
      parts_.erase(part);
      continue;
    }
    auto oldest = whole_.end();
    for (auto it = whole_.begin(); it != whole_.end(); ++it) {
      if (in_use_.contains(it->first)) continue;
      if (oldest == whole_.end() || it->second.used < oldest->second.used) oldest = it;
    }
    CHECK(oldest != whole_.end());  // CheckRoom has looked
    out.push_back(WholePath(oldest->first));
    whole_.erase(oldest);
  }
  return out;
}

absl::Status BrickCache::MakeRoom(const Digest& coming, uint64_t bytes) {
  std::vector<std::string> out;
  {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(CheckRoom(coming, bytes));
    out = Evict(coming, bytes);
  }
  for (const std::string& path : out) unlink(path.c_str());
  return absl::OkStatus();
}

std::optional<FileStamp> BrickCache::StampOfWhole(const Digest& digest) const {
  std::lock_guard lock(mutex_);
  const auto whole = whole_.find(digest);
  return whole == whole_.end() ? std::nullopt : std::optional(whole->second.stamp);
}

uint64_t BrickCache::PartBytes(const Digest& digest) const {
  std::lock_guard lock(mutex_);
  const auto part = parts_.find(digest);
  return part == parts_.end() ? 0 : part->second;
}

absl::StatusOr<BrickStore::Begun> BrickCache::Begin(const Digest& digest, uint64_t bytes) {
  if (const auto hashed = StampOfWhole(digest)) {
    const auto stamp = StampOf(WholePath(digest));
    if (stamp.ok() && *stamp == *hashed) return BrickStore::Begun{.whole = true};
    // Somebody removed or changed it: it is fetched again.
    unlink(WholePath(digest).c_str());
    std::lock_guard lock(mutex_);
    whole_.erase(digest);
  }
  uint64_t have = PartBytes(digest);
  const auto stamp = StampOf(PartPath(digest));
  // More than it has, or as far as a size is not known, or not what was written: from the
  // beginning.
  if (have > bytes || (stamp.ok() ? stamp->bytes : 0) != have) {
    RETURN_IF_ERROR(Discard(digest));
    have = 0;
  }
  RETURN_IF_ERROR(MakeRoom(digest, bytes > have ? bytes - have : 0));
  return BrickStore::Begun{.whole = false, .bytes = have};
}

absl::Status BrickCache::Append(const Digest& digest, uint64_t offset,
                                std::span<const uint8_t> bytes) {
  CHECK(offset == PartBytes(digest));
  RETURN_IF_ERROR(MakeRoom(digest, bytes.size()));
  const std::string path = PartPath(digest);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, path + ": cannot open it");
  absl::Status status;
  if (ftruncate(fd, static_cast<off_t>(offset)) != 0 ||
      lseek(fd, static_cast<off_t>(offset), SEEK_SET) < 0) {
    status = ErrnoStatus(errno, path + ": cannot go to its end");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (status.ok()) status = WriteAll(fd, text, path);
  // What did come of it is no use, and the disk may be full.
  if (!status.ok() && ftruncate(fd, static_cast<off_t>(offset)) != 0) (void)Discard(digest);
  close(fd);
  RETURN_IF_ERROR(status);
  std::lock_guard lock(mutex_);
  parts_[digest] = offset + bytes.size();
  return absl::OkStatus();
}

absl::Status BrickCache::Finish(const Digest& digest) {
  const std::string part = PartPath(digest);
  const std::string whole = WholePath(digest);
  ASSIGN_OR_RETURN(const Digest found, DigestFile(part));
  if (found != digest) {
    RETURN_IF_ERROR(Discard(digest));
    return DataLoss("its bytes have the digest " + ToHex(found).substr(0, 16) + "…, expected " +
                    ToHex(digest).substr(0, 16) + "…");
  }
  RETURN_IF_ERROR(Sync(part, O_RDONLY));
  if (rename(part.c_str(), whole.c_str()) != 0) {
    return ErrnoStatus(errno, part + ": cannot rename it");
  }
  RETURN_IF_ERROR(Sync(folder_, O_RDONLY | O_DIRECTORY));
  const auto stamp = StampOf(whole);
  if (!stamp.ok()) return WithContext(stamp.status(), whole);
  {
    std::lock_guard lock(mutex_);
    parts_.erase(digest);
    whole_[digest] = {.stamp = *stamp, .used = ++uses_};
  }
  WriteIndex();
  return absl::OkStatus();
}

absl::Status BrickCache::Discard(const Digest& digest) {
  {
    std::lock_guard lock(mutex_);
    parts_.erase(digest);
  }
  if (unlink(PartPath(digest).c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, PartPath(digest) + ": cannot remove it");
}

}  // namespace mortar
