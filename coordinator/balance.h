// Which host of a stop a new session gets: the one that has the least to do for its speed. One that
// its edge has missed comes last, however idle: the way there may be what is broken.
#pragma once

#include <unordered_map>

#include "coordinator/state.h"

namespace mortar {

// OK when this host of a stop has loaded its layers and can take the session. A doubt holds back
// the requests of those who missed it, and no others.
absl::Status HostStatus(const CoordinatorState& state, const PlacedHop& hop, const PlacedHost& host,
                        const RouteRequest& request);
// OK when any host can. Unavailable: none yet, but one may; else no host ever, and why.
absl::Status StopStatus(const CoordinatorState& state, const PlacedHop& hop,
                        const RouteRequest& request);

// Shares out the sessions that are granted in one round. Sessions of a host are what its newest
// status says and what was granted since (Member::granted).
class SessionBalance {
 public:
  explicit SessionBalance(const CoordinatorState& state) : state_(state) {}
  // The host for one more session, counted from now on. Needs: StopStatus is OK.
  const Member& Take(const PlacedHop& hop, const RouteRequest& request);

 private:
  const CoordinatorState& state_;
  std::unordered_map<NodeId, int, IdHash> taken_;
};

}  // namespace mortar
