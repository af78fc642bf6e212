// How the ranks of an MPI job agree before they begin: in rounds, in each of which every rank says
// some bytes and gets what all said. Before and between them a rank reads, its prompt or its model,
// for as long as that takes; whoever turns its muster meanwhile shows that it lives.
//
// Every rank speaks with rank 0 alone, which hands on what all said. Of one rank's messages:
//
//   tag         | from, to        | part
//   ------------+-----------------+------------------------------------------------------
//   kMusterLife | rank 0 ↔ others | nothing: the sender lives, once a second
//   kMusterSaid | others → rank 0 | what the sender says in this round
//   kMusterAll  | rank 0 → others | what all said, by rank; of the last round: nothing follows
//   kMusterDone | others → rank 0 | nothing: the last round has come, and nothing follows
//
// So a rank that stands still is known by its number, which a collective operation cannot tell, and
// none of these messages is left for the transport (protocol/mpi_transport.h) to find.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "protocol/mpi_plugin.h"

namespace mortar {

// The transport's are others.
inline constexpr int kMusterLife = 11;
inline constexpr int kMusterSaid = 12;
inline constexpr int kMusterAll = 13;
inline constexpr int kMusterDone = 14;

// What one rank says in one round.
inline constexpr size_t kMusterBytesMax = 256;

// A rank that is silent for so long stands still: ten signs of life were missed. Twice what a
// running job allows, for MPI makes its connections now, and nobody's answer is late yet.
inline constexpr Duration kMusterSilenceMax = std::chrono::seconds(10);
// What each rank from the second on waits longer than the one before it for rank 0, so that one of
// them says that it is missing, and not all.
inline constexpr Duration kMusterTurn = std::chrono::seconds(1);
// How long rank 0, which has read its prompt and its model, waits for ranks that live to have read
// theirs: whatever disk it lies on, longer is a hang.
inline constexpr Duration kMusterReadyMax = std::chrono::minutes(10);

// A rank that the others wait for in vain.
struct AbsentRank {
  int rank = 0;
  bool silent = true;  // else it lives, and says nothing
  bool operator==(const AbsentRank&) const = default;
};

// One rank's end. Used by one thread at a time; between the first Turn and the end of the last
// round nobody else uses MPI.
class MpiMuster {
 public:
  // `mpi` and the clock outlive it. 1 ≤ size, 0 ≤ rank < size.
  MpiMuster(const MpiFunctions& mpi, void* job, int rank, int size, const Clock& clock);
  MpiMuster(const MpiMuster&) = delete;
  MpiMuster& operator=(const MpiMuster&) = delete;

  // Begins a round, once the one before is complete. All ranks say equally many bytes, from one to
  // kMusterBytesMax (checked), and agree on which round is the last.
  void Say(std::span<const std::byte> mine, bool last);

  // One look: takes what has come, hands on what all said, shows life, and judges. At least a few
  // times a second.
  void Turn();

  // What all said has come. After the last round also: all that this rank sent has left, and
  // nothing follows.
  bool complete() const { return complete_; }
  const std::vector<std::byte>& all() const { return all_; }  // of it, in the order of ranks

  // As the last Turn found it: the lowest rank that is missing. Rank 0 misses any other; the others
  // miss rank 0, and for as long as it lives they wait: it may be for a person who types.
  const std::optional<AbsentRank>& absent() const { return absent_; }
  // OK, or MPI's own error, or a rank that sent what is none of these. It stays.
  const absl::Status& failure() const { return failure_; }

 private:
  // MPI reads the bytes until the request is done.
  struct Sending {
    std::vector<std::byte> bytes;
    void* request = nullptr;
  };
  struct Peer {
    bool met = false;  // one that this rank speaks with
    Time heard{};
    std::deque<Sending> sending;  // at most a sign of life, one for each round, and Done
    std::optional<Time> life_shown;
    std::vector<std::byte> in;                   // the newest message,
    int in_tag = 0;                              // its tag,
    void* in_request = nullptr;                  // and while MPI still writes it
    std::optional<std::vector<std::byte>> said;  // rank 0: of the round that follows
    bool done = false;                           // nothing follows
  };

  absl::Status Look(Time now);
  absl::Status Take(int from, Time now);
  absl::Status Begin(int from, bool& begun);
  absl::Status Understand(int from);
  absl::Status HandOn();
  absl::Status ShowLife(int to, Time now);
  absl::Status Send(int to, int tag, std::vector<std::byte> bytes);
  absl::Status Flush(Peer& peer);
  absl::Status Unexpected(int from) const;
  std::optional<AbsentRank> Judge(Time now) const;

  const MpiFunctions& mpi_;
  void* const job_;
  const int rank_;
  const Clock& clock_;
  std::vector<Peer> peers_;  // by rank
  std::vector<std::byte> mine_;
  std::vector<std::byte> all_;
  bool saying_ = false;   // a round has begun, and not all of it has come
  bool last_ = false;     // it is the last one
  bool closing_ = false;  // this rank sends nothing after what is on its way
  bool complete_ = true;
  Time looked_;
  Time said_at_{};
  std::optional<AbsentRank> absent_;
  absl::Status failure_;
};

}  // namespace mortar
