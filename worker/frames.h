// What apply does with frames and with ends of sessions. For apply's own use.
#pragma once

#include <utility>

#include "worker/state.h"

namespace mortar {

inline void Owe(WorkerState& s, NodeId to, AnyMessage message,
                std::optional<SessionKey> seal = std::nullopt) {
  s.outbox.push_back({.to = to, .message = std::move(message), .seal = std::move(seal)});
}

// To a session's edge, sealed where the session's key is here.
template <typename Message>
void OweEdge(WorkerState& s, NodeId edge, Message message) {
  const SessionSeal* seal = FindSeal(s, message.session);
  Owe(s, edge, std::move(message), seal ? std::optional<SessionKey>(seal->own) : std::nullopt);
}

// The key of a session came from its edge, with a good grant.
void TakeKey(WorkerState& s, const KeyOpened& opened);

// An end that may have overtaken its session's key. Anybody can say so of any session, so these
// push out only one another.
void RememberUnopened(WorkerState& s, const EndUnopened& end);

// A frame that CheckFrame let pass: dropped, answered or accepted.
void TakeFrame(WorkerState& s, Time now, NodeId from, Activation& frame);
void Reject(WorkerState& s, const Envelope& e, absl::Status why);
// The frame's rows go on: to the next hop all of them, back to the edge those it wants.
void Deliver(WorkerState& s, RunningFrame& frame);

// Its queue goes at once, its pages as soon as the engine has time.
void EndSession(WorkerState& s, int place);
// The same for whoever asks for it: nobody but its edge can.
void EndById(WorkerState& s, NodeId from, const SessionId& id);

}  // namespace mortar
