// Keys on disk: a node's own pair, and the list of those who may dial it (protocol/allow_list.h).
// `mortar keys` writes both, nodes read them.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "cli/settings.h"
#include "common/clock.h"
#include "common/status.h"
#include "protocol/allow_list.h"
#include "protocol/keys.h"

namespace mortar {

// ${XDG_CONFIG_HOME:-~/.config}/mortar/NAME.
std::string ConfigPath(const Environment& environment, const std::string& name);

// TOML with `public` and `secret`, 64 hexadecimal digits each. Every error names the file: it is
// not there, other users may read it, it holds anything else, or the two do not belong together.
absl::StatusOr<KeyPair> ReadKeyFile(const std::string& path);
// A new file that its owner alone may read, with the folders before it. AlreadyExists when there is
// one: a key that is overwritten is lost.
absl::Status WriteKeyFile(const std::string& path, const KeyPair& keys);

absl::StatusOr<AllowList> ReadAllowList(const std::string& path);
// Puts the line of a key into the list, or in the place of its old one; makes the file when there
// is none. Whoever reads meanwhile sees the old list or the new one; two who write wait for one
// another.
absl::Status AllowKey(const std::string& path, const AllowedKey& key);
// NotFound when the key is not on the list.
absl::Status RevokeKey(const std::string& path, const PublicKey& key);

// Sees that an allow-list was changed. Used by one thread.
class AllowListWatch {
 public:
  explicit AllowListWatch(std::string path) : path_(std::move(path)) {}

  // Reads the list for the first time.
  absl::StatusOr<AllowList> Read();
  // The list when it is another one than was read last. Looks at the file no more often than every
  // kAllowListInterval. An error once for each state of the file that cannot be read.
  absl::StatusOr<std::optional<AllowList>> Changed(Time now);

 private:
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;  // -1: no file
    time_t seconds = 0;
    long nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp Look() const;

  std::string path_;
  Stamp seen_{};
  Time looked_{};
};

// A key that was taken off the list is turned out after so long at the latest.
inline constexpr Duration kAllowListInterval = std::chrono::milliseconds(200);

}  // namespace mortar
