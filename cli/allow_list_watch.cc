#include "cli/allow_list_watch.h"

#include "cli/key_files.h"

namespace mortar {

AllowListWatch::~AllowListWatch() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

AllowListWatch::Stamp AllowListWatch::StampOf() const {
  struct stat s{};
  if (stat(path_.c_str(), &s) != 0) return {};
  return {s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
}

absl::StatusOr<AllowList> AllowListWatch::Read() {
  seen_ = StampOf();  // before it is read: what changes meanwhile is another state
  return ReadAllowList(path_);
}

AllowListWatch::Found AllowListWatch::Look() {
  const Stamp now = StampOf();
  if (now == seen_) {
    changed_.reset();
    return std::nullopt;
  }
  if (changed_ != now) {
    changed_ = now;
    return std::nullopt;
  }
  changed_.reset();
  return Read();
}

void AllowListWatch::Start() {
  thread_ = std::thread([this] { Run(); });
}

void AllowListWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kAllowListInterval, [this] { return stopping_; })) {
    lock.unlock();
    Found found = Look();
    lock.lock();
    if (found) found_ = std::move(found);
  }
}

AllowListWatch::Found AllowListWatch::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(found_, std::nullopt);
}

}  // namespace mortar
