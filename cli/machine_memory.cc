#include "cli/machine_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

namespace mortar {
namespace {

// A file of one number; absent when it is none, such as "max".
std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

// Of lines "KEY NUMBER ..."; absent when no line has it.
std::optional<uint64_t> ReadField(const std::string& path, const std::string& wanted) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string key;
    uint64_t number = 0;
    if (fields >> key && key == wanted && fields >> number) return number;
  }
  return std::nullopt;
}

// The files of a version of cgroups: "0::/a/b" of /proc/self/cgroup is a group of v2, and
// "9:cpu,memory:/a/b" one of v1, whose memory has a folder of its own.
struct Cgroups {
  const char* folder;
  const char* limit;
  const char* used;
  const char* cache;  // of memory.stat: pages of files that nobody reads, given back when needed
};
constexpr Cgroups kV1{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes",
                      "total_inactive_file"};
constexpr Cgroups kV2{"/sys/fs/cgroup", "/memory.max", "/memory.current", "inactive_file"};

struct Group {
  Cgroups cgroups;
  std::string path;  // "/a/b"; "/": its root, or that of a namespace of its own
};

std::vector<Group> OwnGroups(const std::string& root) {
  std::vector<Group> groups;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string named = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    if (named == ",,") groups.push_back({kV2, path});
    if (named.find(",memory,") != named.npos) groups.push_back({kV1, path});
  }
  return groups;
}

// What the limit of this folder leaves; absent: it has none.
std::optional<uint64_t> LeftIn(const Cgroups& cgroups, const std::string& folder) {
  const auto limit = ReadNumber(folder + cgroups.limit);
  if (!limit) return std::nullopt;
  const uint64_t all = ReadNumber(folder + cgroups.used).value_or(0);
  const uint64_t cache = ReadField(folder + "/memory.stat", cgroups.cache).value_or(0);
  const uint64_t used = all - std::min(all, cache);
  return *limit - std::min(*limit, used);
}

}  // namespace

uint64_t AvailableMemory(const std::string& root) {
  std::optional<uint64_t> available = ReadField(root + "/proc/meminfo", "MemAvailable:");
  if (available) *available <<= 10;
  for (const Group& group : OwnGroups(root)) {
    // The limits of all groups above hold too, and of the root: in a namespace of its own that is
    // the group itself.
    std::string path = group.path == "/" ? "" : group.path;
    while (true) {
      if (const auto left = LeftIn(group.cgroups, root + group.cgroups.folder + path)) {
        available = std::min(available.value_or(*left), *left);
      }
      if (path.empty()) break;
      path.resize(path.rfind('/'));
    }
  }
  if (!available) return 0;
  return std::max<uint64_t>(1, *available);
}

}  // namespace mortar
