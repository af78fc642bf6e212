#include "protocol/mpi_broadcast.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "protocol/mpi_world.h"
#include "protocol/waited.h"

namespace mortar {

absl::Status MpiBroadcast::Share(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const std::span<uint8_t> piece = bytes.first(std::min(bytes.size(), kMpiPieceBytes));
    RETURN_IF_ERROR(SharePiece(piece));
    bytes_ += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return absl::OkStatus();
}

absl::Status MpiBroadcast::SharePiece(std::span<uint8_t> piece) {
  void* request = nullptr;
  int error = mpi_.broadcast(job_, 0, piece.data(), piece.size(), &request);
  if (error != 0) return MpiError(mpi_, error, "broadcast of weights");
  Waited waited;  // a job that was suspended goes on
  while (request != nullptr) {
    error = mpi_.test(&request);
    if (error != 0) return MpiError(mpi_, error, "broadcast of weights");
    if (request == nullptr) break;
    RETURN_IF_ERROR(check_());
    if (waited.At(clock_.Now()) > kMpiPieceMax) {
      return Unavailable("a piece of the weights has not come within " + InSeconds(kMpiPieceMax) +
                         ": a rank stands still");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return absl::OkStatus();
}

}  // namespace mortar
