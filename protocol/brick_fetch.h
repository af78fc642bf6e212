// What a node knows that fetches bricks, and the pure functions that change it and choose what runs
// next. One brick at a time, from one node at a time, from its first byte to its last.
//
//   event                             | becomes
//   ----------------------------------+----------------------------------------------------------
//   bricks are wanted                 | the first is opened; whatever was fetched before is left
//                                     | as it is, to be gone on with another time
//   opened: here already              | the next one
//   opened: some of it is here        | the rest is asked for
//   Sources                           | those that may be asked
//   a chunk that was asked for        | kept, written by a job when those before it came; more is
//                                     | asked for
//   any other chunk                   | dropped and counted
//   a chunk of another size than      | that node is not asked for this brick any more, and named
//   asked, or of a brick of another   |
//   NOT_FOUND, or another refusal     | the same, until the coordinator is asked for sources again
//   RESOURCE_EXHAUSTED, or nothing    | that node rests for kBrickSourceRest; the next one. A busy
//   for kBrickChunkWaitMax            | one is waited for while it says so, kBrickBusyMax in all
//   the whole brick has its digest    | the next one; none left: done
//   it has another, and all of it     | that node is not asked for this brick any more, and named;
//   came from one node                | from the beginning, from another
//   it has another, and not all did   | from the beginning, from one node alone: when that is not
//                                     | asked any more, or silent, again from the beginning, from
//                                     | another. Failed at the kBrickAttemptsMax-th time
//   it cannot be written              | failed
//   no byte for kBrickStallMax        | failed, with the last reason
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "common/brick_store.h"
#include "common/clock.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace mortar {

struct WantedBrick {
  Digest digest;
  uint64_t bytes = 0;  // 0: not known, at most kOutlineBytesMax
  std::string name;    // for people: "layers.3"
};

enum class FetchPhase {
  kIdle,     // nothing was wanted yet
  kOpening,  // the brick is to be opened, or a job opens it
  kAsking,   // its bytes come
  kClosing,  // all are written: it is to be hashed, or a job does it
  kDone,
  kFailed,
};

struct FetchCounters {
  uint64_t bytes = 0;       // of bricks that came over links
  uint64_t fetched = 0;     // bricks that are whole since
  uint64_t here = 0;        // bricks that were here already
  uint64_t resumed = 0;     // bytes that an earlier start had left
  uint64_t refused = 0;     // bricks, or pieces of some, that were not what their names say
  uint64_t unexpected = 0;  // chunks that nobody asked for
};

// Why a node is not asked for a brick any more, for the log.
struct BadSource {
  NodeId node;
  std::string brick;
  std::string why;
};

struct FetchState {
  std::vector<WantedBrick> wanted;
  size_t at = 0;  // in `wanted`
  FetchPhase phase = FetchPhase::kIdle;
  absl::Status failure;  // when it failed
  // Of the brick that is fetched:
  uint64_t total = 0;    // bytes; 0: not known yet
  uint64_t have = 0;     // that came, in order
  uint64_t written = 0;  // of these
  uint64_t asked = 0;    // that came or were asked for
  NodeId source;         // that is asked; kNoNode: none
  NodeId first_source;   // of its bytes; kNoNode: none came
  bool mixed = false;    // they came from several nodes, or an earlier start left some
  bool alone = false;    // a mixture was wrong: all of it comes from first_source
  bool anew = false;     // what is here of it goes when it is opened
  int attempts = 0;      // that ended without anybody's fault: mixtures, and ends of `alone`
  Duration busy{};       // waited for nodes that said so
  std::vector<uint8_t> arrived;  // not written yet, at most what may be asked for
  std::map<uint64_t, std::vector<uint8_t>>
      early;     // by offset: behind a piece that did not come yet
  Time heard{};  // a chunk, or the first of these was asked for
  // A job runs, for this run of `runs`; another's end says nothing of this brick.
  bool job_running = false;
  uint64_t run = 0;  // grows with each brick that is opened
  // Of all:
  std::vector<Introduction> sources;
  NodeId last_source;  // that sent something; kNoNode: none did
  std::unordered_map<NodeId, Time, IdHash> rests_until;
  std::set<std::pair<NodeId, Digest>> liars;
  std::set<NodeId> lacking;  // the brick, they say
  std::optional<Time> sources_asked;
  Time progress{};
  std::string last_reason;
  std::vector<BadSource> to_report;  // the loop logs and empties it
  FetchCounters counters;
};

// --- Events ---
struct BricksWanted {
  std::vector<WantedBrick> bricks;
};
struct SourcesAsked {};
struct SourcesCame {
  std::vector<Introduction> nodes;
};
struct SourceChosen {
  NodeId node;
};
struct SourceLeft {  // it was silent for too long
};
struct ChunkAsked {
  uint32_t length = 0;
};
struct ChunkCame {
  NodeId from;
  BrickChunk chunk;
};
struct FetchStalled {};
struct FetchJobStarted {};
enum class FetchJob { kOpen, kWrite, kClose };
struct FetchJobDone {
  FetchJob job = FetchJob::kOpen;
  uint64_t run = 0;
  absl::Status status;
  BrickStore::Begun begun{};  // of kOpen
  uint64_t bytes = 0;         // of kWrite
};
using FetchEvent = std::variant<BricksWanted, SourcesAsked, SourcesCame, SourceChosen, SourceLeft,
                                ChunkAsked, ChunkCame, FetchStalled, FetchJobStarted, FetchJobDone>;
void Apply(FetchState& state, Time now, FetchEvent event);

// --- Plan ---
// One thing to do next; executed, and then applied as the event that says so.
struct FetchPlan {
  bool ask_sources = false;
  bool stalled = false;
  bool leave_source = false;
  std::optional<NodeId> choose;
  std::optional<BrickRequest> request;  // to state.source
  std::optional<FetchJob> job;
};
FetchPlan Plan(const FetchState& state, Time now);

}  // namespace mortar
