#include "cli/machine_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace mortar {
namespace {

// A file of one number; absent when it is none, such as "max".
std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

uint64_t AvailableOfTheMachine() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  while (file >> key) {
    uint64_t kibibytes = 0;
    if (key == "MemAvailable:" && file >> kibibytes) return kibibytes << 10;
    file.ignore(256, '\n');
  }
  return 0;
}

// "0::/a/b" is the group of cgroup v2.
std::string OwnGroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return line.substr(3);
  }
  return "";
}

}  // namespace

uint64_t AvailableMemory() {
  uint64_t available = AvailableOfTheMachine();
  // The limits of all groups above hold too.
  std::string group = OwnGroup();
  while (group.size() > 1) {
    const std::string folder = "/sys/fs/cgroup" + group;
    if (const auto limit = ReadNumber(folder + "/memory.max")) {
      const uint64_t used = ReadNumber(folder + "/memory.current").value_or(0);
      available = std::min(available, *limit > used ? *limit - used : 0);
    }
    group.resize(group.rfind('/'));
  }
  return available;
}

}  // namespace mortar
