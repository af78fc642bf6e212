// Sees that files were changed, beside a node that must not wait for a disk.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "engine/gguf/file_bytes.h"

namespace mortar {

// Between two looks. What stands in the files at two of them in a row is read: a program that
// writes one piece by piece is done by then.
inline constexpr Duration kFileWatchInterval = std::chrono::milliseconds(100);

// T is what stands in the files together.
template <typename T>
class FileWatch {
 public:
  using Found = std::optional<absl::StatusOr<T>>;

  FileWatch(std::vector<std::string> paths, std::function<absl::StatusOr<T>()> read)
      : paths_(std::move(paths)), read_(std::move(read)) {}
  ~FileWatch() {  // ends its thread
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Reads the files for the first time. Before Start.
  absl::StatusOr<T> Read() {
    seen_ = StampsNow();  // before they are read: what changes meanwhile is another state
    return read_();
  }
  // From now on it looks by itself, on a thread of its own.
  void Start() {
    thread_ = std::thread([this] { Run(); });
  }
  // What the files hold when that is not what was read last, or, once for each state of them, why
  // they cannot be read. From any thread; never waits for a file.
  Found Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(found_, std::nullopt);
  }

  // One look, as the thread does it. Not after Start.
  Found Look() {
    Stamps now = StampsNow();
    if (now == seen_) {
      changed_.reset();
      return std::nullopt;
    }
    if (changed_ != now) {
      changed_ = std::move(now);
      return std::nullopt;
    }
    changed_.reset();
    return Read();
  }

 private:
  using Stamps = std::vector<std::optional<FileStamp>>;  // absent: no file
  Stamps StampsNow() const {
    Stamps stamps;
    for (const std::string& path : paths_) {
      const auto stamp = StampOf(path);
      stamps.push_back(stamp.ok() ? std::optional(*stamp) : std::nullopt);
    }
    return stamps;
  }
  void Run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kFileWatchInterval, [this] { return stopping_; })) {
      lock.unlock();
      Found found = Look();
      lock.lock();
      if (found) found_ = std::move(found);
    }
  }

  const std::vector<std::string> paths_;
  const std::function<absl::StatusOr<T>()> read_;
  Stamps seen_;                    // that were read last
  std::optional<Stamps> changed_;  // seen once
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  Found found_;
  std::thread thread_;
};

}  // namespace mortar
