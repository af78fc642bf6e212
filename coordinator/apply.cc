// How each event changes a coordinator's state: the table in state.h, row by row.
#include <algorithm>
#include <set>
#include <utility>

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

void Remove(CoordinatorState& s, NodeId node) {
  std::erase_if(s.members, [&](const Member& m) { return m.node == node; });
  std::erase_if(s.waiting, [&](const WaitingRequest& w) { return w.edge == node; });
  if (s.placement) {
    const auto uses = [&](const PlacedHop& hop) { return hop.node == node; };
    if (std::any_of(s.placement->hops.begin(), s.placement->hops.end(), uses)) {
      s.placement.reset();
    }
  }
  s.placement_problem = absl::OkStatus();  // without this node it may be possible
  if (s.members.empty()) {
    s.model.reset();
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
    s.members.push_back({.node = from});
    member = &s.members.back();
    s.placement_problem = absl::OkStatus();  // with this node it may be possible
  }
  member->role = hello.role;
  member->name = std::move(hello.name);
  member->endpoint = std::move(hello.endpoint);
  member->key = hello.key;
  member->load_failure = absl::OkStatus();
  member->heard = now;
  member->has_model = !HasNoModel(hello);
  if (!s.model && member->has_model) s.model = std::move(hello.model);
  Owe(s, from, WelcomeFor(hello));
}

absl::Status CheckBricks(const std::vector<LayerBrick>& bricks, int n_layers) {
  if (bricks.size() > kBricksMax) {
    return InvalidArgument("more than " + std::to_string(kBricksMax) + " bricks in a status");
  }
  std::set<LayerRange> seen;
  for (const LayerBrick& brick : bricks) {
    const LayerRange layers = brick.layers;
    if (layers.begin < 0 || layers.empty() || layers.end > n_layers) {
      return InvalidArgument("brick of layers " + ToString(layers) + " in a model of " +
                             std::to_string(n_layers));
    }
    if (!seen.insert(layers).second) {
      return InvalidArgument("two bricks of layers " + ToString(layers) + " in a status");
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
  return CheckBricks(status.bricks, model.n_layers);
}

// Others take the layers of a worker that could not load them.
void NoteFailedLoad(CoordinatorState& s, Member& member) {
  const NodeStatus& status = *member.status;
  if (!s.placement || status.placement != s.placement_id || status.phase != LoadPhase::kFailed) {
    return;
  }
  for (const PlacedHop& hop : s.placement->hops) {
    if (hop.node != member.node) continue;
    member.load_failure =
        FailedPrecondition("worker " + member.name + " could not load layers " +
                           ToString(hop.layers) + ": " + Message(status.load_status));
    s.placement.reset();
    return;
  }
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
  member->heard = now;
  member->status = std::move(status);
  NoteFailedLoad(s, *member);
}

void On(CoordinatorState& s, Time now, NodeId from, SessionId fresh, RouteRequest& request) {
  const Member* member = FindMember(s, from);
  if (member == nullptr) return Refuse(s, from, Unavailable("not a member: say Hello"));
  const auto same = std::find_if(s.waiting.begin(), s.waiting.end(), [&](const WaitingRequest& w) {
    return w.edge == from && w.request.request == request.request;
  });
  // An edge repeats what was not answered yet: it waits once, from the first time on, so that the
  // deadline passes and the edge hears the reason.
  if (same != s.waiting.end()) return;
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

void On(CoordinatorState& s, Time, Placed& e) {
  ++s.placement_id;
  s.cut = e.cut;
  s.placement = std::move(e.plan);
  s.placement_problem = absl::OkStatus();
  for (Member& member : s.members) member.placement_was_sent = false;
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
}

void On(CoordinatorState& s, Time now, Ticked&) {
  const Duration stood_still = now - s.last_tick;
  if (stood_still > kStallMax) {
    for (Member& member : s.members) member.heard += stood_still;
    for (WaitingRequest& w : s.waiting) w.deadline += stood_still;
  }
  s.last_tick = now;
}

}  // namespace

const Member* FindMember(const CoordinatorState& state, NodeId node) {
  for (const Member& member : state.members) {
    if (member.node == node) return &member;
  }
  return nullptr;
}

void Apply(CoordinatorState& state, Time now, CoordinatorEvent event) {
  std::visit([&](auto& e) { On(state, now, e); }, event);
}

}  // namespace mortar
