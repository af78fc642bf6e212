// What a coordinator knows, and the pure functions that change it and draw conclusions.
//
// A coordinator decides who hosts what and grants routes. It sees no tensor and no token.
//
//   event                 | what the state becomes
//   ----------------------+------------------------------------------------------------------
//   Hello, fits           | member; Welcome is owed; the first one names the cluster's model
//   Hello, does not fit   | no member; Goodbye with the reason is owed (version, contract, model,
//                         | role, name, a reserved id, or the table is full)
//   NodeStatus of member  | its newest status; refused by Goodbye when it is of another role,
//                         | or its bricks or layers cannot be
//   NodeStatus, failed to | its stop goes on without it; without another host the placement is
//   load what is placed   | void, and layers are placed anew, as far as others can take them. It
//                         | gets none until it joins anew, or after a while where the reason may
//                         | pass
//   NodeStatus, a stamp   | Echo is owed
//   NodeStatus, of another| another placement may be better
//   speed or memory       |
//   NodeStatus of a worker| what it serves may be adopted; it leaves a stop that it has not served
//   that obeys another    | for kStatusAgeMax (adopt.h)
//   coordinator           |
//   NodeStatus or         | Goodbye(UNAVAILABLE): it must say Hello again
//   RouteRequest of       |
//   stranger              |
//   Hello of a worker     | member, and no more until it comes with a model; SourcesRequests are
//   without a model       | what is heard of it
//   SourcesRequest        | Sources are owed: who has the outline that most members name; not twice
//                         | within kSourcesInterval
//   RouteRequest, again   | it keeps its place, its deadline and its session; which hops it misses
//                         | is what the newest one says
//   RouteRequest that     | those that the edge was granted a route over lately are doubted, and
//   names hops it missed  | something is sent to each: that shows whether its connection still
//                         | stands. Their next status ends the doubt. Each is looked for once in
//                         | kWatchedSilenceMax, whoever misses it
//   RouteRequest          | waits; refused when the sender is no edge, the table or the edge's part
//                         | of it is full, the model or the cut is another, or the placement is
//                         | impossible
//   Goodbye, MemberLost   | member gone, with its requests; its stop goes on without it, and a
//                         | placement in which it has no other host is void
//   Placed                | the placement, under a new id; every hop must be told
//   Looked                | a better placement waits until it may replace the one that is there,
//                         | from when there first was one; or none does any more
//   PlacementImpossible   | why, for whoever asks for a route
//   PlacementSent         | not again before kHelloInterval has passed
//   RouteAnswered         | the request no longer waits; its hosts have a session more, and its
//                         | edge may miss them
//   Ticked                | after standing still itself, it gives every member that time again; who
//                         | failed to load and has waited for long enough may try again
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "coordinator/placement.h"
#include "protocol/messages.h"

namespace mortar {

// Requests of one edge that wait while workers load: an edge that asks for more is refused alone.
inline constexpr int kRouteRequestsPerEdgeMax = 32;

// Workers of which an edge may say that it missed them: those of its newest routes, as many as it
// has direct links.
inline constexpr size_t kGrantedHostsRemembered = 64;

// Between two answers to a worker that asks for sources: it asks each second, and need not come on
// time.
inline constexpr Duration kSourcesInterval = kHelloInterval / 2;

// A placement is kept so long, unless it is void or only grows: a cluster whose load comes and goes
// must not move layers with it.
inline constexpr Duration kPlacementKeptMin = std::chrono::seconds(60);
// How long a better one waits for those whose share it changes to have no sessions: a minute's wait
// loses less than a replay where sessions are short, and a busy node never has none.
inline constexpr Duration kReplanWaitMax = std::chrono::seconds(60);
// Between two looks for a better one, which take up to a tenth of a second of the loop each.
inline constexpr Duration kReplanInterval = std::chrono::seconds(10);

// A worker that could not load for a reason that may pass (Unavailable: bricks did not come;
// ResourceExhausted: no room) gets no layers for so long, doubled each time in a row: a source that
// slept is back by then, and one that never comes costs a placement every few minutes.
inline constexpr Duration kLoadRetryMin = std::chrono::seconds(5);
inline constexpr Duration kLoadRetryMax = std::chrono::minutes(5);

// How long the first placement waits for round trips of workers that have just joined: each takes
// one message there and back after their first status.
inline constexpr Duration kRoundTripWaitMax = std::chrono::seconds(1);

struct CoordinatorOptions {
  NodeId self = kCoordinatorNode;
  int workers_expected = 1;        // the first placement waits for so many
  std::vector<int> sizes;          // layers per worker; empty: measured or even
  bool measured = false;           // by speeds, once all workers have said theirs; else even
  std::optional<LayerCut> cut;     // absent: the first edge's
  std::optional<ModelId> model{};  // that members must have; absent: the first member's
  // Nodes that reach this one by other ways than links that break: no edge's word makes them
  // doubted, for whoever started them ends the cluster when one is gone.
  std::vector<NodeId> steady{};
  // Whoever started this node reports why there is no route; the log has it for debugging alone.
  bool starter_reports = false;
};

struct Member {
  NodeId node;
  Role role = Role::kWorker;
  std::string name{};
  std::string endpoint{};  // where it listens; empty: it is reached through a relay
  PublicKey key{};         // that it proves there; empty: links without keys
  bool has_model = true;   // else a worker that fetches one
  Time heard{};
  std::optional<NodeStatus> status{};  // the newest
  Time placement_sent{};               // when the current placement was last sent to it
  bool placement_was_sent = false;
  bool doubted = false;  // an edge missed it, and nothing was heard of it since
  // When one did last, whether it still is or not.
  std::optional<Time> doubted_since{};
  std::optional<Time> sources_sent{};  // when it was told last who has bricks
  std::vector<NodeId> granted_over{};  // edge: hosts of its newest routes, the newest last
  absl::Status load_failure{};         // of its share: it gets no other while this is so
  Duration load_rest{};                // that its newest failure in a row lasts, where it may pass
  std::optional<Time> load_retry{};    // when it ends; absent: when it joins anew
  // Sessions granted over it that its status need not show yet: since the last one, and between
  // that and the one before.
  int granted = 0;
  int granted_before = 0;
  Time joined{};
  Time obeys_since{};  // whom it says
  // Another coordinator's worker: since when it does not serve its stop of the placement.
  std::optional<Time> unserved_since{};
  // As they were when a placement was last thought over.
  double planned_ns_per_byte = 0;
  uint64_t planned_round_trip_ns = 0;
};

struct WaitingRequest {
  NodeId edge;
  RouteRequest request;
  SessionId session;  // what the session will be called
  Time deadline{};
};

// Looking for a placement that is better than the one that is there (replan.h).
struct Replanning {
  Time placed{};
  Time looked{};
  bool facts_changed = false;         // since then
  std::optional<LayerPlan> better{};  // waits until it may be placed
  Time better_since{};
};

struct CoordinatorState {
  CoordinatorOptions options;
  std::vector<Member> members;  // in joining order
  std::unordered_map<NodeId, size_t, IdHash> member_index;
  std::optional<ModelId> model;
  uint64_t placement_id = 0;    // 0: none yet
  std::optional<LayerCut> cut;  // of the placement
  std::optional<LayerPlan> placement;
  absl::Status placement_problem;  // why there is none, though workers are here
  absl::Status load_problem;       // what made it void, if it was a load that failed
  Replanning replanning;
  std::vector<WaitingRequest> waiting;
  std::vector<Outgoing> outbox;  // what apply owes; the loop sends and empties it
  Time last_tick{};
  uint64_t refused = 0;  // Hellos and statuses turned away
};

// --- Events ---
struct Received {
  NodeId from;
  AnyMessage message;
  SessionId fresh;  // unguessable, drawn by the loop; used by a RouteRequest alone
};
struct MemberLost {
  NodeId node;
};
struct Placed {
  LayerCut cut;
  LayerPlan plan;
};
struct PlacementImpossible {
  absl::Status status;
};
struct PlacementSent {
  NodeId node;
};
struct RouteAnswered {
  NodeId edge;
  uint64_t request = 0;
  std::vector<NodeId> hosts{};  // of the route that was granted
};
struct Looked {
  std::optional<LayerPlan> better{};
};
struct Ticked {};
using CoordinatorEvent = std::variant<Received, MemberLost, Placed, PlacementImpossible,
                                      PlacementSent, RouteAnswered, Looked, Ticked>;

void Apply(CoordinatorState& state, Time now, CoordinatorEvent event);

// --- Actions ---
// Each is executed by sending `send`, where there is one, and then applying `then`.
struct CoordinatorAction {
  std::optional<Outgoing> send;
  CoordinatorEvent then;
};
std::vector<CoordinatorAction> Plan(const CoordinatorState& state, Time now);

// --- Questions ---
const Member* FindMember(const CoordinatorState& state, NodeId node);
// Who has bricks for `asker`. Which of several comes first differs from asker to asker.
Sources SourcesFor(const CoordinatorState& state, NodeId asker);
// OK when a route can be granted now. Unavailable: not yet, and why; other codes: not like this.
absl::Status RouteStatus(const CoordinatorState& state, const RouteRequest& request);

}  // namespace mortar
