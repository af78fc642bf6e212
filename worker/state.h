// What a worker knows, and the pure functions that change it and choose what runs next.
//
// A worker hosts one run of layers for many sessions. It owns no session: what it keeps of one
// is a cache that its edge can fill again.
//
//   phase    | event                   | becomes
//   ---------+-------------------------+--------------------------------------------------------
//   joining  | Welcome                 | joined: status is owed
//   joined   | Goodbye(UNAVAILABLE)    | joining: the coordinator does not know us (any more)
//   any      | Goodbye(other)          | refused, for good, with the reason
//   joined   | Obeyed                  | another coordinator's placements count from now on, and
//            |                         | nobody else's; what is hosted stays until it says else
//   joined   | Placement, fits         | its id is newer: load is `wanted`; sessions are released,
//            |                         | and their edges are owed NeedRoute: where its bricks come
//            |                         | over links, when they are here, or did not come
//   joined   | Placement, does not fit | load failed, with the reason (private brick, other model)
//   joined   | FetchDone, OK           | the bricks of the placement are here: it is loaded
//   joined   | FetchDone, error        | hosts nothing; the status says why
//   joined   | LoadDone, OK            | hosts the layers: ready
//   joined   | Placement, the layers   | sessions stay; the fetch or load goes on
//            | that it hosts, or those |
//            | that it fetches, loads  |
//   any      | Echo                    | the round trip is measured
//   any      | Goodbye of an edge      | its sessions are released: it is gone, or its link. It is
//            |                         | owed NeedRoute, in case that there is another way to it
//   any      | Goodbye of another node | edges of the sessions whose rows went there are owed
//            |                         | NeedRoute: what was on its way is lost
//   joined   | LoadDone, error         | hosts nothing; the status says why
//
//   frame of a session                    | becomes
//   --------------------------------------+---------------------------------------------------
//   breaks a bound of the protocol        | Rejected
//   hosts no layers, or from another one  | NeedRoute
//   session has ended                     | dropped and counted
//   another sender or edge than its first | dropped and counted
//   epoch lower, or step not newer        | dropped and counted
//   epoch higher                          | adopted; queued frames go, KV stays; then as below
//   base > have                           | NeedPrefix; nothing is applied
//   not sealed for its session, where     | dropped and counted, before anything else is read
//   nodes have keys                       |
//   key of its session is not here        | NeedPrefix, which cannot be sealed: the edge sends the
//                                         | key again
//   Open whose grant is good              | the key is kept until the session begins; NeedPrefix
//                                         | when the edge was asked for it
//   the same of a session that ended here | the key is kept, and steps that were accepted before
//   by itself                             | the end stay used: they are dropped and counted. Where
//                                         | they were forgotten: NeedRoute
//   Open whose grant is not               | counted; NeedRoute where the edge itself showed it
//   End, Cancel that its edge did not     | dropped and counted; remembered where the key is not
//   seal, where nodes have keys           | here: its Open may come later, and opens nothing then
//   queue, sessions or pages are full     | Rejected; nothing is applied
//   otherwise                             | accepted: pages taken, have = base + n, queued
//   End, Cancel of its edge               | its queue goes, its pages are freed and zeroed; Ended
//                                         | with what was done for it
//   BatchStarted                          | its frames run, or the next slices of them; positions
//                                         | count as applied
//   BatchDone                             | rows of whole frames forwarded to the next hop, or
//                                         | answered to the edge
//   PagesReleased                         | pages are free again; the session's place too
//   Expired                               | as End, for a session that was silent, or whose grant
//                                         | is over: its edge is owed NeedRoute
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/counts.h"
#include "common/ring_queue.h"
#include "common/speed_meter.h"
#include "protocol/coordinators.h"
#include "protocol/messages.h"
#include "worker/decode_time.h"
#include "worker/opened.h"
#include "worker/spent_steps.h"

namespace mortar {

struct WorkerOptions {
  std::string name;
  int coordinators = 1;  // of the cluster, 1 to kCoordinatorsMax
  ModelId model;
  std::vector<LayerBrick> bricks;   // public layers that this node can load
  LayerRange layers_only;           // --layers; empty: any
  int sessions_max = 64;            // at most kWorkerSessionsMax
  int rows_max = 512;               // of one batch
  std::optional<Digest> outline{};  // it sends public bricks of this; absent: none
  bool fetches = false;             // bricks that are wanted and not here come over links first
  // What it says of itself for a measured placement; 0: nothing.
  double ns_per_byte = 0;           // of weights that a token reads, measured before it began
  uint64_t memory_bytes = 0;        // for weights and KV
  uint64_t kv_bytes_per_layer = 0;  // of sessions_max sessions
  // Whoever started this node reports why it could not load; the log has it for debugging alone.
  bool starter_reports = false;
};

// Positions up to which a token's time counts as the time of its weights: reading the KV of so many
// is some hundredths of reading a layer.
inline constexpr uint32_t kSpeedPositionsMax = 256;

struct QueuedFrame {
  Envelope envelope;
  Rows rows;  // [n, n_embd]
  Time heard{};
  bool decode = false;  // a token, with its drafts: goes before prefill, and as a whole
  int done = 0;         // of its rows have run, when it runs in slices
  Rows rows_out{};      // of those, and with room for the others
};

// One session's place. Places are reused; `used` says whether it holds a session.
struct WorkerSession {
  bool used = false;
  SessionId id;
  NodeId edge;                        // that its first frame named
  NodeId sender;                      // of its first frame: the edge, or the worker before this one
  NodeId next = kNoNode;              // to whom its newest rows went on; kNoNode: none, or the edge
  std::optional<SessionSeal> seal{};  // where nodes have keys
  SessionQuota quota{};               // of its grant
  uint32_t epoch = 0;
  uint64_t accepted_step = 0;  // newest step that was queued or run
  int have = 0;                // positions after everything queued has run
  uint64_t applied_step = 0;   // newest step that runs or ran
  int applied_have = 0;        // positions stored, the running batch included
  int pages = 0;               // of KV, taken from the pool for positions up to `have`
  RingQueue<QueuedFrame> frames;
  size_t queued_bytes = 0;  // of their rows
  bool running = false;     // a frame of it is in the running batch
  bool ending = false;      // pages go back as soon as it does not run
  bool decodes = false;     // its newest frame was of decode
  Time left{};              // when the rows of its newest frame that ran left
  Duration turn{};          // from then until its next token is here; zero: not known
  Ended sent{};             // of its frames, so far, and how long they took
  Time heard{};
};

// A frame of the running batch, or a slice of one. `rows_out` is set when the batch ends.
struct RunningFrame {
  int place = 0;
  Envelope envelope;  // of the whole frame
  int first = 0;      // of its rows that run
  int n = 0;          // that run
  Rows rows_in;       // of the whole frame
  Rows rows_out;      // of the whole frame, those that leave this worker; empty before its first

  int end() const { return first + n; }
  bool ends_frame() const { return end() == static_cast<int>(envelope.n); }
};

// Ends of sessions that a worker never had, remembered because End may overtake the first frame.
inline constexpr size_t kUnknownEndsRemembered = 256;

struct EndedSessions {
  RingQueue<SessionId> order;  // oldest first
  std::unordered_set<SessionId, IdHash> ids;
};

// The same where nodes have keys, and an end counts only from the edge of its session's grant,
// which is not known before Open: so many ends of whoever says so.
struct EndUnopened {
  NodeId from;
  SessionId session;
  bool operator==(const EndUnopened&) const = default;
};

struct WorkerCounters {
  uint64_t frames = 0;         // accepted
  uint64_t old_epoch = 0;      // dropped
  uint64_t old_step = 0;       // dropped
  uint64_t ended_session = 0;  // dropped: came after End
  uint64_t foreign_edge = 0;   // dropped: the session is another's
  uint64_t broken_seals = 0;   // dropped: what was not sealed for this node by whom it names
  uint64_t unopened = 0;       // dropped: ends of sessions whose key is not here
  uint64_t bad_grants = 0;     // Open whose grant is not signed, another's, for others, or expired
  uint64_t need_prefix = 0;
  uint64_t need_route = 0;
  uint64_t rejected = 0;
  uint64_t broken_frames = 0;  // of `rejected`: sizes that cannot be, rows that are not finite
  uint64_t batches = 0;
  uint64_t rows = 0;
  uint64_t expired = 0;
  uint64_t unexpected = 0;  // messages that no worker should get
};

struct WorkerState {
  WorkerOptions options;
  Coordinators coordinators;  // options.coordinators
  int obeys = 0;              // whose placements it takes, of these
  // Since when it obeys that one, or has its newest layers: which of them is later. Absent: neither
  // has changed yet.
  std::optional<Time> kept_since;

  std::optional<Placement> wanted;   // to be loaded when the engine is idle
  std::optional<Placement> loading;  // the one whose load runs
  bool fetching = false;             // the bricks of `wanted`
  bool fetched = false;              // they are here
  uint64_t placement = 0;            // newest of the one that it obeys
  LoadPhase load = LoadPhase::kNone;
  absl::Status load_status;
  LayerRange layers;          // hosted; empty: none
  uint64_t weight_bytes = 0;  // of them
  SpeedMeter speed;

  bool busy = false;                                    // a job has the engine
  std::vector<WorkerSession> places;                    // options.sessions_max
  std::unordered_map<SessionId, int, IdHash> place_of;  // live sessions
  OpenedSessions opened;                                // whose first frame has not come
  SpentSteps spent;                                     // of sealed sessions that ended here
  EndedSessions ended;                    // that were here; the newest kEndedSessionsRemembered
  EndedSessions ended_unknown;            // that were not; the newest kUnknownEndsRemembered
  RingQueue<EndUnopened> ended_unopened;  // whose key was not here; as many
  int positions_max = 0;                  // of one session, as the engine was loaded
  int pages_free = 0;                     // of KV, not promised to any session
  int places_ending = 0;                  // whose pages wait to go back
  int frames_queued = 0;                  // over all sessions
  int next_place = 0;                     // where the round robin goes on
  int decode_streak = 0;  // decode batches in a row while prefill waits; at most kDecodeStreakMax
  bool prefill_runs = false;         // the running batch has prefill, or the last one had
  std::optional<Time> decode_heard;  // when a decode frame came last
  DecodeTime decode_time;
  Time batch_began{};  // the last one
  Time batch_ended{};
  Duration row_time{};  // of a batch with prefill, for each row; zero: not known
  std::vector<RunningFrame> running;
  std::vector<Outgoing> outbox;         // what apply owes; the loop sends and empties it
  std::vector<Introduction> introduce;  // the same for the transport
  WorkerCounters counters;
};

// --- Events --- (and EndUnopened above: End or Cancel of a session whose key is not here)
struct WorkerReceived {
  NodeId from;
  AnyMessage message;
};
struct FrameBroken {  // a frame that CheckFrame refused
  Envelope envelope;
  absl::Status status;
};
struct FrameUnopened {  // of a session whose key is not here
  Envelope envelope;
};
struct WorkerSealBroken {};  // what was not sealed for this node by whom it names
struct KeyOpened {
  NodeId edge;
  SessionId session;
  SessionSeal seal;
  SessionQuota quota{};
  uint32_t epoch = 0;
  uint64_t step = 0;  // of the frame for which the key was asked; 0: it was not
};
struct GrantRefused {  // of an edge that holds the key that the grant names
  NodeId edge;
  SessionId session;
  SessionKey own;  // to seal the answer with
  uint32_t epoch = 0;
  uint64_t step = 0;
};
struct ForeignGrant {};  // of anybody else
struct FrameSent {
  SessionId session;
  uint64_t bytes = 0;
  uint64_t rows = 0;
};
struct HelloSent {
  int coordinator = 0;
};
struct StatusSent {
  int coordinator = 0;
};
struct Obeyed {
  int coordinator = 0;
};
struct FetchStarted {};
struct FetchDone {
  absl::Status status;
};
struct LoadStarted {};
struct LoadDone {
  absl::Status status;
  LayerRange layers;
  int pages = 0;          // of KV in the engine's pool
  int positions_max = 0;  // of one session
  uint64_t weight_bytes = 0;
};
struct BatchStarted {
  const std::vector<int>* places = nullptr;  // whose oldest frame runs, in this order
  const std::vector<int>* rows = nullptr;    // how many of its rows; null: all
};
struct BatchDone {  // rows_out of state.running are set
  Duration time{};  // of the batch
};
struct ReleaseStarted {};
struct PagesReleased {
  const std::vector<int>* places = nullptr;
};
struct Expired {
  int place = 0;
};
using WorkerEvent =
    std::variant<WorkerReceived, FrameBroken, FrameUnopened, WorkerSealBroken, EndUnopened,
                 KeyOpened, GrantRefused, ForeignGrant, FrameSent, HelloSent, StatusSent, Obeyed,
                 FetchStarted, FetchDone, LoadStarted, LoadDone, BatchStarted, BatchDone,
                 ReleaseStarted, PagesReleased, Expired>;

WorkerState NewWorkerState(WorkerOptions options);
void Apply(WorkerState& state, Time now, WorkerEvent event);

// --- Plan ---
// What to do now. At most one of load, release and batch: they share the engine. Reused from
// call to call, so that a token allocates nothing.
struct WorkerPlan {
  std::vector<int> send_hello;   // to these coordinators
  std::vector<int> send_status;  // the same
  std::optional<int> obey;       // another coordinator than now
  bool fetch = false;
  bool load = false;
  std::vector<int> release;  // places whose pages go back
  std::vector<int> batch;    // places whose oldest frame runs; rows together within rows_max
  std::vector<int> rows;     // how many of its rows, of those that have not run
  std::optional<Time> gathers_until;  // no batch before, though frames are queued
  std::vector<int> expired;
};
void Plan(const WorkerState& state, Time now, WorkerPlan& plan);
// How frames of decode go together (gather.cc).
struct Gathering {
  int frames_max = kWorkerSessionsMax;  // of one batch
  std::optional<Time> until{};          // those that are here wait for others; absent: they run now
};
Gathering GatheringOf(const WorkerState& state, Time now);
// Whether a frame of prefill is the oldest of its session.
bool PrefillWaits(const WorkerState& state);
// Rows of prefill that a batch may have now: as many as run in kSliceTime while a session decodes.
int PrefillRowsMax(const WorkerState& state, Time now);

// Whether bricks of `wanted` have yet to come over links.
bool NeedsFetch(const WorkerState& state);
// Whether frames run: its layers are placed here, or are still here while those of `wanted` come.
bool Serves(const WorkerState& state);

// As it is said to one of its coordinators.
NodeStatus StatusOf(const WorkerState& state, int coordinator = 0);
// Which coordinator's placements should count now: the lowest that has been there for
// kCoordinatorSettled, unless a lower one is there that is obeyed already, and not before what this
// worker hosts was kept for kObeyedMin.
int ToObey(const WorkerState& state, Time now);
// What was refused, by reason; each refusal once.
Counts RefusalsOf(const WorkerCounters& counters);
// What a session that is here, or was opened, is sealed with; null when there is none.
const SessionSeal* FindSeal(const WorkerState& state, const SessionId& session);

}  // namespace mortar
