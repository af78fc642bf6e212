// How each event changes a coordinator's state: the table in state.h, row by row.
#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "coordinator/adopt.h"
#include "coordinator/replan.h"
#include "coordinator/state.h"
#include "protocol/handshake.h"

namespace mortar {
namespace {

Member* Find(CoordinatorState& s, NodeId node) { return const_cast<Member*>(FindMember(s, node)); }

void Owe(CoordinatorState& s, NodeId to, AnyMessage message) {
  s.outbox.push_back({.to = to, .message = std::move(message)});
}

void Refuse(CoordinatorState& s, NodeId node, absl::Status why) {
  ++s.refused;
  Owe(s, node, Goodbye{.status = std::move(why)});
}

// A decision that counts on a node is worth nothing without it.
void ForgetBetter(CoordinatorState& s, NodeId node) {
  s.replanning.facts_changed = true;
  auto& better = s.replanning.better;
  if (better && !LayersOf(*better, node).empty()) better.reset();
}

void Remove(CoordinatorState& s, NodeId node) {
  const Member* leaving = FindMember(s, node);
  if (leaving == nullptr) return;
  if (leaving->role == Role::kWorker) s.load_problem = absl::OkStatus();  // it is waited for
  std::erase_if(s.members, [&](const Member& m) { return m.node == node; });
  s.member_index.clear();
  for (size_t i = 0; i < s.members.size(); ++i) s.member_index[s.members[i].node] = i;
  std::erase_if(s.waiting, [&](const WaitingRequest& w) { return w.edge == node; });
  if (s.placement && !DropHost(*s.placement, node)) s.placement.reset();
  ForgetBetter(s, node);
  s.placement_problem = absl::OkStatus();  // without this node it may be possible
  if (s.members.empty()) {
    s.model = s.options.model;
    s.placement.reset();
    s.cut.reset();
  }
}

absl::Status CheckJoining(const CoordinatorState& s, NodeId from, const Hello& hello) {
  RETURN_IF_ERROR(CheckHello(hello, s.model));
  if (hello.role != Role::kWorker && hello.role != Role::kEdge) {
    return InvalidArgument("only workers and edges join a coordinator");
  }
  if (from.value < kReservedNodeIds) {
    return InvalidArgument("node id " + ToString(from) + " is reserved");
  }
  if (FindMember(s, from) == nullptr && s.members.size() >= static_cast<size_t>(kNodesMax)) {
    return ResourceExhausted("the cluster has " + std::to_string(kNodesMax) + " nodes already");
  }
  return absl::OkStatus();
}

void On(CoordinatorState& s, Time now, NodeId from, SessionId, Hello& hello) {
  absl::Status fits = CheckJoining(s, from, hello);
  if (!fits.ok()) return Refuse(s, from, std::move(fits));
  Member* member = Find(s, from);
  if (member == nullptr) {
    s.member_index[from] = s.members.size();
    s.members.push_back({.node = from});
    member = &s.members.back();
    member->joined = now;
    s.placement_problem = absl::OkStatus();  // with this node it may be possible
    if (hello.role == Role::kWorker) s.load_problem = absl::OkStatus();
  }
  member->role = hello.role;
  member->name = std::move(hello.name);
  member->endpoint = std::move(hello.endpoint);
  member->key = hello.key;
  member->load_failure = absl::OkStatus();
  member->load_rest = {};
  member->load_retry.reset();
  member->heard = now;
  member->doubted = false;
  member->has_model = !HasNoModel(hello);
  if (!s.model && member->has_model) s.model = std::move(hello.model);
  Owe(s, from, WelcomeFor(hello));
}

absl::Status CheckBricks(const std::vector<LayerBrick>& bricks, int n_layers) {
  if (bricks.size() > kBricksMax) {
    return InvalidArgument("more than " + std::to_string(kBricksMax) + " bricks in a status");
  }
  std::vector<LayerRange> ranges;
  for (const LayerBrick& brick : bricks) {
    const LayerRange layers = brick.layers;
    if (layers.begin < 0 || layers.empty() || layers.end > n_layers) {
      return InvalidArgument("brick of layers " + ToString(layers) + " in a model of " +
                             std::to_string(n_layers));
    }
    ranges.push_back(layers);
  }
  std::ranges::sort(ranges, std::less{});
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i] == ranges[i - 1]) {
      return InvalidArgument("two bricks of layers " + ToString(ranges[i]) + " in a status");
    }
    if (ranges[i].begin < ranges[i - 1].end) {
      return InvalidArgument("bricks of layers " + ToString(ranges[i - 1]) + " and " +
                             ToString(ranges[i]) + " in a status: they overlap");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStatus(const Member& member, const ModelId& model, const NodeStatus& status) {
  if (status.role != member.role) return InvalidArgument("the status speaks of another role");
  if (status.front_layers < 0 || status.back_layers < 0 ||
      status.front_layers > model.n_layers - status.back_layers) {
    return InvalidArgument("an edge cannot keep " + std::to_string(status.front_layers) + " + " +
                           std::to_string(status.back_layers) + " of " +
                           std::to_string(model.n_layers) + " layers");
  }
  const LayerRange only = status.layers_only;
  if (only.begin < 0 || only.begin > only.end || only.end > model.n_layers) {
    return InvalidArgument("layers " + ToString(only) + " alone, in a model of " +
                           std::to_string(model.n_layers));
  }
  if (status.sessions < 0 || status.sessions > kWorkerSessionsMax) {
    return InvalidArgument(std::to_string(status.sessions) + " sessions in a status, at most " +
                           std::to_string(kWorkerSessionsMax) + " are possible");
  }
  if (status.padding > RowBytes(model.n_embd)) {
    return InvalidArgument("a status with " + std::to_string(status.padding) +
                           " bytes of padding, a row has " +
                           std::to_string(RowBytes(model.n_embd)));
  }
  const LayerRange hosted = status.hosted;
  if (hosted.begin < 0 || hosted.begin > hosted.end || hosted.end > model.n_layers) {
    return InvalidArgument("serves layers " + ToString(hosted) + " of a model of " +
                           std::to_string(model.n_layers));
  }
  if (status.obeys != kNoNode && !IsCoordinator(status.obeys)) {
    return InvalidArgument("node " + ToString(status.obeys) +
                           ", which it obeys, is no coordinator");
  }
  return CheckBricks(status.bricks, model.n_layers);
}

// Others take the layers of a worker that could not load them, its replicas where it has any.
void NoteLoad(CoordinatorState& s, Time now, Member& member) {
  const NodeStatus& status = *member.status;
  if (!s.placement || !Obeys(s, member) || status.placement != s.placement_id) return;
  if (status.phase == LoadPhase::kReady) member.load_rest = {};
  if (status.phase != LoadPhase::kFailed) return;
  const LayerRange layers = LayersOf(*s.placement, member.node);
  if (layers.empty()) return;
  // Whoever asks waits for what others may mend, and not for room that a person must make.
  const absl::Status& why = status.load_status;
  const bool may_come = absl::IsUnavailable(why);
  member.load_failure = absl::Status(
      may_come ? absl::StatusCode::kUnavailable : absl::StatusCode::kFailedPrecondition,
      "worker " + member.name + " could not load layers " + ToString(layers) + ": " + Message(why));
  if (may_come || absl::IsResourceExhausted(why)) {
    member.load_rest = std::clamp(2 * member.load_rest, kLoadRetryMin, kLoadRetryMax);
    member.load_retry = now + member.load_rest;
  }
  if (!DropHost(*s.placement, member.node)) {
    s.placement.reset();
    s.load_problem = member.load_failure;
  }
  ForgetBetter(s, member.node);
}

// Whether a status says something that could move layers.
void NoteFacts(CoordinatorState& s, const Member& member, const NodeStatus& status) {
  if (member.role != Role::kWorker) return;
  const double planned = member.planned_ns_per_byte;
  const double longer =
      static_cast<double>(status.round_trip_ns) - static_cast<double>(member.planned_round_trip_ns);
  const bool changed = !member.status || member.status->memory_bytes != status.memory_bytes ||
                       std::abs(status.ns_per_byte - planned) > kSpeedChange * planned ||
                       std::abs(longer) > kWayChangeNs ||
                       (status.fetches && member.status->phase != status.phase);
  s.replanning.facts_changed = s.replanning.facts_changed || changed;
}

void On(CoordinatorState& s, Time now, NodeId from, SessionId, NodeStatus& status) {
  Member* member = Find(s, from);
  if (member == nullptr) return Refuse(s, from, Unavailable("not a member: say Hello"));
  absl::Status fits = member->has_model
                          ? CheckStatus(*member, *s.model, status)
                          : FailedPrecondition("a node without a model has no status");
  if (!fits.ok()) {
    Remove(s, from);
    return Refuse(s, from, std::move(fits));
  }
  if (!member->status) s.placement_problem = absl::OkStatus();
  if (status.stamp != 0) Owe(s, from, Echo{status.stamp, status.padding});
  NoteFacts(s, *member, status);
  member->granted_before = std::exchange(member->granted, 0);
  member->heard = now;
  member->doubted = false;
  const std::optional<NodeStatus> before = std::exchange(member->status, std::move(status));
  if (member->role == Role::kWorker && !Obeys(s, *member)) member->load_failure = absl::OkStatus();
  NoteServed(s, now, *member, before);
  NoteLoad(s, now, *member);
}

// What an edge says of others is no reason to lose them, only to look; and only of those that it
// could have missed.
void Doubt(CoordinatorState& s, Time now, NodeId edge, const std::vector<NodeId>& missed) {
  const std::vector<NodeId>& over = FindMember(s, edge)->granted_over;
  for (const NodeId node : missed) {
    Member* member = Find(s, node);
    if (member == nullptr || std::ranges::find(over, node) == over.end()) continue;
    if (std::ranges::find(s.options.steady, node) != s.options.steady.end()) continue;
    if (member->doubted_since && now - *member->doubted_since < kWatchedSilenceMax) continue;
    if (member->doubted) continue;  // it has been asked, and silence is counted from then on
    member->doubted = true;
    member->doubted_since = now;
    Owe(s, node, Alive{});
  }
}

void RememberHost(Member& edge, NodeId host) {
  std::erase(edge.granted_over, host);
  edge.granted_over.push_back(host);
  if (edge.granted_over.size() > kGrantedHostsRemembered) {
    edge.granted_over.erase(edge.granted_over.begin());
  }
}

void On(CoordinatorState& s, Time now, NodeId from, SessionId fresh, RouteRequest& request) {
  const Member* member = FindMember(s, from);
  if (member == nullptr) return Refuse(s, from, Unavailable("not a member: say Hello"));
  const auto same = std::find_if(s.waiting.begin(), s.waiting.end(), [&](const WaitingRequest& w) {
    return w.edge == from && w.request.request == request.request;
  });
  // An edge repeats what was not answered yet: it waits once, from the first time on, so that the
  // deadline passes and the edge hears the reason.
  if (same != s.waiting.end()) {
    same->request.missed = std::move(request.missed);
    return Doubt(s, now, from, same->request.missed);
  }
  const auto of_edge = std::count_if(s.waiting.begin(), s.waiting.end(),
                                     [&](const WaitingRequest& w) { return w.edge == from; });
  absl::Status status;
  if (member->role != Role::kEdge) {
    status = FailedPrecondition("only edges get routes");
  } else if (of_edge >= kRouteRequestsPerEdgeMax) {
    status = ResourceExhausted(std::to_string(of_edge) + " requests of this edge wait for a route");
  } else if (s.waiting.size() >= kRouteRequestsWaitingMax) {
    status = ResourceExhausted(std::to_string(s.waiting.size()) + " requests wait for a route");
  }
  if (!status.ok()) {
    return Owe(s, from, Route{.request = request.request, .status = std::move(status)});
  }
  Doubt(s, now, from, request.missed);
  s.waiting.push_back({.edge = from,
                       .request = std::move(request),
                       .session = fresh,
                       .deadline = now + kRouteWaitMax});
}

void On(CoordinatorState& s, Time now, NodeId from, SessionId, SourcesRequest&) {
  Member* member = Find(s, from);
  if (member == nullptr) return Refuse(s, from, Unavailable("not a member: say Hello"));
  if (member->role != Role::kWorker) {
    ++s.refused;
    return;
  }
  member->heard = now;
  member->doubted = false;
  if (member->sources_sent && now - *member->sources_sent < kSourcesInterval) return;
  member->sources_sent = now;
  Owe(s, from, SourcesFor(s, from));
}

void On(CoordinatorState& s, Time, NodeId from, SessionId, Goodbye&) { Remove(s, from); }

// What no node sends to a coordinator. Counted, not answered: a stranger gets no echo.
template <typename Other>
void On(CoordinatorState& s, Time, NodeId, SessionId, Other&) {
  ++s.refused;
}

void On(CoordinatorState& s, Time now, Received& e) {
  std::visit([&](auto& message) { On(s, now, e.from, e.fresh, message); }, e.message);
}

void On(CoordinatorState& s, Time, MemberLost& e) { Remove(s, e.node); }

// From now on what members say is compared with what they have said by now.
void NoteLooked(CoordinatorState& s, Time now) {
  s.replanning.looked = now;
  s.replanning.facts_changed = false;
  for (Member& m : s.members) {
    m.planned_ns_per_byte = m.status ? m.status->ns_per_byte : 0;
    m.planned_round_trip_ns = m.status ? m.status->round_trip_ns : 0;
  }
}

void On(CoordinatorState& s, Time now, Placed& e) {
  s.replanning = Replanning{};
  s.replanning.placed = now;
  NoteLooked(s, now);
  s.placement_id = NextPlacementId(s);
  s.cut = e.cut;
  s.placement = std::move(e.plan);
  s.placement_problem = s.load_problem = absl::OkStatus();
  for (Member& member : s.members) {
    member.placement_was_sent = false;
    member.unserved_since.reset();
  }
}

void On(CoordinatorState& s, Time, PlacementImpossible& e) {
  s.placement_problem = std::move(e.status);
}

void On(CoordinatorState& s, Time now, PlacementSent& e) {
  if (Member* member = Find(s, e.node); member != nullptr) {
    member->placement_sent = now;
    member->placement_was_sent = true;
  }
}

void On(CoordinatorState& s, Time, RouteAnswered& e) {
  std::erase_if(s.waiting, [&](const WaitingRequest& w) {
    return w.edge == e.edge && w.request.request == e.request;
  });
  Member* edge = Find(s, e.edge);
  for (const NodeId host : e.hosts) {
    if (Member* member = Find(s, host); member != nullptr) ++member->granted;
    if (edge != nullptr) RememberHost(*edge, host);
  }
}

void On(CoordinatorState& s, Time now, Looked& e) {
  NoteLooked(s, now);
  if (!s.replanning.better) s.replanning.better_since = now;
  s.replanning.better = std::move(e.better);
}

void LetLoadAgain(CoordinatorState& s, Member& member) {
  member.load_retry.reset();
  member.load_failure = absl::OkStatus();
  s.placement_problem = absl::OkStatus();
  s.replanning.facts_changed = true;
}

void On(CoordinatorState& s, Time now, Ticked&) {
  const Duration stood_still = now - s.last_tick;
  if (stood_still > kStallMax) {
    for (Member& member : s.members) {
      member.heard += stood_still;
      if (member.doubted_since) *member.doubted_since += stood_still;
      if (member.unserved_since) *member.unserved_since += stood_still;
    }
    for (WaitingRequest& w : s.waiting) w.deadline += stood_still;
  }
  s.last_tick = now;
  for (Member& member : s.members) {
    if (member.load_retry && now >= *member.load_retry) LetLoadAgain(s, member);
  }
  DropUnserved(s, now);
}

}  // namespace

const Member* FindMember(const CoordinatorState& state, NodeId node) {
  const auto found = state.member_index.find(node);
  return found == state.member_index.end() ? nullptr : &state.members[found->second];
}

void Apply(CoordinatorState& state, Time now, CoordinatorEvent event) {
  std::visit([&](auto& e) { On(state, now, e); }, event);
}

}  // namespace mortar
