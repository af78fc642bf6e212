// The CPUs that this process may run on, as hwloc tells them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/status.h"

namespace mortar {

// The CPUs that threads may run on, in the order in which they take them: one of each core, the
// cores of one memory node after those of another, then the second of each core, and so on.
struct CpuOrder {
  std::vector<int> cpus;  // the system's numbers
  int cores = 1;          // physical ones
};

// Those of the process's affinity, or of them those that `list` names: "0-3,8", or a mask, "0x10f".
// InvalidArgument for a list that cannot be read or names others; what the system says when the
// topology cannot be read.
absl::StatusOr<CpuOrder> ReadCpus(const std::optional<std::string>& list);

// From now on this process, and the threads that it starts, run on these CPUs alone.
absl::Status BindProcess(const std::vector<int>& cpus);

// Threads where nobody says how many: the cores, but no more than the cgroup's quota pays for, and
// at least 1.
int ThreadsAssumed(const CpuOrder& cpus);

}  // namespace mortar
