// The ranks of an MPI job that share the layers of one hop: neighbours, of which the first leads.
//
// They speak over a line of their own (MpiWorld::second_job), so that none of their messages meets
// the transport's. Each message goes to one rank, as everywhere: MPI's collective operations would
// burn a core while they wait, and cannot tell which rank they wait for.
//
//   tag           | from, to         | part
//   --------------+------------------+---------------------------------------------------------
//   kShardGather  | each → the other | its share of a gather, of a size that both know
//   kShardOrder   | leader → others  | words of protocol/shard_order.h
//   kShardRows    | leader → others  | the rows of a batch, behind its order
//   kShardAnswer  | others → leader  | how loading went: nothing, or why it failed
//
// A rank of the group that is silent when its share is due has died, and MPI ends the job, or
// stands still, which ends it after a limit; a job that was suspended as a whole goes on. What
// breaks the order of messages does so at once: all ranks are one program.
#pragma once

#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "protocol/mpi_plugin.h"

namespace mortar {

inline constexpr int kShardGather = 21;
inline constexpr int kShardOrder = 22;
inline constexpr int kShardRows = 23;
inline constexpr int kShardAnswer = 24;

// How long a share of a step may be late. Shards compute for as long as one another, or as their
// machines are unequal: a step's largest product takes a second on slow ones. Twice what a rank's
// silence may last elsewhere. Each rank of the group waits for kShardTurn longer than the one
// before it, so that one alone says which is missing. One that misses several waits for as many
// turns more as there are shards: all but one of them may wait for that one themselves, and miss it
// alone.
inline constexpr Duration kShardSilenceMax = std::chrono::seconds(10);
inline constexpr Duration kShardTurn = std::chrono::seconds(1);
// How long a leader whose layers are loaded waits for the others' (as kMusterReadyMax).
inline constexpr Duration kShardLoadMax = std::chrono::minutes(10);
// A share is awaited for so long without sleeping: it comes within microseconds, four times a
// layer.
inline constexpr Duration kShardAwakeMax = std::chrono::milliseconds(1);
inline constexpr size_t kShardAnswerBytesMax = 1024;  // of an error, for people

// One rank's end. Used by one thread at a time, between which and the transport's `calls` stands.
class MpiShards {
 public:
  // All of these outlive it.
  struct Parts {
    const MpiFunctions& mpi;
    void* line;         // MpiWorld::second_job
    std::mutex& calls;  // held for each call of MPI: another thread has the transport
    const Clock& clock;
    std::function<absl::Status()> check;            // asked while it waits: its error ends that
    std::function<std::string(int rank)> describe;  // for errors
  };
  // Ranks [first, first + count), this one among them.
  MpiShards(int first, int count, int rank, Parts parts);
  MpiShards(const MpiShards&) = delete;
  MpiShards& operator=(const MpiShards&) = delete;

  int index() const { return rank_ - first_; }
  int count() const { return count_; }
  bool leads() const { return index() == 0; }

  // As AllGather of engine/batch/sharding.h: shard i's bytes of `all` end at ends[i]. False: they
  // have not come, and failure() says why.
  bool AllGather(std::span<std::byte> all, std::span<const size_t> ends);

  // --- The leader ---
  // An order, and what goes with it, to all others; it has left when this returns. False:
  // failure().
  bool Tell(std::span<const uint32_t> order, std::span<const std::byte> rows);
  // How each of the others has loaded: the first error of theirs, with its rank, or failure(). All
  // answers are taken, also behind an error: one that stays would be the next load's.
  absl::Status Answers();

  // --- The others ---
  // One look: true when an order has come, or failure() has.
  bool Hear(std::vector<uint32_t>& order);
  // The rows behind it.
  bool HearRows(std::span<std::byte> rows);
  bool Answer(const absl::Status& loaded);

  // Why nothing goes any more: it stays.
  const absl::Status& failure() const { return failure_; }
  uint64_t gathers() const { return gathers_; }
  uint64_t bytes_sent() const { return bytes_sent_; }  // in gathers, to all others together

 private:
  // A message on its way, of which MPI reads or writes the bytes until it is done.
  struct Part {
    int rank = 0;
    int tag = 0;
    void* data = nullptr;
    size_t bytes = 0;
    void* request = nullptr;
    bool begun = false;
    bool done() const { return begun && request == nullptr; }
  };

  void Fail(int with, const absl::Status& why);
  void Clear();
  void Send(int to, int tag, const void* data, size_t bytes);
  // Until all parts are done, or the longest wait for one is over.
  bool Exchange(Duration longest);
  bool Look();  // true: all are done
  void LookAt(Part& part, bool incoming);
  absl::Status Begin(Part& part);
  // Ranks whose parts are not done.
  std::vector<int> Missing() const;
  void Blame(const std::vector<int>& missing, Duration longest);
  // The next message of `from`, whose size it says, into any_; false when none has come.
  bool TakeAny(int from, int tag, size_t bytes_max);

  const int first_;
  const int count_;
  const int rank_;
  Parts parts_;
  std::vector<Part> outgoing_;
  std::vector<Part> incoming_;
  std::vector<std::byte> any_;
  absl::Status failure_;
  uint64_t gathers_ = 0;
  uint64_t bytes_sent_ = 0;
};

}  // namespace mortar
