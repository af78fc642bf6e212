// What an edge knows, and the pure functions that change it and choose what runs next.
//
// The token log of a session is the truth. Everything else (KV of the edge's own layers, KV of
// the workers, rows on their way) can be made again from it: `sent` says from where the front
// layers go on, `answered` what the back layers have. A retry moves `sent` back and raises the
// epoch; the same rows are computed and sent again.
//
// Guesses stand behind the log and are no part of it: they go with one frame, and what did not hold
// is forgotten with its rows. `sent` and `answered` then stand where the log is right, and the next
// frame's base says so to every hop, which truncates to it.
//
//   session  | event                          | becomes
//   ---------+--------------------------------+-------------------------------------------------
//   -        | Submitted                      | waits; refused when the queue is full
//   waiting  | Admitted                       | routing: has a place and its pages
//   routing  | Route, granted and whole       | running, from position 0, under the next epoch
//   routing  | Route refused, or not whole,   | done: error; while another coordinator is there
//            | or its quota does not suffice  | that has not refused it, that one is asked
//   routing  | Route refused for want of room | asks again after a while, until it timed out
//   routing  | RouteTimedOut                  | done: error
//   running  | FrontStarted, FrontDone        | its rows are in flight, under the next step
//   running  | answer of the newest epoch     | frames that stand first go to the back layers
//   running  | answer that does not fit       | retry
//   running  | answer of other layers         | retry on a new route
//   running  | answer of an older epoch       | counted, dropped
//   running  | BackDone, more to come         | answered = end of the frame
//   running  | BackDone with kNoToken         | done: error, the model is damaged
//   running  | BackDone with tokens           | tokens logged and given out, or done: stop, length;
//            |                                | guesses at the next ones
//   running  | NeedPrefix of the newest epoch | retry from what all hops have; after a while, when
//            |                                | that follows another retry
//   running  | the same without a seal, where | the hop is sent the session's key again, at most
//            | nodes have keys                | kKeysAgainMax times an epoch; nothing else
//   any      | what a hop did not seal, where | counted, dropped
//            | nodes have keys                |
//   running  | DeadlinePassed                 | retry; every third time in a row on a new route
//   running  | NeedRoute of the newest epoch, | retry on a new route, after a while
//            | or Goodbye of a hop            |
//   running  | Rejected of the newest epoch   | done: error; retry after a while when the worker
//            |                                | has no room (RESOURCE_EXHAUSTED); retry at once,
//            |                                | without them, when guesses were on their way
//   any      | retry after kRetriesMax on     | gives up on routes: done: error, or, where this
//            | this route, or a new one after | edge may take over, routing, without a question,
//            | kNewRoutesMax in a row; amid   | until the middle is here (take_over.h)
//            | the answer: Route refused, or  |
//            | every coordinator gone for good|
//   routing  | WentAlone                      | running, from position 0, under the next epoch,
//            |                                | with all layers here
//   routing  | MiddleLoaded, in vain          | as before; done: error, when it gave up on routes
//   any      | CancelRequested                | done: cancelled
//   done     | PagesReleased                  | its place is free
//
// Membership is the worker's table: joining, joined, refused (for good: what never had a route
// fails, what had one gives up on routes).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/counts.h"
#include "common/ring_queue.h"
#include "common/speed_meter.h"
#include "edge/draft_length.h"
#include "edge/drafter.h"
#include "edge/request.h"
#include "edge/take_over.h"
#include "edge/text_stream.h"
#include "protocol/coordinators.h"
#include "protocol/messages.h"
#include "protocol/seal.h"

namespace mortar {

// Retries of one session on one route without any progress, after which it gives up on routes. A
// new route has its own: what the one before lacked says nothing of it.
inline constexpr int kRetriesMax = 6;
// Deadlines in a row after which a session tries another route.
inline constexpr int kRetriesPerRoute = 3;
// New routes of one session without any progress, after which it gives up on them. One that was
// left for its silence counts kRetriesPerRoute times: each of its deadlines took as long as many
// others.
inline constexpr int kNewRoutesMax = 6;
// How long a session holds back after a worker had no room for it, or lacks again what was sent
// again, doubled with every retry on its route: the pages of a session that has just ended are free
// within a batch, and after kRetriesMax times, some three seconds, the worker is full and says so.
inline constexpr Duration kNoRoomDelay = std::chrono::milliseconds(50);
// How long a session waits before it asks for another route, doubled with every new one in a row,
// so 100 ms at first: a coordinator misses by itself a node that is gone after kStatusAgeMax, and
// kNewRoutesMax of them take longer.
inline constexpr Duration kNewRouteDelay = std::chrono::milliseconds(50);
// A request for a route is repeated so often, and given up after the coordinator's own wait.
inline constexpr Duration kRouteAskInterval = std::chrono::seconds(2);
inline constexpr Duration kRouteGiveUp = kRouteWaitMax + std::chrono::seconds(5);
// How long it holds back after the coordinator had no room for it among this edge's requests.
inline constexpr Duration kRouteRefusedDelay = std::chrono::milliseconds(500);

// Positions up to which a token's time counts as the time of its weights (worker/state.h has the
// same bound): reading the KV of so many is some hundredths of reading a layer.
inline constexpr int kEdgeSpeedPositionsMax = 256;
// How often hops of a session may ask for its key in one epoch. Nobody knows who asks: each gets
// what only a hop can read. Twice the frames in flight: each of them may have found no key.
inline constexpr int kKeysAgainMax = 2 * kFramesInFlightMax;

struct EdgeOptions {
  std::string name;
  int coordinators = 1;  // of the cluster, 1 to kCoordinatorsMax
  ModelId model;
  int n_vocab = 0;
  int front_layers = 2;
  int back_layers = 2;
  bool show_tokens_to_cloud = false;  // allows front or back 0
  bool has_relay = false;             // of its own, beside the coordinator
  bool sealed = false;     // nodes have keys: routes are signed, and sealed for their hops
  int n_parallel = 1;      // sessions at a time
  int context_max = 4096;  // positions of one session
  int kv_pages = 0;        // of the engine's pool, for all sessions
  int rows_max = 512;      // of one batch of the engine; at least n_parallel
  Duration step_deadline = std::chrono::seconds(30);  // of a frame without any answer
  // Weights that a token reads here, for what the edge says of its speed; 0: it says nothing.
  uint64_t back_bytes = 0;  // of the back layers
  uint64_t head_bytes = 0;
  bool takes_over = false;          // it can load the layers between its own; Edge::Create says it
  std::optional<Digest> outline{};  // it sends public bricks of this; absent: none
  Drafting drafting{};              // steps of all sessions together within rows_max
};
// FailedPrecondition or InvalidArgument names what does not fit the model or the rules.
absl::Status CheckEdgeOptions(const EdgeOptions& options);
absl::Status CheckRequest(const EdgeOptions& options, const GenerateRequest& request);
// The part of CheckRequest that needs no model: at most kStopsMax texts of 1 to kStopBytesMax
// bytes.
absl::Status CheckStops(const std::vector<std::string>& stops);

struct FrameInFlight {
  uint64_t step = 0;
  int base = 0;
  int n = 0;
  RowsWanted wanted = RowsWanted::kAll;
  StepTokens guesses{};  // its last positions, behind the log
  Time deadline{};
  bool arrived = false;
  Rows rows{};  // the answer's

  int end() const { return base + n; }
  size_t bytes(int n_embd) const {
    return static_cast<size_t>(n) * static_cast<size_t>(n_embd) * sizeof(float);
  }
};

enum class SlotPhase { kFree, kRouting, kRunning, kDone };

// One session's place.
struct EdgeSlot {
  SlotPhase phase = SlotPhase::kFree;
  RequestId request = 0;
  std::vector<Token> tokens;  // the log: prompt, then what was sampled
  int n_prompt = 0;
  int n_predict = 0;
  int chunk_rows = 0;
  bool ignore_end = false;
  Sampler sampler;  // the running back job's, while back_running
  std::unique_ptr<TextStream> text;
  std::unique_ptr<Drafter> drafter;  // null: none
  DraftLength draft_length;
  StepTokens guesses{};   // at what follows the log; none unless only its last token is to be sent
  int positions_max = 0;  // the longest that it can become
  int pages = 0;          // of KV, for that many

  SessionId session;
  std::vector<Hop> hops;
  std::vector<NodeId> missed;          // hops of the last route that were lost, for the coordinator
  std::optional<RouteKeys> keys{};     // of the route, where nodes have keys
  std::optional<SessionKey> rows_key;  // what this edge seals with what it sends of the session
  int keys_again = 0;                  // sent under this epoch to hops that asked
  uint64_t route_request = 0;
  Time routing_since{};
  std::optional<Time> route_asked;
  std::optional<Time> route_awaited;     // since when one coordinator alone has not answered
  std::vector<absl::Status> refusals{};  // of each coordinator, that it gives no route at all
  absl::Status route_refusal;  // why the coordinator had no room for the request, the last time
  bool alone = false;          // until its end: this edge computes its middle too
  // While it is routing:
  absl::Status given_up;           // why no route is tried any more: it waits for the middle alone
  absl::Status take_over_refusal;  // why the middle did not come for it

  uint32_t epoch = 0;
  uint64_t step = 0;
  int sent = 0;      // positions that went through the front layers under this epoch
  int answered = 0;  // positions that the back layers have
  int at_hops = 0;   // of those, what all hops of this route are known to have
  RingQueue<FrameInFlight> in_flight;
  // Frames that may be in flight: one after a retry, so that what was reordered cannot be again,
  // and one more with each that is answered.
  int frames_max = kFramesInFlightMax;
  int frames_granted = kFramesInFlightMax;  // by the route: frames_max grows to this
  size_t bytes_granted = kRowBytesInFlightMax;
  size_t bytes_in_flight = 0;
  // Without any progress since:
  int retries_on_route = 0;
  int new_routes = 0;  // as kNewRoutesMax counts them
  Time held_until{};   // nothing is sent before
  bool front_running = false;
  bool back_running = false;

  Time submitted{};
  Time started{};  // when its route came
  Time first_token{};
  Timings timings;
};

// A piece of a batch of the edge's own layers.
struct EdgeItem {
  int slot = 0;
  RequestId request = 0;
  uint32_t epoch = 0;
  int base = 0;
  int n = 0;
  RowsWanted wanted = RowsWanted::kAll;  // front: of the frame to be sent
  StepTokens guesses{};                  // its last positions, behind the log
  bool sample = false;                   // back: tokens are drawn from the log's last row on
  Rows rows_in{};                        // back
  Rows rows_out{};                       // front, set when the batch ends
  // Back, set when the batch ends: the guesses that held, and a token more; or kNoToken last.
  StepTokens drawn{};
};

struct WaitingGeneration {
  RequestId request = 0;
  GenerateRequest what;
  Time submitted{};
};

// A session that is over, as long as its hops may still speak of it.
struct EndedSession {
  SessionId session;
  RequestId request = 0;
  std::vector<NodeId> hops;
  std::optional<SessionKey> key{};  // where nodes have keys
};
inline constexpr size_t kEndedSessionsKept = 64;

struct EdgeCounters {
  uint64_t frames = 0;       // sent
  uint64_t old_answers = 0;  // of an older epoch, dropped
  uint64_t broken_answers = 0;
  uint64_t broken_seals = 0;  // dropped: nobody knows who sent them
  uint64_t keys_again = 0;    // asked for by somebody
  uint64_t bad_grants = 0;    // routes that were not signed by the coordinator
  uint64_t retries = 0;
  uint64_t taken_over = 0;  // sessions
  uint64_t unexpected = 0;  // messages that no edge should get, or not from this node
};

// What was refused, by reason; each refusal once.
Counts RefusalsOf(const EdgeCounters& counters);

struct EdgeState {
  EdgeOptions options;
  const Tokenizer* tokenizer = nullptr;  // not owned; const
  Coordinators coordinators;             // options.coordinators
  NodeId self;
  Time last_tick{};

  RequestId next_request = 1;
  uint64_t next_route_request = 1;
  RingQueue<WaitingGeneration> waiting;
  std::vector<EdgeSlot> slots;  // options.n_parallel
  Middle middle;
  int pages_free = 0;
  bool busy = false;              // a job has the engine
  std::vector<EdgeItem> running;  // of the batch that runs
  int next_slot = 0;              // where the round robin goes on
  RingQueue<EndedSession> ended;  // the newest kEndedSessionsKept
  int decode_streak = 0;          // decode batches of the front layers in a row while prefill waits
  RingQueue<EdgeOutput> outputs;  // for the caller
  std::vector<Outgoing> outbox;   // what apply owes; the loop sends and empties it
  std::vector<Introduction> introduce;  // the same for the transport
  EdgeCounters counters;
  SpeedMeter speed;                  // of the back layers and the head
  std::optional<Time> answer_heard;  // the newest
  Duration back_time{};              // of the last batch of the back layers
};

// --- Events ---
struct EdgeReceived {
  NodeId from;
  AnyMessage message;
  std::optional<RouteKeys>
      keys{};  // fresh ones, with a Route that has a grant, where nodes have keys
};
struct SealBroken {};   // what has not the seal of its session and hop
struct RouteForged {};  // that is not signed by the coordinator
struct KeyWanted {      // somebody says, without a seal, that it is `from` and has no key
  NodeId from;
  NeedPrefix need;
};
struct AnswerBroken {
  NodeId from;
  Envelope envelope;
  absl::Status status{};  // why CheckAnswer refused it
};
struct EdgeHelloSent {
  int coordinator = 0;
};
struct EdgeStatusSent {
  int coordinator = 0;
};
struct EdgeTicked {};
struct Submitted {  // passed CheckRequest; becomes request state.next_request
  GenerateRequest request;
};
struct CancelRequested {
  RequestId request = 0;
};
struct Admitted {
  int slot = 0;
};
struct RouteAsked {
  int slot = 0;
};
struct RouteTimedOut {
  int slot = 0;
};
struct DeadlinePassed {
  int slot = 0;
};
struct FrontStarted {
  std::vector<EdgeItem>* items = nullptr;  // moved from
  bool prefill_waits = false;              // as planned
};
struct FrontDone {  // rows_out of state.running are set
  Duration time{};  // of the batch
};
struct BackStarted {
  const std::vector<int>* slots = nullptr;  // whose first frame runs
};
struct BackDone {   // tokens of state.running are set
  Duration time{};  // of the batch
};
struct MiddleLoadStarted {};
struct MiddleLoaded {
  absl::Status status{};  // why it is not here
};
struct MiddleUnloadStarted {};
struct MiddleUnloaded {};
struct WentAlone {  // its pages of the middle are there
  int slot = 0;
};
struct EdgeReleaseStarted {};
struct EdgePagesReleased {
  const std::vector<int>* slots = nullptr;
};
using EdgeEvent =
    std::variant<EdgeReceived, AnswerBroken, SealBroken, RouteForged, KeyWanted, EdgeHelloSent,
                 EdgeStatusSent, EdgeTicked, Submitted, CancelRequested, Admitted, RouteAsked,
                 RouteTimedOut, DeadlinePassed, FrontStarted, FrontDone, BackStarted, BackDone,
                 MiddleLoadStarted, MiddleLoaded, MiddleUnloadStarted, MiddleUnloaded, WentAlone,
                 EdgeReleaseStarted, EdgePagesReleased>;

EdgeState NewEdgeState(EdgeOptions options, NodeId self, const Tokenizer& tokenizer);
void Apply(EdgeState& state, Time now, EdgeEvent event);

// --- Plan ---
// At most one of release, back and front: they share the engine. Reused from call to call.
struct EdgePlan {
  std::vector<int> send_hello;   // to these coordinators
  std::vector<int> send_status;  // the same
  int admit = -1;                // slot for the request that waits longest
  std::vector<int> ask_route;
  std::vector<int> route_timed_out;
  std::vector<int> deadline_passed;
  bool load_middle = false;
  bool unload_middle = false;
  std::vector<int> go_alone;
  std::vector<int> release;
  std::vector<int> back;
  std::vector<EdgeItem> front;
  std::optional<Time> gathers_until;  // no batch before: answers are on their way
  bool prefill_waits = false;  // `front` is decode alone, though a chunk of prefill could run
};
void Plan(const EdgeState& state, Time now, EdgePlan& plan);

// As it is said to one of its coordinators.
NodeStatus StatusOf(const EdgeState& state, int coordinator = 0);
// Whom to ask for this session's route: the lowest that is there; all that are when that one has
// not answered within kWatchedSilenceMax, or has refused it.
std::vector<int> CoordinatorsToAsk(const EdgeState& state, const EdgeSlot& slot, Time now);
// The key of a session that runs, or has ended and may still be spoken of; null when there is none.
const SessionKey* FindSessionKey(const EdgeState& state, const SessionId& session);
// The session that waits for this answer of the coordinator; null: it is not that.
const EdgeSlot* FindRouting(const EdgeState& state, NodeId from, uint64_t route_request);
// Whether the route of a session that runs has this node as a hop.
bool IsHopOf(const EdgeState& state, const SessionId& session, NodeId node);
// The longest that a session may become.
int EdgePositionsFor(const EdgeOptions& options, int n_prompt, int n_predict);
int EdgePagesFor(const EdgeOptions& options, int n_prompt, int n_predict);

}  // namespace mortar
