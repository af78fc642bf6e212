#include "coordinator/balance.h"

#include <algorithm>

#include "common/check.h"
#include "coordinator/adopt.h"

namespace mortar {
namespace {

PlacedHost FirstHost(const PlacedHop& hop) { return {hop.node, hop.name, hop.token_ns}; }

bool Misses(const RouteRequest& request, NodeId node) {
  return std::ranges::find(request.missed, node) != request.missed.end();
}

// Of a session more at each host, were all of them to decode at once. Hosts of unknown speed are
// taken to be equal.
double Load(int sessions, const PlacedHost& host) {
  return (sessions + 1) * (host.token_ns > 0 ? host.token_ns : 1.0);
}

}  // namespace

absl::Status HostStatus(const CoordinatorState& s, const PlacedHop& hop, const PlacedHost& host,
                        const RouteRequest& request) {
  const Member& member = *FindMember(s, host.node);
  if (member.doubted && Misses(request, host.node)) {
    return Unavailable("worker " + host.name +
                       " was missed by an edge and has not been heard since");
  }
  const NodeStatus& status = *member.status;
  const bool placed =
      Obeys(s, member) ? status.placement == s.placement_id : status.hosted == hop.layers;
  if (!placed || status.phase != LoadPhase::kReady) {
    return Unavailable("worker " + host.name + " is loading layers " + ToString(hop.layers));
  }
  if (status.positions_max > 0 && request.positions_max > status.positions_max) {
    return FailedPrecondition(
        "worker " + host.name + " keeps at most " + std::to_string(status.positions_max) +
        " positions of a session, this one may take " + std::to_string(request.positions_max) +
        ": shorten the prompt or -n, or start it with a larger -c");
  }
  return absl::OkStatus();
}

absl::Status StopStatus(const CoordinatorState& s, const PlacedHop& hop,
                        const RouteRequest& request) {
  absl::Status why = HostStatus(s, hop, FirstHost(hop), request);
  for (const PlacedHost& host : hop.replicas) {
    if (why.ok()) return why;
    absl::Status other = HostStatus(s, hop, host, request);
    // Who only has to load yet may take what the others never will.
    if (other.ok() || absl::IsUnavailable(other)) why = std::move(other);
  }
  return why;
}

const Member& SessionBalance::Take(const PlacedHop& hop, const RouteRequest& request) {
  const Member* best = nullptr;
  double least = 0;
  bool best_missed = false;
  const auto look = [&](const PlacedHost& host) {
    if (!HostStatus(state_, hop, host, request).ok()) return;
    const Member* member = FindMember(state_, host.node);
    const auto taken = taken_.find(host.node);
    const int sessions = member->status->sessions + member->granted_before + member->granted +
                         (taken == taken_.end() ? 0 : taken->second);
    const double load = Load(sessions, host);
    const bool missed = Misses(request, host.node);
    if (best != nullptr && (missed != best_missed ? missed : load >= least)) return;
    best = member;
    least = load;
    best_missed = missed;
  };
  look(FirstHost(hop));
  for (const PlacedHost& host : hop.replicas) look(host);
  CHECK(best != nullptr);
  if (!hop.replicas.empty()) ++taken_[best->node];
  return *best;
}

}  // namespace mortar
