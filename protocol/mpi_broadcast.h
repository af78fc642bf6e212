// Bytes that one rank of an MPI job has and all others get, by MPI's own broadcast: each link of
// its tree carries them once, however many ranks there are.
//
// In pieces, each of which is one broadcast that does not block: a core sleeps while it waits. Not
// while a muster or a transport of this rank lives, which receive whatever comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "common/clock.h"
#include "common/status.h"
#include "protocol/mpi_plugin.h"

namespace mortar {

// Bytes of one broadcast: large enough that the number of broadcasts does not count, small enough
// that a signal is heeded soon.
inline constexpr size_t kMpiPieceBytes = size_t{1} << 20;
// A piece that has not come after so long does not come: a rank stands still.
inline constexpr Duration kMpiPieceMax = std::chrono::minutes(1);

class MpiBroadcast {
 public:
  // `check` is asked each millisecond while this rank waits; its error ends the wait. `mpi`, the
  // job and the clock outlive it.
  MpiBroadcast(const MpiFunctions& mpi, void* job, const Clock& clock,
               std::function<absl::Status()> check)
      : mpi_(mpi), job_(job), clock_(clock), check_(std::move(check)) {}

  // Every rank calls it with as many bytes: rank 0 with those that it has, the others to get them.
  // Unavailable: MPI's own error, or a piece that did not come; then the job can only be ended, for
  // MPI may still write into `bytes`.
  absl::Status Share(std::span<uint8_t> bytes);

  uint64_t bytes() const { return bytes_; }  // so far

 private:
  absl::Status SharePiece(std::span<uint8_t> piece);

  const MpiFunctions& mpi_;
  void* const job_;
  const Clock& clock_;
  const std::function<absl::Status()> check_;
  uint64_t bytes_ = 0;
};

}  // namespace mortar
