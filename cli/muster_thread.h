// A rank shows life while it reads: its muster, turned by a thread of its own until all agree.
#pragma once

#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "protocol/mpi_muster.h"
#include "protocol/mpi_world.h"

namespace mortar {

// From its making until Stop() it alone uses MPI. Its functions are called by one thread.
class MusterThread {
 public:
  // Both outlive it.
  MusterThread(const MpiWorld& world, const Clock& clock);
  ~MusterThread();
  MusterThread(const MusterThread&) = delete;
  MusterThread& operator=(const MusterThread&) = delete;

  // One round (MpiMuster::Say): what all ranks say. `describe` names a rank. Unavailable: a rank is
  // missing, or MPI's own error; InvalidArgument: a rank sent what is none of it; the error of
  // `check`, which is asked meanwhile.
  absl::StatusOr<std::vector<std::byte>> Round(std::span<const std::byte> mine, bool last,
                                               const std::function<std::string(int rank)>& describe,
                                               const std::function<absl::Status()>& check);

  // MPI is free again.
  void Stop();

 private:
  std::mutex mutex_;
  MpiMuster muster_;  // under the mutex
  std::jthread thread_;
};

// "rank 2 (…) has shown no sign of life for 10 s"
std::string WhyAbsent(const AbsentRank& absent, const std::string& name);

}  // namespace mortar
