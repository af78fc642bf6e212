// Sees that an allow-list was changed, beside a node that must not wait for a disk.
#pragma once

#include <sys/stat.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/status.h"
#include "protocol/allow_list.h"

namespace mortar {

// Between two looks. What stands in the file at two of them in a row is read: a program that writes
// it piece by piece is done by then.
inline constexpr Duration kAllowListInterval = std::chrono::milliseconds(100);

class AllowListWatch {
 public:
  explicit AllowListWatch(std::string path) : path_(std::move(path)) {}
  ~AllowListWatch();  // ends its thread
  AllowListWatch(const AllowListWatch&) = delete;
  AllowListWatch& operator=(const AllowListWatch&) = delete;

  using Found = std::optional<absl::StatusOr<AllowList>>;

  // Reads the list for the first time. Before Start.
  absl::StatusOr<AllowList> Read();
  // From now on it looks by itself, on a thread of its own.
  void Start();
  // The list when it is another one than was read last, or, once for each state of the file, why it
  // cannot be read. From any thread; never waits for the file.
  Found Take();

  // One look, as the thread does it. Not after Start.
  Found Look();

 private:
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;  // -1: no file
    time_t seconds = 0;
    long nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp StampOf() const;
  void Run();

  const std::string path_;
  Stamp seen_{};                  // that was read last
  std::optional<Stamp> changed_;  // seen once
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  Found found_;
  std::thread thread_;
};

}  // namespace mortar
