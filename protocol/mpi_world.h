// The job that mpirun started, as one of its ranks sees it.
#pragma once

#include <memory>
#include <string>

#include "common/status.h"
#include "protocol/mpi_plugin.h"

namespace mortar {

// Used by one thread.
class MpiWorld {
 public:
  // Loads the plug-in from `folder` or from `folder`/../lib, where the program lies in `folder`,
  // and joins the job: once a process. FailedPrecondition: the plug-in or OpenMPI cannot be loaded,
  // and which package has it; Unavailable: MPI's own error.
  static absl::StatusOr<std::unique_ptr<MpiWorld>> Join(const std::string& folder);
  // The same of functions that are there already.
  static absl::StatusOr<std::unique_ptr<MpiWorld>> JoinWith(const MpiFunctions& mpi);

  int rank() const { return rank_; }
  int size() const { return size_; }
  const MpiFunctions& mpi() const { return mpi_; }
  void* job() const { return job_; }
  // The same ranks' other line: of shards (protocol/mpi_shards.h).
  void* second_job() const { return second_job_; }

  // Ends this rank's part, once all ranks call it.
  absl::Status Leave();
  // Ends all ranks at once with this exit code.
  [[noreturn]] void Abort(int exit_code) const;

 private:
  MpiWorld(const MpiFunctions& mpi, void* job, void* second_job, int rank, int size)
      : mpi_(mpi), job_(job), second_job_(second_job), rank_(rank), size_(size) {}

  const MpiFunctions& mpi_;
  void* const job_;
  void* const second_job_;
  const int rank_;
  const int size_;
};

// What MPI says of an error code.
absl::Status MpiError(const MpiFunctions& mpi, int error, const std::string& what);

}  // namespace mortar
