#include "cli/cpus.h"

#include <hwloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "cli/console.h"
#include "engine/kernels/thread_pool.h"

namespace mortar {
namespace {

// The first line of a file of the kernel's, or nothing.
std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

struct FreeTopology {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, FreeTopology>;

struct FreeBitmap {
  void operator()(hwloc_bitmap_s* bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

// Cores, their CPUs and memory nodes alone: caches and devices take time to find.
absl::StatusOr<Topology> LoadTopology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) {
    return ErrnoStatus(errno, "hwloc: begin to read the topology");
  }
  Topology topology(raw);
  hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  if (hwloc_topology_load(raw) != 0) {
    return ErrnoStatus(errno, "hwloc: read this machine's topology");
  }
  return topology;
}

// What hwloc reads without taking more memory than a machine's CPUs need.
bool IsCpuList(const std::string& list) {
  constexpr size_t kBytesMax = 1024;
  constexpr size_t kDigitsMax = 5;  // of a CPU's number
  if (list.empty() || list.size() > kBytesMax) return false;
  if (list.starts_with("0x")) {
    return list.size() > 2 &&
           list.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string::npos;
  }
  size_t digits = 0;
  char before = ',';
  for (const char c : list) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && c != ',' && c != '-') return false;
    digits = digit ? digits + 1 : 0;
    if (digits > kDigitsMax || (!digit && (before == ',' || before == '-'))) return false;
    before = c;
  }
  return digits > 0;
}

absl::StatusOr<Bitmap> ReadCpuList(const std::string& list) {
  Bitmap cpus(hwloc_bitmap_alloc());
  const auto read = list.starts_with("0x") ? hwloc_bitmap_taskset_sscanf : hwloc_bitmap_list_sscanf;
  if (!IsCpuList(list) || read(cpus.get(), list.c_str()) != 0 || hwloc_bitmap_iszero(cpus.get())) {
    return InvalidArgument("expected CPUs, as in 0-3,8 or 0x10f, found '" + OneLine(list) + "'");
  }
  return cpus;
}

std::string ListOf(const Bitmap& cpus) {
  char* text = nullptr;
  if (hwloc_bitmap_list_asprintf(&text, cpus.get()) < 0) return "";
  std::string list = text;
  std::free(text);
  return list;
}

// Those of the process's affinity, or of them those of the list.
absl::StatusOr<Bitmap> AllowedCpus(hwloc_topology_t topology,
                                   const std::optional<std::string>& list) {
  Bitmap allowed(hwloc_bitmap_alloc());
  if (hwloc_get_cpubind(topology, allowed.get(), HWLOC_CPUBIND_PROCESS) != 0) {
    return ErrnoStatus(errno, "cannot read which CPUs this process may run on");
  }
  if (!list) return allowed;
  ASSIGN_OR_RETURN(Bitmap wanted, ReadCpuList(*list));
  if (hwloc_bitmap_isincluded(wanted.get(), allowed.get()) != 0) return wanted;
  return InvalidArgument("expected CPUs of " + ListOf(allowed) +
                         ", which this process may run on, found " + ListOf(wanted));
}

double ToNumber(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() ? -1 : value;
}

// CPUs that the cgroup's quota pays for; 0 without a quota. Containers see their own group at
// the root of the hierarchy.
double CpusOfQuota() {
  const std::string unified = FirstLine("/sys/fs/cgroup/cpu.max");  // "200000 100000" or "max …"
  if (const size_t space = unified.find(' '); space != std::string::npos) {
    const double quota = ToNumber(unified.substr(0, space));
    const double period = ToNumber(unified.substr(space + 1));
    return quota > 0 && period > 0 ? quota / period : 0;
  }
  const double quota = ToNumber(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  const double period = ToNumber(FirstLine("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

absl::StatusOr<CpuOrder> ReadCpus(const std::optional<std::string>& list) {
  ASSIGN_OR_RETURN(const Topology topology, LoadTopology());
  ASSIGN_OR_RETURN(const Bitmap allowed, AllowedCpus(topology.get(), list));
  // hwloc numbers cores node by node. [rank in its core][core]
  std::vector<std::vector<int>> ranks;
  CpuOrder order;
  order.cores = 0;
  const int n_cores = hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_CORE);
  for (int i = 0; i < n_cores; ++i) {
    const hwloc_obj_t core =
        hwloc_get_obj_by_type(topology.get(), HWLOC_OBJ_CORE, static_cast<unsigned>(i));
    size_t rank = 0;
    for (int cpu = hwloc_bitmap_first(core->cpuset); cpu >= 0;
         cpu = hwloc_bitmap_next(core->cpuset, cpu)) {
      if (hwloc_bitmap_isset(allowed.get(), static_cast<unsigned>(cpu)) == 0) continue;
      if (rank == ranks.size()) ranks.emplace_back();
      ranks[rank++].push_back(cpu);
    }
    if (rank > 0) ++order.cores;
  }
  for (const std::vector<int>& cpus : ranks) {
    order.cpus.insert(order.cpus.end(), cpus.begin(), cpus.end());
  }
  if (order.cpus.empty()) return NotFound("hwloc finds no core among CPUs " + ListOf(allowed));
  return order;
}

absl::Status BindProcess(const std::vector<int>& cpus) {
  ASSIGN_OR_RETURN(const Topology topology, LoadTopology());
  const Bitmap set(hwloc_bitmap_alloc());
  for (const int cpu : cpus) hwloc_bitmap_set(set.get(), static_cast<unsigned>(cpu));
  if (hwloc_set_cpubind(topology.get(), set.get(), HWLOC_CPUBIND_PROCESS) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "cannot bind this process to CPUs " + ListOf(set));
}

int ThreadsAssumed(const CpuOrder& cpus) {
  int threads = cpus.cores;
  if (const double quota = CpusOfQuota(); quota > 0) {
    threads = std::min(threads, std::max(1, static_cast<int>(quota)));
  }
  return std::min(threads, kThreadsMax);
}

}  // namespace mortar
