// Sees that an allow-list, or a node's keys, were changed.
#pragma once

#include <string>

#include "cli/file_watch.h"
#include "cli/key_files.h"

namespace mortar {

class AllowListWatch : public FileWatch<AllowList> {
 public:
  explicit AllowListWatch(const std::string& path)
      : FileWatch({path}, [path] { return ReadAllowList(path); }) {}
};

// FILE and FILE.next.
class NodeKeysWatch : public FileWatch<NodeKeys> {
 public:
  explicit NodeKeysWatch(const std::string& path)
      : FileWatch({path, NextKeyPath(path)}, [path] { return ReadKeyFiles(path); }) {}
};

}  // namespace mortar
