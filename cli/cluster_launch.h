// How an MPI job begins: who its ranks are, whether they are those that were meant, and one voice
// for what is wrong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/muster_thread.h"
#include "protocol/mpi_world.h"

namespace mortar {

// What each rank tells all others first. Crosses as its bytes: every rank runs this program.
struct RankCard {
  std::array<char, 65> host{};  // its name, cut
  std::array<char, 40> boot{};  // the id of its kernel's start: the same name may mean two machines
  std::array<char, 16> given{};  // the flag that gave it some of the text: "--prompt"; empty: none
  int32_t process = 0;
  int32_t shards = 1;            // --tp
  uint8_t distribute = 0;        // 1: was started with --distribute
  uint8_t open = 0;              // 1: with --listen
  uint8_t sealed = 0;            // 1: with --listen and --keys
  std::array<char, 12> place{};  // --place
};
RankCard OwnCard(const Settings& settings);

// UsageError, with how it is done, unless OpenMPI's mpirun (or another that speaks PMIx) started
// this process: without it MPI would start a job of its own.
absl::Status CheckLaunched(const Environment& environment);

// UsageError for fewer ranks than two, more than a route has room for, or, where `shards` of them
// share each worker's layers, others than whole workers; FailedPrecondition for others than
// `expected`, of which a launch that fell apart into single ranks is one. 0: any.
absl::Status CheckRanks(int ranks, int expected, int shards = 1);

// UsageError when a rank was given another --tp than rank 0.
absl::Status CheckSameShards(const std::vector<RankCard>& cards);

// The warning that goes with ranks on other machines than rank 0's, or nothing.
std::string WireWarning(const std::vector<RankCard>& cards);

// UsageError when a rank on another machine than rank 0's was given some of the text.
absl::Status CheckText(const std::vector<RankCard>& cards);

// UsageError unless all ranks were started with --distribute, or none: who waits for what the
// others do not send would wait for ever.
absl::Status CheckDistribute(const std::vector<RankCard>& cards);

// UsageError when a rank was given another --place than rank 0: whether it measures its speed, and
// rank 0 waits for that, follows from it.
absl::Status CheckSamePlace(const std::vector<RankCard>& cards);
// UsageError when a rank was started with --listen and rank 0, which alone listens, was not.
absl::Status CheckListen(const std::vector<RankCard>& cards);

class Launch {
 public:
  // From now on this rank shows life, until Agree. All of these outlive it.
  Launch(const MpiWorld& world, const Settings& settings, const Clock& clock);

  // Gathers the cards. Every rank calls it once, first. Unavailable: a rank is missing, which it
  // names; Cancelled by a signal.
  absl::Status Gather();

  // CheckRanks, CheckText, CheckDistribute, CheckSamePlace and CheckListen: the same at every rank.
  absl::Status Check() const;

  // Every rank calls it once, with what it found. OK when all are OK. Else the lowest rank that has
  // an error gets it back, and tells() stays true there alone: each error is said once. Unavailable
  // when a rank is missing. After it, and after a Gather that failed,
  // MPI is free.
  absl::Status Agree(const absl::Status& mine);
  bool tells() const { return tells_; }

  const std::vector<RankCard>& cards() const { return cards_; }  // by rank
  // "rank 2 (process 4711 on host-b)"; before Gather, of another rank, its number alone.
  std::string Describe(int rank) const;

 private:
  absl::StatusOr<std::vector<std::byte>> Round(std::span<const std::byte> mine, bool last);

  const MpiWorld& world_;
  const Settings& settings_;
  std::vector<RankCard> cards_;
  bool tells_ = true;
  MusterThread muster_;
};

}  // namespace mortar
