// What a worker or an edge knows of each coordinator of its cluster: whether it has joined there,
// and when it heard from it last. A cluster has one, or two that know nothing of one another: nodes
// report to both.
//
// State of the node's loop, changed by its apply alone.
#pragma once

#include <optional>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "protocol/ids.h"
#include "protocol/limits.h"
#include "protocol/messages.h"
#include "protocol/round_trip.h"

namespace mortar {

enum class Membership { kJoining, kJoined, kRefused };

struct KnownCoordinator {
  Membership phase = Membership::kJoining;
  absl::Status why;  // kRefused: why; kJoining: why it is away, once it was there
  Duration status_interval = kStatusInterval;
  std::optional<Time> hello_sent;
  std::optional<Time> status_sent;
  bool status_owed = false;  // something changed since the last one
  Time heard{};              // last, while joined
  Time here_since{};         // since when it was heard without a gap of kStatusAgeMax
  RoundTripMeter round_trip;
  // Whose grants are good because of it: its own, and while its key changes the next. Apart from
  // the other coordinator's, which are good however often this one changes.
  std::vector<SignerKey> signers;
};

// The at-th is CoordinatorNode(at). At least one, at most kCoordinatorsMax.
using Coordinators = std::vector<KnownCoordinator>;

// The one that a message comes from; null: it comes from none that this node knows.
inline KnownCoordinator* FindCoordinator(Coordinators& all, NodeId from) {
  if (!IsCoordinator(from)) return nullptr;
  const auto at = static_cast<size_t>(CoordinatorIndex(from));
  return at < all.size() ? &all[at] : nullptr;
}

// Joined as long as one has it, refused when all have: while one may still answer it is waited for.
inline Membership PhaseOf(const Coordinators& all) {
  bool refused = true;
  for (const KnownCoordinator& c : all) {
    if (c.phase == Membership::kJoined) return Membership::kJoined;
    refused = refused && c.phase == Membership::kRefused;
  }
  return refused ? Membership::kRefused : Membership::kJoining;
}

// Why this node may not join. Needs: PhaseOf is kRefused.
inline const absl::Status& RefusalOf(const Coordinators& all) { return all.front().why; }

// Whether it is there. With one coordinator nobody asks.
inline bool IsHere(const KnownCoordinator& c, Time now) {
  return c.phase == Membership::kJoined && now - c.heard <= kStatusAgeMax;
}
inline bool IsSettled(const KnownCoordinator& c, Time now) {
  return IsHere(c, now) && now - c.here_since >= kCoordinatorSettled;
}

// A message came from it.
inline void NoteHeard(KnownCoordinator& c, Time now) {
  if (c.phase != Membership::kJoined) return;
  if (now - c.heard > kStatusAgeMax) c.here_since = now;
  c.heard = now;
}
inline void NoteWelcome(KnownCoordinator& c, Time now, Duration status_interval) {
  c.phase = Membership::kJoined;
  c.why = absl::OkStatus();
  c.status_interval = status_interval;
  c.heard = c.here_since = now;
}
// Unavailable: it is away, or does not know this node; Hello brings it back. Any other code: it
// refused it for good. `hello_sent` stays: an answer such as this one to every Hello must not bring
// the next one on.
inline void NoteGoodbye(KnownCoordinator& c, absl::Status why) {
  c.phase = absl::IsUnavailable(why) ? Membership::kJoining : Membership::kRefused;
  c.why = std::move(why);
}

inline std::vector<SignerKey> SignersOf(const Coordinators& all) {
  std::vector<SignerKey> signers;
  for (const KnownCoordinator& c : all) {
    signers.insert(signers.end(), c.signers.begin(), c.signers.end());
  }
  return signers;
}

inline bool HelloDue(const KnownCoordinator& c, Time now) {
  return c.phase == Membership::kJoining &&
         (!c.hello_sent || now - *c.hello_sent >= kHelloInterval);
}
inline bool StatusDue(const KnownCoordinator& c, Time now) {
  return c.phase == Membership::kJoined &&
         (c.status_owed || !c.status_sent || now - *c.status_sent >= c.status_interval);
}
// Along with a status to it, where it is time to. One of two is asked often enough to know whether
// it is there.
inline void AskRoundTrip(Coordinators& all, int to, Time now, const ModelId& model,
                         NodeStatus& status) {
  RoundTripMeter& meter = all[static_cast<size_t>(to)].round_trip;
  status.stamp =
      meter.Stamp(now, all.size() > 1 ? kCoordinatorAskInterval : RoundTripMeter::kInterval);
  if (status.stamp != 0 && meter.measures()) {
    status.padding = static_cast<uint32_t>(RowBytes(model.n_embd));
  }
}

}  // namespace mortar
