// Steps of one session's life that several events share. For apply's own use.
#pragma once

#include <utility>

#include "edge/state.h"

namespace mortar {

// A message of another node changes the state (messages.cc).
void Receive(EdgeState& s, Time now, EdgeReceived& received);

inline void Owe(EdgeState& s, NodeId to, AnyMessage message,
                std::optional<SessionKey> seal = std::nullopt) {
  s.outbox.push_back({.to = to, .message = std::move(message), .seal = std::move(seal)});
}
// The session's key for every hop, where nodes have keys.
void OweKeys(EdgeState& s, const EdgeSlot& slot);
// The same for the hop that asked, within kKeysAgainMax.
void GiveKeyAgain(EdgeState& s, NodeId from, const NeedPrefix& need);
// A message of the session to one of its hops, sealed where nodes have keys.
template <typename Message>
void OweHop(EdgeState& s, const EdgeSlot& slot, const Hop& hop, Message message) {
  Owe(s, hop.node, std::move(message), slot.keys ? slot.rows_key : std::nullopt);
}

// The running session that an answer speaks of; null, and counted, unless the answer is of its
// newest epoch.
EdgeSlot* FindNewest(EdgeState& s, const SessionId& session, uint32_t epoch);
// The same of what a hop of its route says, and nobody else can.
EdgeSlot* FindNewestOfHop(EdgeState& s, NodeId from, const SessionId& session, uint32_t epoch);
// The same of rows, which come from the last hop alone.
EdgeSlot* FindAnswered(EdgeState& s, NodeId from, const Envelope& answer);

// The end of a request that never had a place.
void EndUnadmitted(EdgeState& s, RequestId request, FinishReason reason, absl::Status status);
// The session is over: its last output is given and every hop is told.
void Finish(EdgeState& s, Time now, EdgeSlot& slot, FinishReason reason, absl::Status status);
inline void Fail(EdgeState& s, Time now, EdgeSlot& slot, absl::Status status) {
  Finish(s, now, slot, FinishReason::kError, std::move(status));
}

// Goes on from position min(from, answered) under the next epoch, or gives up on routes after
// kRetriesMax on this one.
void Retry(EdgeState& s, Time now, EdgeSlot& slot, int from, const std::string& why);
// The same as often as it takes: where the route has not failed.
void SendAgain(EdgeState& s, EdgeSlot& slot, int from);
// Retries on a route that the coordinator has yet to give: the hops begin at position 0. It counts
// as `weight` new routes; after kNewRoutesMax it gives up on them. `missed`: the hops to which its
// links are gone, or that do not answer.
void RetryOnNewRoute(EdgeState& s, Time now, EdgeSlot& slot, const std::string& why,
                     std::vector<NodeId> missed = {}, int weight = 1);
// What it shares with giving up on routes: the hops are told, and the session waits under the next
// epoch for what begins at position 0.
void LeaveRoute(EdgeState& s, Time routing_from, EdgeSlot& slot);
// Waits for a route until kRouteGiveUp after `from`.
void BeginRouting(EdgeState& s, Time from, EdgeSlot& slot);

// A frame was answered: retries count anew, and one more frame may be in flight.
void Progress(EdgeSlot& slot);

// The tokens that a step gave join the log, or end the generation. What stands behind the last
// guess that held is forgotten.
void AcceptDrawn(EdgeState& s, Time now, EdgeSlot& slot, const EdgeItem& item);

// Guesses at what follows the log, for the next step.
void Guess(const EdgeState& s, EdgeSlot& slot);

// Lets go of frames at the head whose answer has no rows for the back layers.
void PassEmptyAnswers(const EdgeState& s, EdgeSlot& slot);

}  // namespace mortar
