// Every bound of what crosses between nodes, with its unit and its reason. Reaching one is an
// answer (RESOURCE_EXHAUSTED or INVALID_ARGUMENT), never a stall.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/clock.h"

namespace mortar {

// Agreed by Hello. A route never mixes nodes of different versions or contracts.
inline constexpr uint32_t kProtocolVersion = 1;
// Id of the arithmetic that all hops of a route follow, bit for bit (docs/numerics.md).
inline constexpr char kNumericContract[] = "N1";

// --- One session ---
// Frames not yet answered. Four keep a chain of three workers and the link busy in prefill.
inline constexpr int kFramesInFlightMax = 4;
// Bytes of rows not yet answered. Bounds what a worker queues for one session.
inline constexpr size_t kRowBytesInFlightMax = size_t{1} << 20;
// Bytes of rows of one frame. A longer prompt is cut into chunks, so that decoding sessions
// wait for at most one chunk.
inline constexpr size_t kFrameRowBytesMax = size_t{256} << 10;
// Workers of one route. The envelope has room for one fewer: the receiver is no remaining hop.
inline constexpr int kHopsMax = 8;
// The same two bounds on what an edge sends of prompts while another session of it decodes: links
// are queues without lanes, and at 100 Mbit/s so much takes 21 ms each way and 5 ms a frame. All
// its prompts together, since they share the link; beyond that each session has one such frame, so
// that a route that is slow does not hold up prompts over others.
inline constexpr size_t kSharedRowBytesInFlightMax = size_t{256} << 10;
inline constexpr size_t kSharedFrameRowBytesMax = size_t{64} << 10;

// Of one position: n_embd floats.
inline constexpr size_t RowBytes(int n_embd) { return sizeof(float) * static_cast<size_t>(n_embd); }
// Positions of one frame for rows of n_embd floats. Zero when a single row is too large.
inline constexpr int FrameRowsMax(int n_embd) {
  return static_cast<int>(kFrameRowBytesMax / RowBytes(n_embd));
}

// --- One node ---
// Bytes that wait for one peer, each way: 16 sessions with all that they may have in flight.
inline constexpr size_t kQueueBytesPerPeerMax = size_t{16} << 20;
// Messages that wait for one peer: small ones are bounded too.
inline constexpr size_t kQueueMessagesPerPeerMax = 4096;
// Sessions of one worker. Each has a slot whose size does not depend on its prompt.
inline constexpr int kWorkerSessionsMax = 1024;
// Rows of a frame that counts as decode: one token and its drafts. Goes before prefill.
inline constexpr int kDecodeRowsMax = 16;
// Decode batches in a row while prefill waits; then one prefill frame runs, so that many
// decoding sessions cannot hold a new one off for ever.
inline constexpr int kDecodeStreakMax = 8;
// While sessions decode, a worker runs prefill in slices that take about so long, one in every
// second batch: what a token may wait for at a worker. A frame that takes longer is cut by rows.
inline constexpr Duration kSliceTime = std::chrono::milliseconds(10);
// Rows of a slice at least. At a depth of 4,000 positions a row takes several ms for its attention,
// beside which reading the weights for two rows at a time is little; one row would be decode's
// cost.
inline constexpr int kSliceRowsMin = 2;
// Frames of decode that left a node together come some 30 us apart. Who begins with the first alone
// reads all weights for it, and once more for the others; so a batch waits for more of them, until
// none has come for this part of what reading the weights takes, and for kGatherGapMax at most:
// many times what lies between two of them, and less than 2 % of a token.
inline constexpr int kGatherGapPart = 64;
inline constexpr Duration kGatherGapMax = std::chrono::microseconds(200);
// Of that reading, what the oldest frame waits so at most, however many come.
inline constexpr int kGatherPart = 8;
inline constexpr Duration GatherGap(Duration weights) {
  return std::min<Duration>(kGatherGapMax, weights / kGatherGapPart);
}
// A worker that had a decode frame within this time has a session that decodes: longer than a
// token takes over the slowest link that people would use.
inline constexpr Duration kDecodeRecent = std::chrono::milliseconds(500);
// Ended sessions that a worker remembers, so that a late frame cannot bring one back.
inline constexpr size_t kEndedSessionsRemembered = 1024;
// Silence after which a worker frees a session: its edge is gone or has long given up.
inline constexpr Duration kSessionIdleMax = std::chrono::minutes(10);

// --- One message ---
// Bytes of one part: the largest NodeStatus, 4,096 bricks of some 80 bytes, or the rows of a frame.
inline constexpr size_t kMessageBytesMax = size_t{512} << 10;
inline constexpr size_t kStatusTextBytesMax = 1024;  // of an error, for people
inline constexpr size_t kModelNameBytesMax = 256;
inline constexpr size_t kEndpointBytesMax = 256;
inline constexpr size_t kContractBytesMax = 16;

// --- Membership ---
inline constexpr int kNodesMax = 4096;       // of one coordinator; bounds its tables
inline constexpr size_t kNameBytesMax = 64;  // a node's name, for people
inline constexpr size_t kBricksMax = 4096;   // in one NodeStatus or Placement
// Doors that a node may have: one, another while its key changes, and one of the change before.
inline constexpr size_t kDoorsMax = 4;
inline constexpr Duration kHelloInterval = std::chrono::seconds(1);  // until a Welcome comes
// How long whoever dials waits for a Welcome: then it says why there is none, or goes on without.
inline constexpr Duration kDialMax = std::chrono::seconds(5);
inline constexpr Duration kAliveInterval = std::chrono::seconds(1);
// A link is watched while it carries rows and for so long after the last ones: a session waits
// there. Longer than an answer takes, so that the next frame finds it watched already.
inline constexpr Duration kWatchedFor = std::chrono::seconds(10);
// On a watched link: between two signs of life, four of which fit the silence that ends it.
inline constexpr Duration kWatchedAliveInterval = std::chrono::milliseconds(200);
// Silence after which a watched link counts as gone, and a worker that an edge missed as lost,
// counted from the coordinator's question. A false alarm of a link costs its sessions a replay; of
// a worker, those of all its sessions, and a load where nobody else hosts its layers.
inline constexpr Duration kWatchedSilenceMax = std::chrono::seconds(1);
inline constexpr Duration kStatusInterval = std::chrono::milliseconds(500);
// Age of the last status at which a node counts as lost: ten were missed.
inline constexpr Duration kStatusAgeMax = std::chrono::seconds(5);
// Where a cluster has two coordinators. One is obeyed when it was there for so long: who comes and
// goes moves no layers.
inline constexpr Duration kCoordinatorSettled = std::chrono::seconds(5);
// A worker that hosts layers keeps to whom it obeys, and to what it hosts, for so long before it
// obeys another: as long as a coordinator itself keeps a placement.
inline constexpr Duration kObeyedMin = std::chrono::seconds(60);
// Between two signs of life of each that a node asks for: some of them fit kStatusAgeMax.
inline constexpr Duration kCoordinatorAskInterval = std::chrono::seconds(1);
// A coordinator that itself stood still for longer than this judges nobody by that time.
inline constexpr Duration kStallMax = std::chrono::seconds(1);

// --- Placement ---
// Nodes that host the same layers. The workers before them dial each one: half of the nodes that a
// worker dials because it was told of them.
inline constexpr int kStopHostsMax = 32;
// Time of a byte of weights that a node may say: a thousand bytes a second.
inline constexpr double kNsPerByteMax = 1e6;

// --- Bricks that cross ---
// Bytes of a brick in one message, and messages that one node has asked for: together what one
// frame of prefill may have, so that rows that share the link wait no longer for bricks than for
// rows.
inline constexpr uint32_t kBrickChunkBytesMax = 64 << 10;
inline constexpr int kBrickWindow = 4;
// Nodes that one node sends bricks to at a time, and how long after its last request one counts.
inline constexpr size_t kBrickReadersMax = 4;
inline constexpr Duration kBrickReaderAge = std::chrono::seconds(5);
// Nodes that a worker is told of, which have what it lacks: one after the other is tried.
inline constexpr size_t kBrickSourcesMax = 16;
// Bytes of an outline: 65,536 tensors, the most that a file may have, of some 130 bytes, and the
// digests of 4,096 bricks.
inline constexpr uint64_t kOutlineBytesMax = 16 << 20;
// A source that sends nothing for so long is left for another.
inline constexpr Duration kBrickChunkWaitMax = std::chrono::seconds(5);
// How long one that was left, or that had enough to do, is not asked again.
inline constexpr Duration kBrickSourceRest = std::chrono::seconds(1);
// No byte of a brick from anybody for so long: the fetch has failed, and others take the layers.
inline constexpr Duration kBrickStallMax = std::chrono::seconds(30);

// How long nodes that have a brick may be busy with others until that counts as no byte: longer
// than four readers take for a large brick over a link of 100 Mbit/s.
inline constexpr Duration kBrickBusyMax = std::chrono::minutes(10);
// How often a brick is begun anew without anybody who can be blamed: an honest mixture is right at
// once, and one node alone seldom goes in its midst.
inline constexpr int kBrickAttemptsMax = 3;

// --- Routes ---
inline constexpr size_t kRouteRequestsWaitingMax = 256;  // while workers load
// How long a request for a route waits for workers that are loading.
inline constexpr Duration kRouteWaitMax = std::chrono::seconds(30);
// Life of a grant: longer than any answer. Said in each, and where nodes have keys the calendar
// time of its end too; a worker ends sessions that are older.
inline constexpr Duration kRouteLifetime = std::chrono::hours(1);

}  // namespace mortar
